package engine

import (
	"cmp"
	"container/list"
	"fmt"
	"math"

	"autoresearch/pkg/spec"
)

// Engine is the state of one run. It is not safe for concurrent use: one goroutine, the leader's loop, owns it.
type Engine struct {
	cfg  Config
	meta spec.Meta

	tasks    *roll
	renames  map[spec.TaskID]*renames
	policies map[string]*policy
	classes  map[string]*class
	order    []*class // classes in the order they appeared: what dispatching ranges over
	workers  map[spec.WorkerID]*worker
	heard    *list.List // workers, the one heard longest ago first
	timers   pqueue[timer]
	loading  []*task // live ones, until Recover
	shelf    Shelf   // has the records of the tasks that rest

	unmeasured bool // a task was loaded before its parent

	others    []*other           // runs that share slots with this one, by name
	sharesDue bool               // something changed that the shares depend on
	demands   []spec.ClassDemand // what Demands returned last

	run      purse // of all tasks
	purses   map[spec.TaskID]*purse
	spenders []*purse // with leases, but for the run's
	touched  []*purse // that changed in this turn
	parked   int      // tasks that purses do not let begin
	parkedBy *purse   // that parked one last

	streak  streak // how the last tasks ended
	halted  string // why dispatching stopped for good in this process: a limit or a stop rule; "" while it goes on
	limited bool   // that is a limit of the run
	counts  Counts
	status  spec.Status // at the last Collect

	// What the next Collect returns.
	dirty     []*task
	metaDirty bool
	again     []*spec.Task // overdue: published after what is new
	out       Output
}

// New returns an engine with an empty run. To continue a run, call Restore and Recover before the first Step.
func New(cfg Config) *Engine {
	cfg.setDefaults()
	e := &Engine{
		cfg:      cfg,
		meta:     spec.Meta{Status: spec.StatusRunning, NextSeq: 1, NextOrder: 1},
		tasks:    newRoll(0),
		renames:  make(map[spec.TaskID]*renames),
		policies: make(map[string]*policy),
		classes:  make(map[string]*class),
		workers:  make(map[spec.WorkerID]*worker),
		heard:    list.New(),
		status:   spec.StatusRunning,
		purses:   make(map[spec.TaskID]*purse),
		run:      purse{base: cfg.Limits.Allowance(), allowed: cfg.Limits.Allowance()},
	}
	e.timers.less = earlier
	e.timers.moved = func(t *timer, i int) { t.task.timerPos = int32(i) }
	return e
}

// Step applies one event. What it asks of the shell is returned by the next Collect.
func (e *Engine) Step(now Now, ev Event) {
	switch ev := ev.(type) {
	case Submit:
		e.submit(now, ev)
	case Loaded:
		e.loaded(ev)
	case Begin:
		e.begin(ev)
	case Interrupt:
		e.interrupt(now, ev)
	case Heartbeat:
		e.heartbeat(now, ev)
	case Demand:
		e.demand(now, ev)
	case Reported:
		e.reported(now, ev)
	case HookDone:
		e.hookDone(now, ev)
	case Cancel:
		e.cancel(now, ev)
	case Reprioritise:
		e.reprioritise(now, ev)
	case Pause:
		e.pause(now, ev)
	case Drain:
		e.drain(now, ev)
	case SetBudget:
		e.setBudget(now, ev)
	case Configured:
		e.configured(now, ev)
	case SetAllowance:
		e.setAllowance(now, ev)
	case DoorbellLost:
		e.doorbellLost(now)
	case Reconnected:
		e.reconnected(now)
	case Stop:
		e.halt(ev.Reason)
	default:
		panic(fmt.Sprintf("engine: unknown event %T", ev))
	}
}

// Collect ends a turn: deadlines that have passed take effect, free slots are filled, the end of the run is noticed,
// and everything since the last Reset is returned. The result is valid until Reset, which must come before the next
// Step.
func (e *Engine) Collect(now Now) *Output {
	e.lapse(now)
	e.forgetRuns(now)
	e.share()
	e.fill(now)
	e.warn(now)
	e.maybeStop(now)
	e.gather()
	return &e.out
}

// Reset forgets the Output returned last, so that the next turn starts empty. The shell calls it once it has encoded
// the changes and taken what it needs; Rejections, Renames and Replies it may keep.
func (e *Engine) Reset() {
	o := &e.out
	*o = Output{
		Changes: emptied(o.Changes), Acts: emptied(o.Acts), Publish: emptied(o.Publish), Purge: emptied(o.Purge), Stops: emptied(o.Stops),
		Receipts: emptied(o.Receipts), Purses: emptied(o.Purses), SendAgain: emptied(o.SendAgain), Hooks: emptied(o.Hooks),
	}
}

