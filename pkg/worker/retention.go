package worker

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Defaults of how long directories are kept after their last change.
const (
	KeepAttemptsDefault    = 7 * 24 * time.Hour
	KeepCheckpointsDefault = 14 * 24 * time.Hour
)

// sweepInterval is the time between two looks for directories that are kept no longer.
const sweepInterval = 10 * time.Minute

// startSweeps begins to remove old directories: of attempts, and below the shared root of checkpoints.
func (w *worker) startSweeps() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			w.sweep(ctx, time.Now())
			select {
			case <-ctx.Done():
				return
			case <-time.After(sweepInterval):
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// sweep removes what was not changed for too long. A directory of an attempt that this worker holds stays; others below a
// shared root are told by their age alone, so that age is meant to be longer than any task lives.
func (w *worker) sweep(ctx context.Context, now time.Time) {
	held := w.heldDirs()
	w.sweepBelow(ctx, filepath.Join(w.o.Dir, attemptsDirName), w.o.KeepAttempts, now, held)
	if w.o.CheckpointRoot != "" {
		w.sweepBelow(ctx, w.o.CheckpointRoot, w.o.KeepCheckpoints, now, held)
	}
}

// heldDirs are the directories of the attempts that are held.
func (w *worker) heldDirs() map[string]bool {
	held := map[string]bool{}
	for _, a := range w.ledger.everyRunning() {
		files := w.filesOf(a)
		held[files.dir], held[files.checkpoint] = true, true
	}
	return held
}

// sweepBelow removes the old directories of a layout root/run/task/attempt, and those of tasks and runs that are empty.
func (w *worker) sweepBelow(ctx context.Context, root string, keep time.Duration, now time.Time, held map[string]bool) {
	if keep < 0 {
		return
	}
	removed := 0
	for _, run := range subdirs(root) {
		for _, task := range subdirs(run) {
			for _, dir := range subdirs(task) {
				if ctx.Err() != nil {
					return
				}
				if held[dir] || now.Sub(changed(dir)) < keep {
					continue
				}
				if err := os.RemoveAll(dir); err != nil {
					w.log.Warn("cannot remove an old directory", "path", dir, "error", err)
					continue
				}
				removed++
			}
			removeEmpty(task, keep, now)
		}
		removeEmpty(run, keep, now)
	}
	if removed > 0 {
		w.metrics.swept.Add(float64(removed))
		w.log.Info("removed old directories", "below", root, "directories", removed, "unchanged for", keep)
	}
}

// removeEmpty removes a directory that has been empty for long: one that is new is about to be filled.
func removeEmpty(dir string, keep time.Duration, now time.Time) {
	if status, err := os.Stat(dir); err == nil && now.Sub(status.ModTime()) >= keep {
		_ = os.Remove(dir) // fails while there is anything in it
	}
}

// makeDir makes a directory with those above it. They may be removed, as empty, just when they are made: then it tries again.
func makeDir(dir string) error {
	err := os.MkdirAll(dir, 0o755)
	if errors.Is(err, fs.ErrNotExist) {
		err = os.MkdirAll(dir, 0o755)
	}
	return err
}

// subdirs returns the paths of the directories in dir; none when it cannot be read.
func subdirs(dir string) (paths []string) {
	entries, _ := os.ReadDir(dir)
	for _, entry := range entries {
		if entry.IsDir() {
			paths = append(paths, filepath.Join(dir, entry.Name()))
		}
	}
	return paths
}

// changed is the newest change of anything below dir. What cannot be read counts as changed just now.
func changed(dir string) (newest time.Time) {
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		status, err := entry.Info()
		if err == nil {
			newest = latest(newest, status.ModTime())
		}
		return err
	})
	if err != nil {
		return time.Now()
	}
	return newest
}
