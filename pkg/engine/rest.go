package engine

import "autoresearch/pkg/spec"

// A task that waits in the queue and has never begun is only a place in it until its turn comes: it rests, and its record lies
// with somebody who keeps it in less memory. Nothing that anybody sees depends on which tasks rest.

// Shelf keeps the records of tasks that rest.
type Shelf interface {
	// Take returns the record of the task that arrived with a number, as it was when the engine let it go. It must not change any more.
	Take(seq uint64) *spec.Task
}

// Rest lets go of records that the shelf keeps from now on, and returns of how many: those of tasks that are ready, have never
// begun, and have not changed since. The engine asks the shelf for one when something happens to its task.
func (e *Engine) Rest(records []*spec.Task, shelf Shelf) (count int) {
	e.shelf = shelf
	for _, r := range records {
		t := e.tasks.of(r.Spec.ID).live
		if t != nil && t.Task == r && e.tasks.place(t) >= 0 && !t.dirty && !t.begun() {
			t.Task = nil
			count++
		}
	}
	return count
}

// rests reports whether somebody else has the record.
func (t *task) rests() bool { return t.Task == nil }

// begun reports whether the task was ever dispatched: one that rests was not.
func (t *task) begun() bool { return !t.rests() && t.Attempt > 0 }

// wake brings the record back of a task that rests. What rests is ready, and its place in the queue knows its number.
func (e *Engine) wake(t *task) {
	if t.rests() {
		t.Task, t.handed = e.shelf.Take(t.policy.class.ready.items[e.tasks.place(t)].seq), true
	}
}

// find returns what the run has of a task; if it is live, it does not rest.
func (e *Engine) find(id spec.TaskID) known {
	k := e.tasks.of(id)
	if k.live != nil {
		e.wake(k.live)
	}
	return k
}
