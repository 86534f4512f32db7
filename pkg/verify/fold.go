package verify

import (
	"fmt"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// Fold is what a journal adds up to, and what was wrong with it. It takes one record after the other and keeps of each
// task what later records, and the other sources, are compared with; bodies and payloads it keeps as checksums.
//
// A journal that cannot be read on from some record, or lacks one, is not judged beyond: see broken.
type Fold struct {
	findings
	counts Counts

	run       spec.RunName // as the caller names it
	runID     string
	seq       uint64 // the newest record read
	epoch     uint64
	commit    uint64 // the newest applied
	commitSeq uint64 // where it is
	writer    uint64 // of the epoch
	time      spec.EngineTime
	wall      spec.WallTime // of the newest record, by its writer's clock
	watermark uint64
	meta      spec.Meta
	series    []*bus.Record // an incomplete one

	tasks   map[spec.TaskID]*task
	arrival uint64 // the highest arrival number
	order   uint64 // the highest outcome number
	live    int    // tasks that have not ended
	vague   int    // tasks whose state is not known yet

	leases  int            // of counted kinds
	byClass map[string]int // leases, of all kinds
	ready   map[string]*ready
	boots   map[spec.WorkerID]uint64 // the highest boot number that a lease names
	stale   []suspicion
	again   bool // what looks like a purge that was not announced is one
	broken  bool // a record is missing or unreadable: what tasks became afterwards is not known
}

// NewFold returns the fold of an empty journal.
func NewFold() *Fold {
	return &Fold{
		tasks: make(map[spec.TaskID]*task), byClass: make(map[string]int), ready: make(map[string]*ready),
		boots: make(map[spec.WorkerID]uint64),
	}
}

// Seq returns the position of the newest record read.
func (f *Fold) Seq() uint64 { return f.seq }

// Settled reports whether the newest record ended a commit: only then the fold is the state of a run.
func (f *Fold) Settled() bool { return f.seq == f.commitSeq }

// Read takes the record at seq.
func (f *Fold) Read(seq uint64, data []byte) {
	if seq != f.seq+1 && f.counts.Records > 0 {
		f.violate(Violation{Invariant: NothingLost, Record: seq}, "it follows record %d: what was between is gone", f.seq)
		f.broken = true
	}
	f.seq = seq
	f.counts.Records++
	r, err := bus.DecodeRecord(data)
	if err != nil {
		f.violate(Violation{Invariant: OneTruth, Record: seq}, "it cannot be read: %v", err)
		f.broken, f.series = true, nil
		return
	}
	if !f.fence(r) {
		f.commitSeq = seq // what was refused changes nothing
		return
	}
	f.series = append(f.series, r)
	if r.Part < r.Parts {
		return
	}
	series := f.series
	f.series = nil
	f.rate(r)
	f.apply(series)
	f.commit, f.commitSeq, f.time, f.wall = r.Commit, seq, max(f.time, r.Time), r.Wall
	f.counts.Commits++
}

// fence holds the journal's rules and reports whether the record counts: one run, one writer an epoch, none of an older
// epoch, no commit number left out or twice, parts in order, engine time that never runs back.
func (f *Fold) fence(r *bus.Record) (counts bool) {
	at := Violation{Invariant: Fenced, Record: f.seq, Commit: r.Commit}
	switch {
	case f.runID != "" && r.RunID != f.runID:
		f.violate(at, "it is of run %s, the journal of run %s", r.RunID, f.runID)
		return false
	case r.Epoch < f.epoch:
		f.violate(at, "it is of epoch %d, and epoch %d had begun", r.Epoch, f.epoch)
		return false
	case r.Kind == bus.RecordEpoch && r.Epoch == f.epoch:
		f.violate(at, "epoch %d begins a second time", r.Epoch)
	case r.Kind != bus.RecordEpoch && r.Epoch > f.epoch:
		f.violate(at, "epoch %d began without its epoch record", r.Epoch)
	case r.Kind != bus.RecordEpoch && r.Writer != f.writer:
		f.violate(at, "epoch %d has a second writer: %x, its epoch record is of %x", r.Epoch, r.Writer, f.writer)
	}
	if r.Kind == bus.RecordEpoch {
		f.counts.Epochs++
		f.series = nil // its writer was fenced before its end: it never happened
	}
	f.numbers(at, r)
	if r.Writer != f.writer {
		f.wall = 0 // another clock
	}
	f.runID, f.epoch, f.writer = r.RunID, r.Epoch, r.Writer
	return true
}

// numbers holds that commits, parts and engine time go on where they were.
func (f *Fold) numbers(at Violation, r *bus.Record) {
	if begun := f.counts.Records > 1 || f.commit > 0; begun && !f.broken {
		if r.Commit != f.commit+1 {
			f.violate(at, "commit %d follows commit %d", r.Commit, f.commit)
		}
		if due := len(f.series) + 1; r.Part != due {
			f.violate(at, "part %d of %d where part %d was due", r.Part, r.Parts, due)
		}
	}
	if r.Time < f.time {
		at.Invariant = Budget // leases and delays run on it
		f.violate(at, "engine time ran back from %v to %v", f.time, r.Time)
	}
}

// rateSlack is how far engine time may run ahead of a writer's clock between two records: it moves a second at most after
// a pause, and the clock is read a little later.
const rateSlack = 3 * time.Second

// rate holds that engine time runs no faster than its writer's clock. A clock that was set back looks the same.
func (f *Fold) rate(r *bus.Record) {
	if r.Wall == 0 || f.wall == 0 {
		return
	}
	moved, passed := r.Time-f.time, r.Wall.Time().Sub(f.wall.Time())
	if moved > passed+passed/100+rateSlack {
		f.doubt("record %d: engine time moved on by %v while its writer's clock moved by %v: too fast, or the clock was set back",
			f.seq, moved, passed)
	}
}

// apply takes one commit: all its parts.
func (f *Fold) apply(series []*bus.Record) {
	last := series[len(series)-1]
	c := &commit{fold: f, number: last.Commit, time: last.Time}
	for _, r := range series {
		if r.Meta != nil {
			f.newMeta(*r.Meta)
		}
		for _, change := range r.Changes {
			c.change(change)
		}
	}
	if last.Watermark < f.watermark {
		f.violate(c.at(NoSilentDrop, nil), "the results' watermark went back from %d to %d", f.watermark, last.Watermark)
	}
	f.watermark = last.Watermark
	if !f.broken {
		c.judge()
	}
}

// newMeta takes the run-level state. The watermark begins again with another results stream.
func (f *Fold) newMeta(m spec.Meta) {
	at := Violation{Invariant: NothingLost, Record: f.seq}
	if m.NextSeq < f.meta.NextSeq || m.NextOrder < f.meta.NextOrder {
		f.violate(at, "the numbers to come went back: arrivals from %d to %d, outcomes from %d to %d",
			f.meta.NextSeq, m.NextSeq, f.meta.NextOrder, m.NextOrder)
	}
	if m.ResultsID != f.meta.ResultsID {
		f.watermark = 0
	}
	regroup := !m.Rules.Equal(f.meta.Rules)
	f.meta = m
	if regroup {
		f.regroup()
	}
}

// commit is one group commit while it is applied.
type commit struct {
	fold       *Fold
	number     uint64
	time       spec.EngineTime
	born       []*task
	ended      []*task
	dispatched []*task
	outcomes   []*task
}

// at names this commit, and the task unless it is nil.
func (c *commit) at(i Invariant, t *task) Violation {
	v := Violation{Invariant: i, Record: c.fold.seq, Commit: c.number}
	if t != nil {
		v.Task, v.Attempt = t.id, t.attempt
	}
	return v
}

// change applies one change and holds it against the life of a task.
func (c *commit) change(change spec.Change) {
	f, id := c.fold, change.Task.Spec.ID
	t, known := f.tasks[id]
	switch {
	case !known && change.Parts&spec.PartSpec == 0:
		if !f.broken {
			f.violate(Violation{Invariant: NothingLost, Record: f.seq, Commit: c.number, Task: id}, "its first change carries no spec: its birth is lost")
		}
		return
	case !known:
		t = &task{id: id}
		f.tasks[id] = t
		f.live++
		c.born = append(c.born, t)
	case change.Parts&spec.PartSpec != 0 && !f.broken:
		f.violate(c.at(AppliedOnce, t), "it is born a second time")
	}
	before := *t
	f.withdraw(t)
	t.take(f.seq, change)
	f.place(t)
	switch {
	case before.vague:
		c.appear(&before, t)
	case !f.broken:
		c.life(&before, t)
	}
	if t.state.Terminal() && !before.state.Terminal() {
		f.live--
		c.ended = append(c.ended, t)
	}
}

// judge holds what only a whole commit shows.
func (c *commit) judge() {
	c.births()
	for _, t := range c.ended {
		c.children(t)
	}
	c.outcomeNumbers()
	c.dispatches()
	c.ending()
}

// ending holds that a run which has come to its end has nothing left.
func (c *commit) ending() {
	f := c.fold
	if f.meta.Status == spec.StatusStopped && f.meta.StopReason == "" && f.live > 0 && !f.meta.Drained {
		f.violate(c.at(NothingLost, nil), "the run has stopped for want of work, and %d tasks have not ended%s", f.live, f.example())
	}
}

// example names one task that has not ended.
func (f *Fold) example() string {
	var first *task
	for _, t := range f.tasks {
		if !t.state.Terminal() && (first == nil || t.arrival < first.arrival) {
			first = t
		}
	}
	if first == nil {
		return ""
	}
	return fmt.Sprintf(": the first is %q, %s", first.id, first.state)
}
