package worker

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Defaults of how long directories are kept after their last change, where the run says nothing of its checkpoints.
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
	if err := w.code.expire(now); err != nil {
		w.log.Warn("cannot remove a bundle of code that is kept no longer", "error", err)
	}
	held := w.heldDirs()
	for _, run := range w.runDirs() {
		w.sweepRun(ctx, runSweep{dir: run, keep: w.o.KeepAttempts, keepCheckpoints: retentionIn(run), now: now, held: held})
	}
	if w.o.CheckpointRoot == "" {
		return
	}
	for _, run := range subdirs(w.o.CheckpointRoot) {
		keep := cmp.Or(retentionIn(run), w.o.KeepCheckpoints)
		w.sweepRun(ctx, runSweep{dir: run, keep: keep, now: now, held: held})
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

// runSweep is a look at the directories of a run, laid out as dir/task/attempt.
type runSweep struct {
	dir string
	// keep is how long the directory of an attempt is kept; negative: for ever. keepCheckpoints is how long the checkpoint in
	// it, whatever becomes of the rest; 0: as long as the directory.
	keep, keepCheckpoints time.Duration
	now                   time.Time
	held                  map[string]bool
}

// sweepRun removes what is old of a run, and its directories of tasks, and its own, that are empty.
func (w *worker) sweepRun(ctx context.Context, s runSweep) {
	removed := 0
	for _, task := range subdirs(s.dir) {
		for _, dir := range subdirs(task) {
			if ctx.Err() != nil {
				return
			}
			old := s.oldIn(dir)
			if old == "" || s.held[dir] {
				continue
			}
			if err := removeOld(dir, old); err != nil {
				w.log.Warn("cannot remove an old directory", "path", old, "error", err)
				continue
			}
			removed++
		}
		s.removeEmpty(task)
	}
	s.removeEmpty(s.dir)
	if removed > 0 {
		w.metrics.swept.Add(float64(removed))
		w.log.Info("removed old directories", "below", s.dir, "directories", removed)
	}
}

// oldIn names what is to be removed of an attempt's directory: all of it, its checkpoint, or nothing.
func (s *runSweep) oldIn(dir string) string {
	checkpoint := filepath.Join(dir, checkpointDirName)
	switch {
	case s.keepCheckpoints == 0 || !holdsFiles(checkpoint):
		if s.isOld(dir, s.keep) {
			return dir
		}
	case !s.isOld(checkpoint, s.keepCheckpoints): // the rest waits for it
	case s.isOld(dir, s.keep):
		return dir
	default:
		return checkpoint
	}
	return ""
}

func (s *runSweep) isOld(dir string, keep time.Duration) bool {
	return keep >= 0 && s.now.Sub(changed(dir)) >= keep
}

// removeOld removes what is old of an attempt's directory. The rest is no younger for it.
func removeOld(dir, old string) error {
	before, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(old); err != nil || old == dir {
		return err
	}
	return os.Chtimes(dir, before.ModTime(), before.ModTime())
}

// removeEmpty removes a directory that has held no other for long: one that is new is about to be filled.
func (s *runSweep) removeEmpty(dir string) {
	status, err := os.Stat(dir)
	if err != nil || s.keep < 0 || s.now.Sub(status.ModTime()) < s.keep || len(subdirs(dir)) > 0 {
		return
	}
	_ = os.Remove(filepath.Join(dir, keepFileName)) // only a run's has one
	_ = os.Remove(dir)                              // fails while there is anything in it
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
