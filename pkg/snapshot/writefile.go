package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
)

// WriteFile replaces the file at path with data, atomically and durably: it writes a temporary file beside it, syncs
// that, renames it over path and syncs the directory. On an error the old file stands and the temporary file is gone
// (if only the last sync failed, the new file may stand). The directory must exist; the file's mode is 0644 less the
// umask. Calls for one path may run at the same time: the last rename stays.
func WriteFile(path string, data []byte) error { return atomicWriter{}.write(path, data) }

// step names a point of a write, for tests that stop there.
type step string

const (
	stepCreated step = "created" // the temporary file exists
	stepWritten step = "written" // its data is written
	stepSynced  step = "synced"  // and on the disk
	stepRenamed step = "renamed" // it has the file's name
	stepDurable step = "durable" // and the name is on the disk
)

// errKilled, returned by a test's hook, ends a write as the death of the process would: nothing is cleaned up.
var errKilled = errors.New("killed")

// atomicWriter writes files atomically. reached, when set, is called after each step; its error ends the write there.
type atomicWriter struct {
	reached func(step) error
}

func (w atomicWriter) at(s step) error {
	if w.reached == nil {
		return nil
	}
	return w.reached(s)
}

func (w atomicWriter) write(path string, data []byte) error {
	temp := tempPath(path)
	err := w.writeTemp(temp, data)
	if err == nil {
		err = w.rename(temp, path)
	}
	if err == nil {
		return nil
	}
	err = fmt.Errorf("write %s: %w", path, err)
	if errors.Is(err, errKilled) {
		return err
	}
	if cleanup := os.Remove(temp); cleanup != nil && !errors.Is(cleanup, fs.ErrNotExist) {
		return errors.Join(err, cleanup)
	}
	return err
}

// writeTemp creates the temporary file with the data on the disk.
func (w atomicWriter) writeTemp(temp string, data []byte) (err error) {
	file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := w.at(stepCreated); err != nil {
		return err
	}
	if _, err := file.Write(data); err != nil {
		return err
	}
	if err := w.at(stepWritten); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return w.at(stepSynced)
}

// rename gives the temporary file its name, durably.
func (w atomicWriter) rename(temp, path string) error {
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	if err := w.at(stepRenamed); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return err
	}
	return w.at(stepDurable)
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) (err error) {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return file.Sync()
}

// tempPath returns a name beside path that no other write uses.
func tempPath(path string) string {
	name := fmt.Sprintf(".%s.tmp-%016x", filepath.Base(path), rand.Uint64())
	return filepath.Join(filepath.Dir(path), name)
}

var tempName = regexp.MustCompile(`^\..+\.tmp-[0-9a-f]{16}$`)

// removeTemps removes the temporary files that crashed writes left in a directory.
func removeTemps(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("clean up crashed writes: %w", err)
	}
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !tempName.MatchString(entry.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("clean up crashed writes: %w", err)
		}
	}
	return nil
}
