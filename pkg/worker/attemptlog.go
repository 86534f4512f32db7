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

// attemptLog notes what the worker executes, for `autoresearch verify`, in lines of JSON (spec.AttemptNote): each start of the
// process, and each start, end and receipt of an attempt. A start or an end is in the file before it has happened; the file is
// not synced, so a power cut may take the newest lines. It decides nothing: when it cannot be written the worker goes on. Its
// methods may be called concurrently.
type attemptLog struct {
	path string
	who  identity
	log  *slog.Logger
	max  int64

	mu     sync.Mutex
	file   *os.File
	size   int64
	notes  []spec.AttemptNote // not written yet
	buf    []byte
	failed bool // the newest write failed: it was said
}

// openAttemptLog opens the log of a worker directory. A line that a crash cut short is ended, so that it spoils no other.
func openAttemptLog(dir string, who identity, log *slog.Logger) (*attemptLog, error) {
	l := &attemptLog{path: filepath.Join(dir, attemptLogName), who: who, log: log, max: attemptLogMax}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("open attempt log: %w", err)
	}
	l.notes = append(l.notes, spec.AttemptNote{What: spec.NoteBoot})
	l.write()
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
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range attempts {
		n := noteOf(spec.NoteStarted, a.ref)
		n.RunID = a.dispatch.RunID
		l.notes = append(l.notes, n)
	}
	l.write()
}

// dropped notes that an attempt ended whose result goes nowhere.
func (l *attemptLog) dropped(ref spec.AttemptRef, ending string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noteEnd(ref, ending)
	l.write()
}

// ended notes that the attempts of some results ended, and that the journal has others.
func (l *attemptLog) ended(results, receipted []*result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range results {
		l.noteEnd(r.ref, r.ending)
	}
	for _, r := range receipted {
		l.notes = append(l.notes, noteOf(spec.NoteReceipted, r.ref))
	}
	l.write()
}

func (l *attemptLog) noteEnd(ref spec.AttemptRef, ending string) {
	n := noteOf(spec.NoteEnded, ref)
	n.Outcome = ending
	l.notes = append(l.notes, n)
}

func noteOf(what string, ref spec.AttemptRef) spec.AttemptNote {
	return spec.AttemptNote{What: what, Run: ref.Run, Task: ref.Task, Attempt: ref.Attempt, Claim: ref.Claim}
}

// write writes what is noted in one go, as of now.
func (l *attemptLog) write() {
	if len(l.notes) == 0 {
		return
	}
	now := time.Now()
	for i := range l.notes {
		n := &l.notes[i]
		n.At, n.Worker, n.Boot = now, l.who.ID, l.who.Boot
	}
	l.buf = spec.AppendNotes(l.buf[:0], l.notes)
	l.notes = l.notes[:0]
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
