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

// started notes that attempts are about to be executed.
func (l *attemptLog) started(attempts []*attempt) {
	notes := make([]spec.AttemptNote, len(attempts))
	for i, a := range attempts {
		notes[i] = noteOf(spec.NoteStarted, a.ref)
		notes[i].RunID = a.dispatch.RunID
	}
	l.write(notes...)
}

// dropped notes that an attempt ended whose result goes nowhere.
func (l *attemptLog) dropped(ref spec.AttemptRef, ending string) {
	n := noteOf(spec.NoteEnded, ref)
	n.Outcome = ending
	l.write(n)
}

// ended notes that the attempts of results ended, receipted that the journal has the results.
func (l *attemptLog) ended(results []*result) {
	notes := make([]spec.AttemptNote, len(results))
	for i, r := range results {
		notes[i] = noteOf(spec.NoteEnded, r.ref)
		notes[i].Outcome = r.ending
	}
	l.write(notes...)
}

func (l *attemptLog) receipted(results []*result) {
	notes := make([]spec.AttemptNote, len(results))
	for i, r := range results {
		notes[i] = noteOf(spec.NoteReceipted, r.ref)
	}
	l.write(notes...)
}

func noteOf(what string, ref spec.AttemptRef) spec.AttemptNote {
	return spec.AttemptNote{What: what, Run: ref.Run, Task: ref.Task, Attempt: ref.Attempt, Claim: ref.Claim}
}

// write writes notes of one moment in one go.
func (l *attemptLog) write(notes ...spec.AttemptNote) {
	if len(notes) == 0 {
		return
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = l.buf[:0]
	for _, n := range notes {
		n.At, n.Worker, n.Boot = now, l.who.ID, l.who.Boot
		l.buf = n.AppendLine(l.buf)
	}
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
