package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"unicode/utf8"

	"autoresearch/pkg/spec"
)

const (
	// artifactsAtOnce is how many artifacts a worker holds in memory at once.
	artifactsAtOnce = 2
	// artifactPathMax is the longest path of an artifact, in bytes; artifactPathsMax bounds those of all together.
	artifactPathMax  = 1024
	artifactPathsMax = 64 << 10
	// artifactsWalked is how many entries of the directory are looked at.
	artifactsWalked = 100_000
)

// collection is the walk through what one attempt left.
type collection struct {
	*keeping
	root    *os.Root
	room    int64 // for bytes
	paths   int   // bytes of paths so far
	walked  int
	further int // files beyond the limits of the list
}

// errWalkedEnough ends a walk through a directory without end.
var errWalkedEnough = errors.New("too many entries")

// storeArtifacts stores the regular files of the attempt's artifacts directory. Nothing outside of it is ever read, whatever
// links and mounts an experiment makes: paths are resolved below the attempt's directory by os.Root, and links are not
// followed. What is left out is listed with the reason.
func (w *worker) storeArtifacts(k *keeping) {
	o := &w.o
	if o.Artifacts < 0 || o.ArtifactBytes < 0 || o.ArtifactsBytes < 0 {
		return
	}
	root, err := w.openArtifacts(k.attempt)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			k.omit("", 0, fmt.Sprintf("the artifacts directory cannot be read: %v", err))
		}
		return
	}
	c := &collection{keeping: k, root: root, room: o.ArtifactsBytes}
	err = fs.WalkDir(root.FS(), ".", c.visit)
	if err := errors.Join(err, root.Close()); err != nil && !errors.Is(err, errWalkedEnough) {
		k.omit("", 0, fmt.Sprintf("the artifacts directory cannot be read: %v", err))
	}
	if c.further > 0 || errors.Is(err, errWalkedEnough) {
		k.omit("", 0, fmt.Sprintf("%d more entries: at most %d files are kept", max(1, c.further), o.Artifacts))
	}
	if n := len(k.kept.artifacts); n > 0 {
		w.log.Debug("kept artifacts", "run", k.attempt.ref.Run, "task", k.attempt.ref.Task, "listed", n)
	}
}

// openArtifacts opens the artifacts directory, unless the experiment has put something else in its place.
func (w *worker) openArtifacts(a *attempt) (*os.Root, error) {
	above, err := os.OpenRoot(w.filesOf(a).dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = above.Close() }() // it was only looked through
	status, err := above.Lstat(artifactsDirName)
	if err != nil {
		return nil, err
	}
	if !status.IsDir() {
		return nil, fmt.Errorf("%s is no directory any more", artifactsDirName)
	}
	return above.OpenRoot(artifactsDirName)
}

// visit is called for every entry, in the order of their names.
func (c *collection) visit(path string, entry fs.DirEntry, err error) error {
	if c.walked++; c.walked > artifactsWalked {
		return errWalkedEnough
	}
	if path == "." {
		return err
	}
	if err == nil && entry.IsDir() {
		return nil
	}
	c.paths += len(path)
	if len(c.kept.artifacts) >= c.w.o.Artifacts || c.paths > artifactPathsMax {
		c.further++
		return nil
	}
	if err != nil {
		c.omit(path, 0, fmt.Sprintf("it cannot be read: %v", err))
		return nil
	}
	c.file(path, entry)
	return nil
}

// file stores one file, or says why not.
func (c *collection) file(path string, entry fs.DirEntry) {
	status, err := entry.Info()
	switch {
	case err != nil:
		c.omit(path, 0, fmt.Sprintf("it cannot be read: %v", err))
	case !utf8.ValidString(path) || len(path) > artifactPathMax:
		c.omit("", status.Size(), fmt.Sprintf("%.100q: its name is no UTF-8, or longer than %d bytes", path, artifactPathMax))
	case !status.Mode().IsRegular():
		c.omit(path, 0, "it is no regular file")
	case status.Size() > c.w.o.ArtifactBytes:
		c.omit(path, status.Size(), fmt.Sprintf("it is larger than %d bytes", c.w.o.ArtifactBytes))
	case status.Size() > c.room:
		c.omit(path, status.Size(), fmt.Sprintf("all together are larger than %d bytes", c.w.o.ArtifactsBytes))
	default:
		c.store(path, status.Size())
	}
}

// store reads a file and puts it into the output store.
func (c *collection) store(path string, size int64) {
	select {
	case c.w.reading <- struct{}{}:
		defer func() { <-c.w.reading }()
	case <-c.ctx.Done():
		c.omit(path, size, fmt.Sprintf("it was not stored: %v", context.Cause(c.ctx)))
		return
	}
	data, err := c.read(path)
	if err != nil {
		c.omit(path, size, fmt.Sprintf("it cannot be read: %v", err))
		return
	}
	c.room -= int64(len(data))
	stored, err := c.put(data)
	if err != nil {
		c.omit(path, size, fmt.Sprintf("it was not stored: %v", err))
		return
	}
	c.kept.artifacts = append(c.kept.artifacts, spec.Artifact{Path: path, Size: stored.Size, Stored: stored})
}

// read reads a regular file that is no larger than is kept, though another may stand there by now.
func (c *collection) read(path string) (data []byte, err error) {
	file, err := c.root.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	status, err := file.Stat()
	if err != nil || !status.Mode().IsRegular() {
		return nil, errors.Join(err, errors.New("it is no regular file"))
	}
	limit := min(c.w.o.ArtifactBytes, c.room)
	data, err = io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("it grew beyond %d bytes", limit)
	}
	return data, err
}

// omit lists what was not stored.
func (k *keeping) omit(path string, size int64, why string) {
	k.kept.artifacts = append(k.kept.artifacts, spec.Artifact{Path: path, Size: size, Omitted: clipText(why, 300)})
}
