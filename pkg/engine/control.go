package engine

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"autoresearch/pkg/spec"
)

// cancel ends a task, and its descendants if asked.
func (e *Engine) cancel(now Now, ev Cancel) {
	if err := e.reach(ev.Task, ev.Subtree, ev.Match); err != nil {
		e.replyErr(ev.Ref, err)
		return
	}
	count, barren := 0, 0
	e.walk(ev.Task, ev.Subtree, func(t *task) {
		switch {
		case t.Cancelled:
		case t.State == spec.StateReported && ev.Subtree:
			e.barren(t)
			barren++
		case t.State == spec.StateReported:
		default:
			e.cancelOne(now, t, ev.Reason)
			count++
		}
	})
	e.acted(now, ev.Asked, count+barren, spec.Act{Kind: spec.ActCancel, Task: ev.Task, Subtree: ev.Subtree})
	e.reply(Reply{Ref: ev.Ref, Count: count})
}

// reach reports why nothing can be done to a task, or to its subtree. What is kept of a finished task does not tell its
// version: a match asked of it is one that was seen before it finished.
func (e *Engine) reach(id spec.TaskID, subtree bool, match uint64) error {
	k := e.find(id)
	switch {
	case k == (known{}):
		return fmt.Errorf("task %q: %w", id, ErrUnknownTask)
	case k.live == nil && !subtree:
		return fmt.Errorf("task %q: %w", id, ErrFinished)
	case match != 0 && (k.live == nil || k.live.Version() != match):
		return fmt.Errorf("task %q: %w", id, ErrChanged)
	}
	return nil
}

// acted notes what somebody asked for, if it changed something.
func (e *Engine) acted(now Now, asked Asked, count int, act spec.Act) {
	if asked.By == "" || count == 0 {
		return
	}
	act.By, act.Reason, act.Count, act.At = asked.By, asked.Reason, count, now.Wall
	e.out.Acts = append(e.out.Acts, act)
}

// walk calls f for a task and, with subtree, for its live descendants, in order of arrival.
func (e *Engine) walk(id spec.TaskID, subtree bool, f func(*task)) {
	top, known := e.tasks.ids.Find(id)
	if !known {
		return
	}
	var found []*task
	for number := range e.tasks.below(int32(top)) {
		if t := e.tasks.at(number).live; t != nil {
			e.wake(t)
			found = append(found, t)
		}
		if !subtree {
			break
		}
	}
	for _, t := range bySeq(found) {
		f(t)
	}
}

// cancelOne cancels a task without an outcome. What runs keeps its lease until its worker has stopped it; everything
// else ends at once.
func (e *Engine) cancelOne(now Now, t *task, reason string) {
	t.edit().Cancelled = true
	if t.State == spec.StateRunning {
		e.stop(t.Lease.Worker, t.ref(), spec.CauseCancelled)
		e.touch(t)
		return
	}
	e.unring(t, 0)
	e.conclude(now, t, verdict{failure: cancelledFailure(cmp.Or(reason, "cancelled"))})
}

// barren lets a task whose outcome waits for its hook keep that outcome, but not its children: they will be born cancelled.
func (e *Engine) barren(t *task) {
	t.edit().Cancelled = true
	e.touch(t)
}

// reprioritise moves tasks in the queue.
func (e *Engine) reprioritise(now Now, ev Reprioritise) {
	err := e.reach(ev.Task, ev.Subtree, ev.Match)
	if math.IsNaN(ev.Priority) {
		err = fmt.Errorf("task %q: %w: priority is NaN", ev.Task, ErrInvalidSpec)
	}
	if err != nil {
		e.replyErr(ev.Ref, err)
		return
	}
	count := 0
	e.walk(ev.Task, ev.Subtree, func(t *task) {
		if t.Priority == ev.Priority || t.State == spec.StateReported {
			return
		}
		t.edit().Priority = ev.Priority
		if pos := e.tasks.place(t); pos >= 0 {
			ready := &t.policy.class.ready
			ready.items[pos].priority = ev.Priority
			ready.fix(pos)
		}
		e.touch(t)
		count++
	})
	e.acted(now, ev.Asked, count, spec.Act{
		Kind: spec.ActReprioritise, Task: ev.Task, Subtree: ev.Subtree, Value: ev.Priority,
	})
	e.reply(Reply{Ref: ev.Ref, Count: count})
}

