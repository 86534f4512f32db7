package worker

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"autoresearch/pkg/spec"
)

// attemptLogMax is the size at which attempts.log becomes attempts.log.1, whose place it takes: so much is kept of each.
const attemptLogMax = 8 << 20

// attemptLog notes what the worker executes, for `autoresearch verify`: one line of JSON (spec.AttemptNote) for each
// start of the process, and for each start, end and receipt of an attempt. A line is in the file before what it tells of
// has happened; it is not synced, so a power cut may take the newest. It decides nothing: when it cannot be written the
// worker goes on. Its methods may be called concurrently.
type attemptLog struct {
	path string
	who  identity
	log  *slog.Logger
	max  int64

	mu     sync.Mutex
	file   *os.File
	size   int64
	buf    []byte
	failed bool // the newest write failed: it was said
}

// openAttemptLog opens the log of a worker directory. A line that a crash cut short is ended, so that it spoils no other.
func openAttemptLog(dir string, who identity, log *slog.Logger) (*attemptLog, error) {
	l := &attemptLog{path: filepath.Join(dir, attemptLogName), who: who, log: log, max: attemptLogMax}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("open attempt log: %w", err)
	}
	l.write(spec.AttemptNote{What: spec.NoteBoot})
	return l, nil
}

func (l *attemptLog) open() error {
	file, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	status, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	l.file, l.size = file, status.Size()
	last := make([]byte, 1)
	if _, err := file.ReadAt(last, l.size-1); err == nil && last[0] != '\n' {
		_, err = file.WriteString("\n")
		l.size++
		return err
	}
	return nil
}

// started notes that an attempt is about to be executed.
func (l *attemptLog) started(a *attempt) {
	l.write(spec.AttemptNote{
		What: spec.NoteStarted, Run: a.ref.Run, RunID: a.dispatch.RunID, Task: a.ref.Task, Attempt: a.ref.Attempt, Claim: a.ref.Claim,
	})
}

// note writes what happens to one attempt; outcome is "" unless it ended.
func (l *attemptLog) note(what string, ref spec.AttemptRef, outcome string) {
	l.write(spec.AttemptNote{
		What: what, Run: ref.Run, Task: ref.Task, Attempt: ref.Attempt, Claim: ref.Claim, Outcome: outcome,
	})
}

func (l *attemptLog) write(n spec.AttemptNote) {
	n.At, n.Worker, n.Boot = time.Now(), l.who.ID, l.who.Boot
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = n.AppendLine(l.buf[:0])
	err := l.makeRoom()
	if err == nil {
		var written int
		written, err = l.file.Write(l.buf)
		l.size += int64(written)
	}
	if err != nil && !l.failed {
		l.log.Warn("cannot note what is executed: autoresearch verify will know less", "error", err)
	}
	l.failed = err != nil
}

// makeRoom puts a full file in the place of the one before it.
func (l *attemptLog) makeRoom() error {
	if l.size+int64(len(l.buf)) <= l.max {
		return nil
	}
	if err := os.Rename(l.path, l.path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	old := l.file
	if err := l.open(); err != nil {
		return err
	}
	return old.Close()
}

func (l *attemptLog) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Close()
}

// ending names how an attempt ended, for the log.
func (o *outcome) ending() string {
	switch {
	case o.discarded:
		return spec.EndDropped
	case o.preempted:
		return spec.EndPreempted
	case o.result.Failure != nil:
		return spec.EndFailed
	}
	return spec.EndSucceeded
}
