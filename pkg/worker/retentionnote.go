package worker

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// How long a run's checkpoints are kept its coordinator says, in each recipe. The worker notes it in a file beside the
// directories of the run's tasks: so whoever sweeps there heeds it, this worker after a restart and others that share the path.

// keepFileName is that file. No task's directory has its name: an encoded one holds no dot.
const keepFileName = "checkpoints.keep"

// runDir is the directory of an attempt's run, where its checkpoints lie: above those of the task and of the attempt.
func (w *worker) runDir(files attemptFiles) string {
	attempt := files.dir
	if w.o.CheckpointRoot != "" {
		attempt = files.checkpoint
	}
	return filepath.Dir(filepath.Dir(attempt))
}

// noteRetention notes how long the checkpoints of an attempt's run are kept. A recipe that does not say so leaves it to the
// workers again. A note that cannot be written costs no attempt.
func (w *worker) noteRetention(a *attempt, files attemptFiles) {
	dir, keep := w.runDir(files), a.dispatch.Recipe.KeepCheckpoints
	if keep > 0 && w.o.CheckpointRoot == "" {
		w.laidOut.add(dir)
	}
	if err := writeRetention(filepath.Join(dir, keepFileName), keep); err != nil {
		w.log.Warn("cannot note how long checkpoints are kept: what was noted before holds", "run", a.ref.Run, "keep", keep, "error", err)
	}
}

// writeRetention writes a note unless it says so already. One that a crash cuts short is empty: then
// nothing is removed until the next attempt writes it again.
func writeRetention(path string, keep time.Duration) error {
	if keep <= 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text := keep.String() + "\n"
	if noted, err := os.ReadFile(path); err == nil && string(noted) == text {
		return nil
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// retentionIn reads the note in a run's directory.
func retentionIn(dir string) time.Duration { return readRetention(filepath.Join(dir, keepFileName)) }

// readRetention reads a note; 0 where there is none. What it is of is kept for ever while it cannot be read.
func readRetention(path string) time.Duration {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0
	}
	keep, parseErr := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil || parseErr != nil || keep <= 0 {
		return forever
	}
	return keep
}

// placeSet is a set of directories. Its methods are safe for concurrent use.
type placeSet struct {
	mu   sync.Mutex
	dirs map[string]bool
}

func (p *placeSet) add(dir string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dirs == nil {
		p.dirs = map[string]bool{}
	}
	p.dirs[dir] = true
}

// runDirs are the directories of runs in which attempts' directories lie: those of the worker's own layout, and where
// Options.AttemptDir lays them out otherwise, those that this process was told how long to keep checkpoints in.
func (w *worker) runDirs() []string {
	dirs := subdirs(filepath.Join(w.o.Dir, attemptsDirName))
	w.laidOut.mu.Lock()
	defer w.laidOut.mu.Unlock()
	for dir := range w.laidOut.dirs {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}
