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
	if err := e.reach(ev.Task, ev.Subtree); err != nil {
		e.replyErr(ev.Ref, err)
		return
	}
	count := 0
	e.walk(ev.Task, ev.Subtree, func(t *task) {
		switch {
		case t.Cancelled:
		case t.State == spec.StateReported:
			e.barren(t, ev.Subtree)
		default:
			e.cancelOne(now, t, ev.Reason)
			count++
		}
	})
	e.reply(Reply{Ref: ev.Ref, Count: count})
}

// reach reports why nothing can be done to a task, or to its subtree.
func (e *Engine) reach(id spec.TaskID, subtree bool) error {
	if !e.Known(id) {
		return fmt.Errorf("task %q: %w", id, ErrUnknownTask)
	}
	if _, live := e.tasks[id]; !live && !subtree {
		return fmt.Errorf("task %q: %w", id, ErrFinished)
	}
	return nil
}

// walk calls f for a task and, with subtree, for its live descendants, in order of arrival.
func (e *Engine) walk(id spec.TaskID, subtree bool, f func(*task)) {
	var found []*task
	next := []spec.TaskID{id}
	for len(next) > 0 {
		id, next = next[0], next[1:]
		if t, live := e.tasks[id]; live {
			found = append(found, t)
		}
		if subtree {
			next = append(next, e.kids[id]...)
		}
	}
	for _, t := range bySeq(found) {
		f(t)
	}
}

// cancelOne cancels a task without an outcome. What runs keeps its lease until its worker has stopped it; everything
// else ends at once.
func (e *Engine) cancelOne(now Now, t *task, reason string) {
	t.Cancelled = true
	if t.State == spec.StateRunning {
		e.stop(t.Lease.Worker, t.ref(), spec.CauseCancelled)
		e.touch(t)
		return
	}
	e.unring(t, 0)
	e.conclude(now, t, verdict{failure: cancelledFailure(cmp.Or(reason, "cancelled"))})
}

// barren lets a task whose outcome waits for its hook keep that outcome, but with subtree not its children: they will be
// born cancelled.
func (e *Engine) barren(t *task, subtree bool) {
	if subtree {
		t.Cancelled = true
		e.touch(t)
	}
}

// reprioritise moves tasks in the queue.
func (e *Engine) reprioritise(ev Reprioritise) {
	err := e.reach(ev.Task, ev.Subtree)
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
		t.Priority = ev.Priority
		if t.queuePos >= 0 {
			ready := &t.policy.class.ready
			ready.items[t.queuePos].priority = ev.Priority
			ready.fix(int(t.queuePos))
		}
		e.touch(t)
		count++
	})
	e.reply(Reply{Ref: ev.Ref, Count: count})
}

// pause stops or resumes dispatching.
func (e *Engine) pause(ev Pause) {
	if ev.Class == "" {
		e.metaDirty = e.metaDirty || e.meta.Paused != ev.On
		e.meta.Paused = ev.On
	} else if c := e.class(ev.Class); c.paused != ev.On {
		c.paused = ev.On
		e.metaDirty = true
		e.meta.PausedClasses = toggled(e.meta.PausedClasses, ev.Class, ev.On)
	}
	e.reply(Reply{Ref: ev.Ref})
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
func (e *Engine) setBudget(ev SetBudget) {
	if ev.Budget < 0 {
		e.replyErr(ev.Ref, fmt.Errorf("budget %d: it must be 0 (the configured one) or more", ev.Budget))
		return
	}
	if ev.Class == "" {
		e.meta.Budget = ev.Budget
	} else {
		e.setClassBudget(e.class(ev.Class), ev.Budget)
	}
	e.metaDirty = true
	e.reply(Reply{Ref: ev.Ref})
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
		t.Interrupted = true
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
