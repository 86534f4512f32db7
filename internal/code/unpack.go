package code

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Unpack makes the tree of a bundle in a directory, which must be empty. It refuses what Pack does not write, before a file of it
// is made; what was made before lies inside dir all the same.
func Unpack(bundle []byte, dir string, limits Limits) (err error) {
	limits = limits.withDefaults()
	if int64(len(bundle)) > limits.Bytes {
		return fmt.Errorf("unpack: %w: %d bytes, at most %d are taken", errLimit, len(bundle), limits.Bytes)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	u := unpacker{root: root, from: tar.NewReader(bytes.NewReader(bundle))}
	for files := 0; ; files++ {
		header, err := u.from.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil && files >= limits.Files {
			err = fmt.Errorf("%w: more than %d files", errLimit, limits.Files)
		}
		if err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
		if err := u.entry(header, int64(len(bundle))); err != nil {
			return fmt.Errorf("unpack %.200q: %w", header.Name, err)
		}
	}
}

type unpacker struct {
	root *os.Root
	from *tar.Reader
	last string
}

// errRefused: it is nothing that Pack writes.
var errRefused = errors.New("refused")

// entry makes one file or link. Each path is greater than the last, so that nothing is made twice, and never through a link: the
// directories of a path are real ones.
func (u *unpacker) entry(h *tar.Header, room int64) error {
	switch {
	case !filepath.IsLocal(h.Name) || path.Clean(h.Name) != h.Name || h.Name == "." || strings.ContainsRune(h.Name, 0):
		return fmt.Errorf("%w: it is no path below the tree", errRefused)
	case h.Name <= u.last:
		return fmt.Errorf("%w: it is out of order", errRefused)
	case h.Size < 0 || h.Size > room:
		return fmt.Errorf("%w: it claims %d bytes", errRefused, h.Size)
	}
	u.last = h.Name
	if err := u.directory(path.Dir(h.Name)); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return u.file(h)
	case tar.TypeSymlink:
		if err := checkLink(h.Name, h.Linkname); err != nil {
			return fmt.Errorf("%w: a link: %w", errRefused, err)
		}
		return u.root.Symlink(h.Linkname, h.Name)
	}
	return fmt.Errorf("%w: it is neither file nor link", errRefused)
}

// directory makes a directory and those above it; a link in their place is refused.
func (u *unpacker) directory(name string) error {
	if name == "." {
		return nil
	}
	status, err := u.root.Lstat(name)
	switch {
	case err == nil && !status.IsDir():
		return fmt.Errorf("%w: %q is no directory", errRefused, name)
	case err == nil:
		return nil
	}
	if err := u.directory(path.Dir(name)); err != nil {
		return err
	}
	return u.root.Mkdir(name, 0o755)
}

func (u *unpacker) file(h *tar.Header) error {
	mode := os.FileMode(0o644)
	if h.Mode&0o100 != 0 {
		mode = 0o755
	}
	file, err := u.root.OpenFile(h.Name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, u.from)
	return errors.Join(err, file.Close())
}