// emptied returns a slice without elements for the next turn, and without the memory if one big turn had made it long.
func emptied[T any](s []T) []T {
	if cap(s) > 4096 {
		return nil
	}
	clear(s)
	return s[:0]
}

// gather turns what is dirty into the output's changes.
func (e *Engine) gather() {
	for _, t := range e.dirty {
		e.out.Changes = append(e.out.Changes, spec.Change{Task: t.hand(), Parts: t.parts})
		t.dirty, t.parts = false, 0
	}
	e.dirty = emptied(e.dirty)
	for _, p := range e.touched {
		e.out.Purses = append(e.out.Purses, p.state())
		p.dirty = false
	}
	e.touched = emptied(e.touched)
	if e.metaDirty {
		meta := e.Meta()
		e.out.Meta, e.metaDirty = &meta, false
	}
	e.out.Publish, e.out.Again = append(e.out.Publish, e.again...), len(e.again)
	e.again = emptied(e.again)
	if e.status != e.meta.Status {
		e.status, e.out.StatusChanged = e.meta.Status, true
	}
}

// touch notes that a task changed and must be journaled.
func (e *Engine) touch(t *task) {
	if !t.dirty {
		t.dirty = true
		e.dirty = append(e.dirty, t)
	}
}

// NextDeadline returns the engine time at which Collect should be called next; ok is false when nothing waits.
func (e *Engine) NextDeadline() (at spec.EngineTime, ok bool) {
	at = math.MaxInt64
	if e.timers.len() > 0 {
		at = e.timers.top().at
	}
	if front := e.heard.Front(); front != nil {
		at = min(at, front.Value.(*worker).lastHeard+e.cfg.WorkerTTL)
	}
	for _, o := range e.others {
		at = min(at, o.until)
	}
	at = min(at, e.spentWhen())
	return at, at < math.MaxInt64
}

// Meta returns the run-level state. Its maps and slices must not be changed.
func (e *Engine) Meta() spec.Meta { return e.meta }

// Spending returns what the run's tasks spend.
func (e *Engine) Spending() Spending { return e.run.Spending }

// Counts returns the run's counts.
func (e *Engine) Counts() Counts {
	counts := e.counts
	counts.Experiments = e.run.Experiments
	return counts
}

// Status returns the run's status and, when it is stopped or about to, why.
func (e *Engine) Status() (spec.Status, string) {
	if reason := e.halting(); reason != "" {
		return e.meta.Status, reason
	}
	return e.meta.Status, e.meta.StopReason
}

// halting says why nothing more is dispatched until the run is stopped; "" while it goes on.
func (e *Engine) halting() string {
	switch {
	case e.halted != "":
		return e.halted
	case e.streak.tripped != "":
		return e.streak.tripped
	case e.meta.Drained:
		return ReasonDrained
	}
	return ""
}

// ReasonDrained is the reason of a run that a person drained.
const ReasonDrained = "drained"

// Task returns a live task's record, which only the engine may change; ok is false when the id is unknown or finished.
func (e *Engine) Task(id spec.TaskID) (t *spec.Task, ok bool) {
	live := e.find(id).live
	if live == nil {
		return nil, false
	}
	return live.Task, true
}

// Known reports whether the run has, or had, a task with this id.
func (e *Engine) Known(id spec.TaskID) bool {
	_, known := e.tasks.ids.Find(id)
	return known
}

// setStatus changes the run's status and reason.
func (e *Engine) setStatus(s spec.Status, reason string) {
	if e.meta.Status != s || e.meta.StopReason != reason {
		e.meta.Status, e.meta.StopReason = s, reason
		e.metaDirty = true
	}
}

// begin starts or resumes the run.
func (e *Engine) begin(ev Begin) {
	e.halted, e.limited, e.streak = "", false, streak{}
	if ev.Resume && e.meta.Drained && e.meta.Status == spec.StatusStopped {
		e.meta.Drained, e.metaDirty = false, true
	}
	e.setStatus(spec.StatusRunning, "")
}

// halt stops dispatching; the first reason stays.
func (e *Engine) halt(reason string) {
	if e.halted == "" {
		e.halted = reason
	}
}

// maybeStop ends the run: when nothing is left, or nothing that may begin, or when dispatching has stopped and nothing is
// under way.
func (e *Engine) maybeStop(now Now) {
	if e.meta.Status != spec.StatusRunning || !e.meta.Loaded || e.counts.Leases() > 0 || e.counts.Reported > 0 {
		return
	}
	if reason := cmp.Or(e.halting(), e.allParked(now)); e.counts.Live() == 0 || reason != "" {
		e.setStatus(spec.StatusStopped, reason)
	}
}

// maybeRun puts a stopped run back to work when tasks arrive.
func (e *Engine) maybeRun() {
	if e.meta.Status == spec.StatusStopped && e.halting() == "" {
		e.setStatus(spec.StatusRunning, "")
	}
}
