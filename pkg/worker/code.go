package worker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"autoresearch/internal/code"
	"autoresearch/pkg/spec"
)

// What a task's source tree is made of: its bundle, kept below Options.Dir by its hash, and for each attempt a tree of its own
// unpacked from it, so that nothing an experiment does to its tree reaches another's. A bundle is believed only after its hash
// was computed, whether it comes from the object store or from the disk.

// codeDirName is the folder of bundles below Options.Dir.
const codeDirName = "code"

// CodeCacheDefault is how many bytes of bundles a worker keeps.
const CodeCacheDefault = 4 << 30

// codeCache keeps bundles by their hash. Its methods are safe for concurrent use.
type codeCache struct {
	dir string
	max int64
	mu  sync.Mutex // held while files come and go
}

func (c *codeCache) path(b spec.Blob) string { return filepath.Join(c.dir, b.Digest.String()) }

// keepSuffix ends the name of the note that says how long a bundle is kept after its last use: as the run says that used it last.
const keepSuffix = ".keep"

// get returns a bundle, nil when the disk does not give what its name says.
func (c *codeCache) get(b spec.Blob, keep time.Duration) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	bundle, err := os.ReadFile(c.path(b))
	if err != nil || !b.Names(bundle) {
		return nil
	}
	now := time.Now()
	_ = os.Chtimes(c.path(b), now, now)            // the last use; without it the bundle is evicted too early
	_ = writeRetention(c.path(b)+keepSuffix, keep) // without it what was noted before holds
	return bundle
}

// expire removes bundles that were not used for as long as they are kept.
func (c *codeCache) expire(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	entries, _ := os.ReadDir(c.dir) // there is none before the first bundle
	for _, entry := range entries {
		name, isNote := strings.CutSuffix(entry.Name(), keepSuffix)
		if !isNote {
			continue
		}
		bundle := filepath.Join(c.dir, name)
		status, err := os.Stat(bundle)
		if err == nil && now.Sub(status.ModTime()) < readRetention(bundle+keepSuffix) {
			continue
		}
		if err := removeBundle(bundle); err != nil {
			return err
		}
	}
	return nil
}

// removeBundle removes a bundle and its note, either of which may be missing; the note last, so that a crash leaves no bundle
// without.
func removeBundle(path string) error {
	for _, file := range []string{path, path + keepSuffix} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// put keeps a bundle, and removes those that were not used for the longest time as far as there is no room.
func (c *codeCache) put(b spec.Blob, bundle []byte, keep time.Duration) error {
	if c.max < 0 || b.Size > c.max {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return err
	}
	if err := c.makeRoom(c.max - b.Size); err != nil {
		return err
	}
	unfinished := c.path(b) + ".tmp"
	if err := os.WriteFile(unfinished, bundle, 0o444); err != nil {
		return errors.Join(err, os.Remove(unfinished))
	}
	if err := writeRetention(c.path(b)+keepSuffix, keep); err != nil {
		return errors.Join(err, os.Remove(unfinished))
	}
	return os.Rename(unfinished, c.path(b))
}

// makeRoom removes files, the oldest first and what a crash left unfinished, until the rest takes at most size bytes.
func (c *codeCache) makeRoom(size int64) error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	var files []fs.FileInfo
	for _, entry := range entries {
		if filepath.Ext(entry.Name()) == keepSuffix {
			continue
		}
		status, err := entry.Info()
		if err != nil {
			return err
		}
		files = append(files, status)
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for _, file := range files {
		if size -= file.Size(); size >= 0 && filepath.Ext(file.Name()) == "" {
			continue
		}
		if err := removeBundle(filepath.Join(c.dir, file.Name())); err != nil {
			return err
		}
	}
	return nil
}

// fetchCode gets the bundle of an attempt's source tree, from the disk or from the object store.
func (w *worker) fetchCode(a *attempt) error {
	b := a.dispatch.Task.Code.Bundle
	keep := a.dispatch.Recipe.KeepCode
	if a.bundle = w.code.get(b, keep); a.bundle != nil {
		w.metrics.codeHits.Inc()
		return nil
	}
	bundle, err := w.get(a, b)
	if err != nil {
		return err
	}
	w.metrics.codeMisses.Inc()
	if err := w.code.put(b, bundle, keep); err != nil {
		w.log.Warn("cannot keep a bundle of code: the next attempt fetches it again", "bundle", b.Digest, "error", err)
	}
	a.bundle = bundle
	return nil
}

// unpackCode makes an attempt's source tree, in place of what a try that a crash ended has left.
func (w *worker) unpackCode(a *attempt, files attemptFiles) error {
	if files.code == "" {
		return nil
	}
	if err := os.RemoveAll(files.code); err != nil {
		return fmt.Errorf("remove an old tree: %w", err)
	}
	if err := makeDir(files.code); err != nil {
		return err
	}
	limits := code.Limits{Bytes: a.dispatch.Task.Code.Bundle.Size, Files: code.FilesMax}
	err := code.Unpack(a.bundle, files.code, limits)
	a.bundle = nil
	return err
}

// removeCode removes the source tree of an attempt that has ended: its bundle is kept.
func (w *worker) removeCode(a *attempt) {
	if a.dispatch.Task.Code.IsZero() {
		return
	}
	if err := os.RemoveAll(w.filesOf(a).code); err != nil {
		w.log.Warn("cannot remove an attempt's source tree", "run", a.ref.Run, "task", a.ref.Task, "attempt", a.ref.Attempt, "error", err)
	}
}
