package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// checkpointSearchMax is how many attempts back a checkpoint is looked for.
const checkpointSearchMax = 1000

// seedCheckpoint makes the checkpoint directory of an attempt: a copy of the newest earlier attempt's that holds anything,
// on this machine or below the shared root, or an empty one. One that is there already, from a try that a crash ended, stays as it is. The copy
// appears whole or not at all. It reports whether the directory holds anything.
func (w *worker) seedCheckpoint(a *attempt, dir string) (resumed bool, err error) {
	if holdsFiles(dir) {
		return true, nil
	}
	earlier := w.earlierCheckpoint(a)
	if earlier == "" {
		return false, makeDir(dir)
	}
	if err := makeDir(filepath.Dir(dir)); err != nil {
		return false, err
	}
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return false, err
	}
	if err := copyTree(a.ctx, earlier, partial); err != nil {
		return false, errors.Join(fmt.Errorf("copy %s: %w", earlier, err), os.RemoveAll(partial))
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	return true, os.Rename(partial, dir)
}

// earlierCheckpoint returns the newest earlier attempt's checkpoint directory that holds anything; "" when there is none.
func (w *worker) earlierCheckpoint(a *attempt) string {
	for back := uint32(1); back <= checkpointSearchMax && back < a.ref.Attempt; back++ {
		dir := w.checkpointDir(a, a.ref.Attempt-back)
		if holdsFiles(dir) {
			return dir
		}
	}
	return ""
}

// holdsFiles reports whether dir is a directory with anything in it.
func holdsFiles(dir string) bool {
	file, err := os.Open(dir)
	if err != nil {
		return false
	}
	names, _ := file.Readdirnames(1) // an error means that there is nothing to use
	return len(names) > 0 && file.Close() == nil
}

// copyTree copies directories, regular files and symbolic links with their permissions, until ctx is done. Anything else is
// left out. Hard links would not do: programs overwrite checkpoints in place.
func copyTree(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return copyEntry(path, filepath.Join(to, relative), entry)
	})
}

func copyEntry(from, to string, entry fs.DirEntry) error {
	status, err := entry.Info()
	if err != nil {
		return err
	}
	switch mode := status.Mode(); {
	case mode.IsDir():
		return os.MkdirAll(to, mode.Perm()|0o700)
	case mode.IsRegular():
		return copyFile(from, to, mode.Perm())
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	}
	return nil
}

func copyFile(from, to string, mode fs.FileMode) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
