package verify

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"autoresearch/pkg/spec"
)

// attemptLog is the worker's log below its directory; the older half has the suffix .1.
const attemptLog = "attempts.log"

// execution is one execution of an attempt, as a worker's log tells it.
type execution struct {
	spec.AttemptRef
	runID          string
	dir            string // of the log
	worker         spec.WorkerID
	boot           uint64
	started, ended time.Time // ended: zero while it runs, and when its worker died
	outcome        string
	receipted      bool
}

// executions is what the workers' logs say of one run.
type executions struct {
	logs  int
	list  []*execution
	boots map[spec.WorkerID]uint64 // the newest of each worker whose log was read
}

// readAttempts reads the logs of worker directories. A line that cannot be read is passed over and said.
func readAttempts(dirs []string, run spec.RunName, found *findings) (*executions, error) {
	e := &executions{boots: make(map[spec.WorkerID]uint64)}
	for _, dir := range dirs {
		notes, err := readNotes(dir, found)
		if errors.Is(err, fs.ErrNotExist) {
			found.pass("%s has no %s: what its worker executed is not known", dir, attemptLog)
			continue
		}
		if err != nil {
			return nil, err
		}
		e.logs++
		e.take(dir, notes, run)
	}
	return e, nil
}

// readNotes reads both halves of a log, oldest line first. The newer half is read first: if it becomes the older one
// meanwhile, it is there twice.
func readNotes(dir string, found *findings) ([]spec.AttemptNote, error) {
	path := filepath.Join(dir, attemptLog)
	newer, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read attempt log: %w", err)
	}
	older, err := os.ReadFile(path + ".1")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read attempt log: %w", err)
	}
	var notes []spec.AttemptNote
	damaged := 0
	for _, text := range [][]byte{older, newer} {
		for line := range bytes.Lines(text) {
			noted, err := spec.DecodeAttemptNotes(line)
			if err != nil {
				damaged++
			}
			notes = append(notes, noted...)
		}
	}
	if damaged > 1 { // one is what a crash leaves, or a line that is just being written
		found.pass("%s: %d lines cannot be read", path, damaged)
	}
	return notes, nil
}

// take turns the notes of one log into executions.
func (e *executions) take(dir string, notes []spec.AttemptNote, run spec.RunName) {
	open := make(map[spec.ClaimID]*execution)
	for _, n := range notes {
		e.boots[n.Worker] = max(e.boots[n.Worker], n.Boot)
		if n.Run != run {
			continue
		}
		x := open[n.Claim]
		switch {
		case n.What == spec.NoteStarted && x == nil:
			x = &execution{
				AttemptRef: spec.AttemptRef{Run: n.Run, Task: n.Task, Attempt: n.Attempt, Claim: n.Claim},
				runID:      n.RunID, dir: dir, worker: n.Worker, boot: n.Boot, started: n.At,
			}
			open[n.Claim] = x
			e.list = append(e.list, x)
		case x == nil: // its start is not in the log any more
		case n.What == spec.NoteEnded:
			x.ended, x.outcome = n.At, n.Outcome
		case n.What == spec.NoteReceipted:
			x.receipted = true
		}
	}
}

// judgeExecutions holds what workers executed against the journal.
func (f *Fold) judgeExecutions(e *executions) {
	f.counts.WorkerLogs = e.logs
	byTask := make(map[spec.TaskID][]*execution)
	for _, x := range e.list {
		if x.runID != "" && x.runID != f.runID {
			continue // of an earlier run of the same name
		}
		f.counts.Executions++
		f.judgeExecution(x, e.boots[x.worker])
		byTask[x.Task] = append(byTask[x.Task], x)
	}
	for _, list := range byTask {
		f.overlaps(list)
	}
}

// judgeExecution holds that an execution was dispatched, and that its result, once receipted, is in the journal.
func (f *Fold) judgeExecution(x *execution, boot uint64) {
	t, known := f.tasks[x.Task]
	at := Violation{Invariant: NothingLost, Task: x.Task, Attempt: x.Attempt, File: filepath.Join(x.dir, attemptLog)}
	if !known {
		f.violate(at, "it was executed, and the journal does not know the task")
		return
	}
	if at.Invariant = Budget; x.Attempt == 0 || x.Attempt > t.attempt {
		f.violate(at, "it was executed, and the journal dispatched %d attempts", t.attempt)
		return
	}
	fate := t.fateOf(x.AttemptRef, x.outcome == spec.EndSucceeded)
	at.Invariant = AppliedOnce
	if fate == applied && !t.failed && x.outcome != "" && x.outcome != spec.EndSucceeded {
		f.violate(at, "it decided its task as a success, and its worker noted that it %s", x.outcome)
	}
	if x.outcome == "" || x.outcome == spec.EndDropped {
		if fate != applied && fate != counted && (x.outcome != "" || boot > x.boot || t.state.Terminal()) {
			f.counts.Wasted++
		}
		return
	}
	f.counts.Reports++
	f.countFate(fate)
	if fate == superseded {
		f.counts.Wasted++
	}
	at.Invariant = NoSilentDrop
	if x.receipted && fate == awaited {
		f.violate(at, "its result (%s) was receipted, and the journal does not have it", x.outcome)
	}
}

// overlaps holds that two executions of a task ran at one time only where a lease had lapsed. Clocks of different
// machines differ: between them it is a doubt.
func (f *Fold) overlaps(list []*execution) {
	slices.SortFunc(list, func(a, b *execution) int { return cmp.Compare(a.Attempt, b.Attempt) })
	for i, later := range list {
		for _, earlier := range list[:i] {
			if earlier.Attempt == later.Attempt || !f.reported(earlier) || earlier.ended.IsZero() {
				continue
			}
			switch over := earlier.ended.Sub(later.started); {
			case earlier.dir == later.dir && over > 0:
				f.violate(Violation{Invariant: Budget, Task: later.Task, Attempt: later.Attempt, File: filepath.Join(later.dir, attemptLog)},
					"it began while attempt %d still ran, and no lease had lapsed", earlier.Attempt)
			case over > clockDifference:
				f.doubt("task %q: attempt %d in %s began %v before attempt %d in %s ended, and no lease had lapsed: or their clocks differ",
					later.Task, later.Attempt, later.dir, over, earlier.Attempt, earlier.dir)
			}
		}
	}
}

// clockDifference is how far the clocks of two machines may be apart without a doubt.
const clockDifference = 5 * time.Second

// reported reports whether an execution held its task until it reported its end.
func (f *Fold) reported(x *execution) bool {
	return slices.Contains(f.tasks[x.Task].pastOf(), holding{attempt: x.Attempt, claim: x.Claim})
}

func (t *task) pastOf() []holding {
	if t == nil {
		return nil
	}
	return t.past
}
