package verify_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/verify"
)

// journalOnly leaves nothing that a changed journal would not agree with.
func (r *remains) journalOnly() { r.mirror, r.workdir, r.workerDir = nil, "", "" }

// appended is the next record of the newest epoch, with these changes.
func (r *remains) appended(changes ...spec.Change) *bus.Record {
	next := *r.records[len(r.records)-1]
	next.Commit++
	next.Part, next.Parts, next.Meta, next.Changes = 1, 1, nil, changes
	r.records = append(r.records, &next)
	return r.records[len(r.records)-1]
}

// insert makes a commit of its own of changes, before the record at i.
func (r *remains) insert(i int, changes ...spec.Change) {
	commit := *r.records[i]
	commit.Meta, commit.Changes = nil, changes
	for _, later := range r.records[i:] {
		later.Commit++
	}
	r.records = slices.Insert(r.records, i, &commit)
}

// changes calls f for every change of a task, in order, until f returns false; "" is every task.
func (r *remains) changes(id spec.TaskID, f func(record *bus.Record, c *spec.Change) bool) {
	for _, record := range r.records {
		for i := range record.Changes {
			if c := &record.Changes[i]; (id == "" || c.Task.Spec.ID == id) && !f(record, c) {
				return
			}
		}
	}
}

// last returns a task as its last change left it, with its state half only.
func (r *remains) last(id spec.TaskID) *spec.Task {
	var last spec.Task
	r.changes(id, func(_ *bus.Record, c *spec.Change) bool { last = *c.Task; return true })
	return &last
}

// find returns the index of the first record with a change that ok accepts.
func (r *remains) find(t *testing.T, ok func(*spec.Change) bool) int {
	t.Helper()
	i := slices.IndexFunc(r.records, func(record *bus.Record) bool {
		return slices.ContainsFunc(record.Changes, func(c spec.Change) bool { return ok(&c) })
	})
	if i < 0 {
		t.Fatal("the run has no such record")
	}
	return i
}

// meta changes the run-level state in every record that carries it.
func (r *remains) meta(f func(*spec.Meta)) {
	for _, record := range r.records {
		if record.Meta != nil {
			f(record.Meta)
		}
	}
}

// value changes a task's value in the mirror.
func (r *remains) value(t *testing.T, id spec.TaskID, f func(*bus.MirrorValue)) {
	t.Helper()
	v, err := bus.DecodeMirrorValue(r.mirror[kv.TaskKey(id)])
	if err != nil {
		t.Fatal(err)
	}
	f(v)
	if r.mirror[kv.TaskKey(id)], err = bus.EncodeMirrorValue(v); err != nil {
		t.Fatal(err)
	}
}