// pause stops or resumes dispatching.
func (e *Engine) pause(now Now, ev Pause) {
	kind := spec.ActResume
	if ev.On {
		kind = spec.ActPause
	}
	e.control(now, ev.Ref, ev.Asked, spec.Act{Kind: kind, Class: ev.Class}, func() {
		switch {
		case ev.Class != "":
			e.class(ev.Class).paused = ev.On
			e.meta.PausedClasses = toggled(e.meta.PausedClasses, ev.Class, ev.On)
		case ev.On:
			e.meta.Paused = true
		default:
			e.meta.Paused, e.meta.Drained = false, false
			e.streak = streak{}
			e.maybeGoOn()
		}
	})
}

// configured notes what somebody did to the run outside of the engine.
func (e *Engine) configured(now Now, ev Configured) {
	e.acted(now, ev.Asked, 1, spec.Act{Kind: spec.ActConfigure, What: ev.What})
	e.reply(Reply{Ref: ev.Ref})
}

// drain lets what is under way finish, and then ends the run.
func (e *Engine) drain(now Now, ev Drain) {
	e.control(now, ev.Ref, ev.Asked, spec.Act{Kind: spec.ActDrain}, func() { e.meta.Drained = true })
}

// control changes the run's settings, unless they are not as the asker saw them, and notes whether they are others now.
func (e *Engine) control(now Now, ref uint64, asked Asked, act spec.Act, change func()) {
	before := e.meta.SettingsVersion()
	if asked.Match != 0 && asked.Match != before {
		e.replyErr(ref, fmt.Errorf("the run's settings: %w", ErrChanged))
		return
	}
	change()
	if e.meta.SettingsVersion() != before {
		e.metaDirty = true
		e.acted(now, asked, 1, act)
	}
	e.reply(Reply{Ref: ref})
}

// maybeGoOn puts a run that a drain ended back to work if something is left of it.
func (e *Engine) maybeGoOn() {
	if e.counts.Live() > 0 {
		e.maybeRun()
	}
}

// toggled returns a sorted copy with or without a name: the old list may be in an Output that is still being written.
func toggled(names []string, name string, on bool) []string {
	rest := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
	if on {
		rest = append(rest, name)
	}
	slices.Sort(rest)
	return rest
}

// setBudget changes a cap. What runs above it goes on.
func (e *Engine) setBudget(now Now, ev SetBudget) {
	if ev.Budget < 0 {
		e.replyErr(ev.Ref, fmt.Errorf("budget %d: %w", ev.Budget, ErrBadBudget))
		return
	}
	act := spec.Act{Kind: spec.ActBudget, Class: ev.Class, Value: float64(ev.Budget)}
	e.control(now, ev.Ref, ev.Asked, act, func() {
		if ev.Class == "" {
			e.meta.Budget = ev.Budget
		} else {
			e.setClassBudget(e.class(ev.Class), ev.Budget)
		}
	})
}

func (e *Engine) setClassBudget(c *class, budget int) {
	c.budget = budget
	budgets := make(map[string]int) // the old map may be in an Output that is still being written
	maps.Copy(budgets, e.meta.ClassBudgets)
	if budgets[c.name] = budget; budget == 0 {
		delete(budgets, c.name)
	}
	e.meta.ClassBudgets = budgets
}

// interrupt stops dispatching and marks what is under way. What nobody has claimed goes back to the queue; the rest
// follows when its worker gives it up.
func (e *Engine) interrupt(now Now, ev Interrupt) {
	e.setStatus(spec.StatusInterrupted, "")
	for _, t := range e.leased() {
		t.edit().Interrupted = true
		e.touch(t)
		if t.State == spec.StateDispatched {
			e.unring(t, 0)
			e.requeue(now, t, 0)
		}
	}
	e.reply(Reply{Ref: ev.Ref})
}

// leased returns the tasks that hold a lease, in order of arrival: every one of them has a timer.
func (e *Engine) leased() []*task {
	var leased []*task
	for i := range e.timers.items {
		if t := e.timers.items[i].task; t.State.Leased() {
			leased = append(leased, t)
		}
	}
	return bySeq(leased)
}

func (e *Engine) reply(r Reply) {
	if r.Ref != 0 {
		e.out.Replies = append(e.out.Replies, r)
	}
}

func (e *Engine) replyErr(ref uint64, err error) { e.reply(Reply{Ref: ref, Err: err}) }
