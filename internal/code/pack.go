package code

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// Ignored are the patterns that are left out of every tree.
var Ignored = []string{".git", "__pycache__"}

// Tree is a directory to be packed.
type Tree struct {
	Dir string
	// Ignore are patterns of path.Match beside Ignored: of a name, or with a slash of a path below Dir. What matches is left
	// out, with all below it.
	Ignore []string
	// Without is a directory that is left out wherever it lies; none when empty.
	Without string
	Limits  Limits
}

// Pack returns the bundle of a tree.
func (t Tree) Pack(ctx context.Context) ([]byte, error) {
	names, err := t.names(ctx)
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", t.Dir, err)
	}
	root, err := os.OpenRoot(t.Dir)
	if err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	defer func() { _ = root.Close() }() // it was only read
	p := packer{root: root, limits: t.Limits.withDefaults()}
	p.tar = tar.NewWriter(&p.out)
	for _, name := range names {
		if err := context.Cause(ctx); err != nil {
			return nil, fmt.Errorf("pack %s: %w", t.Dir, err)
		}
		if err := p.add(name); err != nil {
			return nil, fmt.Errorf("pack %s: %s: %w", t.Dir, name, err)
		}
	}
	if err := p.tar.Close(); err != nil {
		return nil, fmt.Errorf("pack %s: %w", t.Dir, err)
	}
	return p.out.Bytes(), nil
}

// names returns the paths of what is packed, in order.
func (t Tree) names(ctx context.Context) (names []string, err error) {
	limits := t.Limits.withDefaults()
	err = filepath.WalkDir(t.Dir, func(full string, entry fs.DirEntry, err error) error {
		if err = cmp.Or(err, context.Cause(ctx)); err != nil || full == t.Dir {
			return err
		}
		relative, err := filepath.Rel(t.Dir, full)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(relative)
		switch {
		case t.ignores(name) || full == t.Without:
			if entry.IsDir() {
				return fs.SkipDir
			}
		case !entry.IsDir():
			names = append(names, name)
		}
		if len(names) > limits.Files {
			return fmt.Errorf("%w: more than %d files (code.max_files); leave out what the experiment does not need with code.ignore",
				errLimit, limits.Files)
		}
		return nil
	})
	slices.Sort(names)
	return names, err
}

func (t Tree) ignores(name string) bool {
	for _, pattern := range slices.Concat(Ignored, t.Ignore) {
		of := path.Base(name)
		if strings.Contains(pattern, "/") {
			of = name
		}
		if matched, err := path.Match(pattern, of); err == nil && matched {
			return true
		}
	}
	return false
}

// packer writes one bundle.
type packer struct {
	root   *os.Root
	limits Limits
	out    bytes.Buffer
	tar    *tar.Writer
}

func (p *packer) add(name string) error {
	status, err := p.root.Lstat(name)
	if err != nil {
		return err
	}
	switch mode := status.Mode(); {
	case mode&fs.ModeSymlink != 0:
		target, err := p.root.Readlink(name)
		if err == nil {
			err = checkLink(name, target)
		}
		if err != nil {
			return fmt.Errorf("a link: %w", err)
		}
		return p.tar.WriteHeader(linkHeader(name, target))
	case mode.IsRegular():
		return p.file(name, status)
	}
	return errors.New("it is no file, directory or link; leave it out with code.ignore")
}

func (p *packer) file(name string, status fs.FileInfo) error {
	if int64(p.out.Len())+status.Size() > p.limits.Bytes {
		return p.tooLarge()
	}
	file, err := p.root.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(file, p.limits.Bytes+1))
	if err != nil {
		return err
	}
	if err := p.tar.WriteHeader(fileHeader(name, int64(len(data)), status.Mode()&0o100 != 0)); err != nil {
		return err
	}
	if _, err := p.tar.Write(data); err != nil {
		return err
	}
	if int64(p.out.Len()) > p.limits.Bytes {
		return p.tooLarge()
	}
	return nil
}

func (p *packer) tooLarge() error {
	return fmt.Errorf("%w: with it more than %d bytes (code.max_bytes); leave out what the experiment does not need with code.ignore",
		errLimit, p.limits.Bytes)
}

func fileHeader(name string, size int64, executable bool) *tar.Header {
	mode := int64(0o644)
	if executable {
		mode = 0o755
	}
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: mode}
}

func linkHeader(name, target string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}
}