// file changes a file of the workdir as a person does; with signed it passes for the engine's own.
func (r *remains) file(t *testing.T, name, old, new string, signed bool) {
	t.Helper()
	path := filepath.Join(r.workdir, filepath.FromSlash(name))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(text, []byte(old), []byte(new), 1)
	if bytes.Equal(changed, text) {
		t.Fatalf("%s does not have %q", name, old)
	}
	if signed {
		marks, err := snapshot.ReadMarks(snapshot.SidecarOf(path))
		if err == nil {
			err = snapshot.WriteMarked(path, changed, marks[0].JournalSeq)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := os.WriteFile(path, changed, 0o644); err != nil {
		t.Fatal(err)
	}
}

// note adds lines to the worker's attempt log.
func (r *remains) note(t *testing.T, ref spec.AttemptRef, what ...string) {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(r.workerDir, "attempts.log"), os.O_APPEND|os.O_WRONLY, 0)
	for _, w := range what {
		n := spec.AttemptNote{At: time.Now(), What: w, Worker: "w", Boot: 1, Run: runName, Task: ref.Task, Attempt: ref.Attempt, Claim: ref.Claim}
		if w == spec.NoteEnded {
			n.Outcome = spec.EndSucceeded
		}
		if err == nil {
			_, err = file.Write(spec.AppendNotes(nil, []spec.AttemptNote{n}))
		}
	}
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

// state is a change of the state half.
func state(t *spec.Task, f func(*spec.Task)) spec.Change {
	changed := *t
	f(&changed)
	return spec.Change{Task: &changed}
}

// corruptions are made by hand, one in each copy of a finished run, with the promises that are then broken: those, and no
// others.
var corruptions = map[string]struct {
	corrupt func(t *testing.T, r *remains)
	want    []verify.Invariant
}{
	"a child applied twice": {func(_ *testing.T, r *remains) {
		r.journalOnly()
		r.changes("r1", func(_ *bus.Record, c *spec.Change) bool {
			if c.Parts&spec.PartChildren != 0 {
				c.Task.Children = append(c.Task.Children, "r00")
			}
			return true
		})
	}, []verify.Invariant{verify.AppliedOnce}},
	"a task born twice": {func(_ *testing.T, r *remains) {
		r.journalOnly()
		r.appended(spec.Change{Parts: spec.PartSpec, Task: &spec.Task{
			Spec: spec.TaskSpec{ID: "new", Kind: "train"}, Seq: 3, State: spec.StateQueued,
		}}).Meta = &spec.Meta{Status: spec.StatusRunning, NextSeq: 100, NextOrder: 100}
	}, []verify.Invariant{verify.AppliedOnce}},
	"a lost task": {func(_ *testing.T, r *remains) {
		r.journalOnly()
		for _, record := range r.records {
			record.Changes = slices.DeleteFunc(record.Changes, func(c spec.Change) bool { return c.Task.Spec.ID == "s" })
		}
	}, []verify.Invariant{verify.NothingLost, verify.NoSilentDrop, verify.AppliedOnce}},
	"a task that never ended": {func(_ *testing.T, r *remains) {
		r.journalOnly()
		last := spec.TaskID("")
		r.changes("", func(_ *bus.Record, c *spec.Change) bool {
			if c.Task.State.Terminal() {
				last = c.Task.Spec.ID
			}
			return true
		})
		for _, record := range r.records {
			record.Changes = slices.DeleteFunc(record.Changes, func(c spec.Change) bool {
				return c.Task.Spec.ID == last && c.Task.State >= spec.StateReported
			})
		}
	}, []verify.Invariant{verify.NothingLost}},
	"a record of an old epoch after a newer one": {func(_ *testing.T, r *remains) {
		r.journalOnly()
		epoch := r.appended()
		epoch.Kind, epoch.Epoch, epoch.Writer = bus.RecordEpoch, 2, 77
		late := r.appended()
		late.Kind, late.Epoch = bus.RecordCommit, 1
	}, []verify.Invariant{verify.Fenced}},
	"two writers in an epoch": {func(_ *testing.T, r *remains) {
		r.journalOnly()
		r.appended().Writer++
	}, []verify.Invariant{verify.Fenced}},
	"a commit number left out": {func(_ *testing.T, r *remains) {
		r.journalOnly()
		for _, record := range r.records[len(r.records)/2:] {
			record.Commit++
		}
	}, []verify.Invariant{verify.Fenced}},
	"a record of another run": {func(_ *testing.T, r *remains) {
		r.journalOnly()
		r.appended().RunID = "another"
	}, []verify.Invariant{verify.Fenced}},
	"a record with a flipped bit": {func(_ *testing.T, r *remains) {
		r.journalOnly()
		r.damage[len(r.records)/2] = func(data []byte) { data[len(data)/2] ^= 1 }
	}, []verify.Invariant{verify.OneTruth}},
	"an outcome changed after the end": {func(_ *testing.T, r *remains) {
		r.journalOnly()
		r.appended(state(r.last("r00"), func(t *spec.Task) { t.State = spec.StateFailed }))
	}, []verify.Invariant{verify.AppliedOnce}},
	"another outcome before the end": {func(_ *testing.T, r *remains) {
		r.journalOnly()
		r.changes("r00", func(_ *bus.Record, c *spec.Change) bool {
			if c.Task.State == spec.StateCompleted {
				c.Parts |= spec.PartOutcome
				c.Task.Outcome = &spec.Outcome{Order: 1, Attempt: 1, Claim: 4711}
			}
			return true
		})
	}, []verify.Invariant{verify.AppliedOnce}},
	"the budget exceeded": {func(_ *testing.T, r *remains) {
		r.journalOnly()
		r.meta(func(m *spec.Meta) { m.Rules.Budget = 1 })
	}, []verify.Invariant{verify.Budget}},
	"a dispatch while paused": {func(_ *testing.T, r *remains) {
		r.journalOnly()
		r.meta(func(m *spec.Meta) { m.Paused = true })
	}, []verify.Invariant{verify.Budget}},
	"a forged attempt": {func(t *testing.T, r *remains) {
		r.journalOnly()
		i := r.find(t, func(c *spec.Change) bool { return c.Task.Spec.ID == "r00" && c.Task.State == spec.StateDispatched })
		for _, record := range r.records[i:] {
			for _, c := range record.Changes {
				if c.Task.Spec.ID == "r00" {
					c.Task.Attempt++
					if c.Task.Lease != nil {
						c.Task.Lease.Attempt++
					}
				}
			}
		}
	}, []verify.Invariant{verify.Budget}},
	"a second attempt without a lapse": {func(t *testing.T, r *remains) {
		r.journalOnly()
		r.meta(func(m *spec.Meta) { m.Rules.Budget = 100 })
		dispatched := func(c *spec.Change) bool { return c.Task.Spec.ID == "r1" && c.Task.State == spec.StateDispatched }
		i := r.find(t, dispatched)
		running := r.last("r1")
		r.changes("r1", func(_ *bus.Record, c *spec.Change) bool {
			c.Task.Failures = 0
			if dispatched(c) && c.Task.Attempt == 1 {
				*running = *c.Task
				running.State, running.Lease = spec.StateRunning, &spec.Lease{Attempt: 1, Claim: 7, Worker: "w", Boot: 1, Class: spec.ClassDefault}
			}
			return true
		})
		for _, record := range r.records { // what came between the two attempts is left out
			record.Changes = slices.DeleteFunc(record.Changes, func(c spec.Change) bool {
				return c.Task.Spec.ID == "r1" && c.Task.Attempt == 1 && c.Task.State != spec.StateDispatched
			})
		}
		r.insert(i+1, spec.Change{Task: running})
	}, []verify.Invariant{verify.Budget}},
	"more spent than the lease that ended": {func(_ *testing.T, r *remains) {
		r.journalOnly()
		r.changes("r00", func(_ *bus.Record, c *spec.Change) bool {
			if c.Task.State >= spec.StateReported {
				c.Task.Spent.GPUTime += time.Second
			}
			return true
		})
	}, []verify.Invariant{verify.Budget}},
	"engine time that runs back": {func(_ *testing.T, r *remains) {
		r.journalOnly()
		r.appended().Time = 0
	}, []verify.Invariant{verify.Budget}},
	"something more urgent passed over": {func(_ *testing.T, r *remains) {
		r.journalOnly()
		r.changes("s", func(_ *bus.Record, c *spec.Change) bool { c.Task.Priority = -9; return true })
		r.changes("r", func(_ *bus.Record, c *spec.Change) bool { c.Task.Priority = 9; return true })
		r.meta(func(m *spec.Meta) { m.Rules.Budget = 100 })
		dispatchedApart(r)
	}, []verify.Invariant{verify.InOrder}},
	"a watermark that goes back": {func(_ *testing.T, r *remains) {
		r.journalOnly()
		r.appended().Watermark = 0
	}, []verify.Invariant{verify.NoSilentDrop}},
	"a flipped value of the mirror": {func(t *testing.T, r *remains) {
		r.value(t, "r00", func(v *bus.MirrorValue) { v.Task.Priority = 5 })
	}, []verify.Invariant{verify.OneTruth}},
	"a flipped bit of the mirror": {func(_ *testing.T, r *remains) {
		value := r.mirror[kv.TaskKey("r00")]
		value[len(value)/2] ^= 1
	}, []verify.Invariant{verify.OneTruth}},
	"a missing key of the mirror": {func(_ *testing.T, r *remains) {
		delete(r.mirror, kv.TaskKey("r00"))
	}, []verify.Invariant{verify.OneTruth}},
	"a mirror that does not follow": {func(t *testing.T, r *remains) {
		r.value(t, "r00", func(v *bus.MirrorValue) {
			for i, record := range r.records { // to right before its newest change
				if slices.ContainsFunc(record.Changes, func(c spec.Change) bool { return c.Task.Spec.ID == "r00" }) {
					v.JournalSeq = uint64(i)
				}
			}
		})
	}, []verify.Invariant{verify.OneTruth}},
	"a mirror beyond the journal": {func(t *testing.T, r *remains) {
		m, err := bus.DecodeMirrorMeta(r.mirror[kv.KeyMeta])
		if err != nil {
			t.Fatal(err)
		}
		m.JournalSeq++
		if r.mirror[kv.KeyMeta], err = bus.EncodeMirrorMeta(m); err != nil {
			t.Fatal(err)
		}
	}, []verify.Invariant{verify.OneTruth}},
	"an edited tree": {func(t *testing.T, r *remains) {
		r.file(t, "engine/tree.json", `"status": "completed"`, `"status": "failed"`, false)
	}, []verify.Invariant{verify.OneTruth}},
	"a tree that the engine wrote wrongly": {func(t *testing.T, r *remains) {
		r.file(t, "engine/tree.json", `"loss": 1.0`, `"loss": 1.5`, true)
	}, []verify.Invariant{verify.OneTruth}},
	"an edited snapshot": {func(t *testing.T, r *remains) {
		r.file(t, spec.EngineStateFile, `"queued": []`, `"queued": [{"id": "x"}]`, false)
	}, []verify.Invariant{verify.OneTruth}},
	"a snapshot that the engine wrote wrongly": {func(t *testing.T, r *remains) {
		file := snapshot.Reader(r.workdir)
		marks, err := snapshot.ReadMarks(filepath.Join(r.workdir, "engine", "engine_state.sha256"))
		if err == nil {
			err = file.WriteAt(spec.EngineState{Status: spec.StatusStopped, Running: []spec.TaskSpec{{ID: "r"}}}, marks[0].JournalSeq)
		}
		if err != nil {
			t.Fatal(err)
		}
	}, []verify.Invariant{verify.OneTruth}},
	"a run.json beyond the journal": {func(t *testing.T, r *remains) {
		r.file(t, snapshot.RunFile, `"journal_seq": `, `"journal_seq": 9`, false)
	}, []verify.Invariant{verify.OneTruth}},
	"an execution that was never dispatched": {func(t *testing.T, r *remains) {
		r.note(t, spec.AttemptRef{Task: "r00", Attempt: 9, Claim: 5}, spec.NoteStarted)
	}, []verify.Invariant{verify.Budget}},
	"an execution of a task that nobody knows": {func(t *testing.T, r *remains) {
		r.note(t, spec.AttemptRef{Task: "nobody", Attempt: 1, Claim: 5}, spec.NoteStarted)
	}, []verify.Invariant{verify.NothingLost}},
	"a result receipted and never journaled": {func(_ *testing.T, r *remains) {
		r.mirror, r.workdir = nil, ""
		// The journal ends before the last report.
		var last int
		for i, record := range r.records {
			if slices.ContainsFunc(record.Changes, func(c spec.Change) bool { return c.Task.State == spec.StateReported }) {
				last = i
			}
		}
		r.records = r.records[:last]
	}, []verify.Invariant{verify.NoSilentDrop}},
}

// dispatchedApart lets the first task be dispatched one record before the second.
func dispatchedApart(r *remains) {
	for i, record := range r.records {
		both := slices.IndexFunc(record.Changes, func(c spec.Change) bool {
			return c.Task.Spec.ID == "s" && c.Task.State == spec.StateDispatched
		})
		if both < 0 {
			continue
		}
		dispatched := record.Changes[both].Task
		queued := *dispatched
		queued.State, queued.Attempt, queued.Lease = spec.StateQueued, 0, nil
		record.Changes[both].Task = &queued
		r.insert(i+1, spec.Change{Task: dispatched})
		return
	}
}

func TestCorruptionsAreFound(t *testing.T) {
	t.Parallel()
	for name, c := range corruptions {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := copyOf(t)
			c.corrupt(t, r)
			report := r.check(t)
			got := make(map[verify.Invariant]bool)
			for _, v := range report.Violations {
				got[v.Invariant] = true
				if v.Text == "" || !slices.Contains(c.want, v.Invariant) {
					t.Errorf("found beyond that: %s", v)
				}
			}
			for _, want := range c.want {
				if !got[want] {
					t.Errorf("%s was not found; found %v", want, report.Violations)
				}
			}
		})
	}
}
