package runs

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
)

// keptMax is the most bytes of one file that is kept: what is larger is no snapshot or report.
const keptMax = 256 << 20

// left are the paths of a workdir that belong to the process there and are not kept.
var left = []string{snapshot.LockFile, "logs", "engine/nats", "engine/api", "engine/api.json"}

// keep stores the files of a workdir as one archive: all of one moment, as near as files of different cadence come to it.
func keep(ctx context.Context, to *bus.Files, run spec.RunName, workdir string) error {
	r, w := io.Pipe()
	packed := make(chan struct{})
	go func() {
		defer close(packed)
		_ = w.CloseWithError(pack(workdir, w)) // it never fails
	}()
	err := to.Put(ctx, run, r)
	_ = r.CloseWithError(io.ErrClosedPipe) // it never fails; what was not read is not wanted any more
	<-packed
	return err
}

// pack writes the files of a workdir as tar.gz. Each is replaced whole by those who write it, so none is caught half done.
func pack(workdir string, to io.Writer) error {
	zipped, err := gzip.NewWriterLevel(to, gzip.BestSpeed)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(zipped)
	err = filepath.WalkDir(workdir, func(path string, entry fs.DirEntry, err error) error {
		name, relErr := filepath.Rel(workdir, path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it was there a moment ago
		case err != nil || relErr != nil:
			return errors.Join(err, relErr)
		case slices.Contains(left, filepath.ToSlash(name)) && entry.IsDir():
			return fs.SkipDir
		case slices.Contains(left, filepath.ToSlash(name)) || !entry.Type().IsRegular():
			return nil
		}
		return add(archive, path, filepath.ToSlash(name))
	})
	return errors.Join(err, archive.Close(), zipped.Close())
}

func add(archive *tar.Writer, path, name string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read: nothing is lost
	info, err := file.Stat()
	if err != nil || info.Size() > keptMax {
		return err
	}
	header := &tar.Header{Name: name, Mode: 0o644, Size: info.Size(), ModTime: info.ModTime(), Format: tar.FormatPAX}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.CopyN(archive, file, info.Size())
	return err
}

// Unpack writes the files of an archive below dir, which it makes. A name that leads out of dir is refused, and a file
// that is there is replaced.
func Unpack(from io.Reader, dir string) (names []string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	unzipped, err := gzip.NewReader(from)
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	archive := tar.NewReader(unzipped)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return names, fmt.Errorf("read the archive: %w", err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		if err := extract(root, header, archive); err != nil {
			return names, err
		}
		names = append(names, header.Name)
	}
}

func extract(root *os.Root, header *tar.Header, from io.Reader) (err error) {
	if parent, _, found := cutLast(header.Name, "/"); found {
		if err := root.MkdirAll(parent, 0o755); err != nil {
			return err
		}
	}
	file, err := root.Create(header.Name)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, io.LimitReader(from, keptMax))
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return root.Chtimes(header.Name, header.ModTime, header.ModTime)
}

func cutLast(text, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(text, sep); i >= 0 {
		return text[:i], text[i+len(sep):], true
	}
	return text, "", false
}
