package engine

import (
	"time"

	"autoresearch/pkg/spec"
)

// A task whose attempt failed for its hardware is tried elsewhere: the doorbell message of the next attempt names the worker,
// which hands it back should it be the one that picks it up. No message can be kept from one worker of a class, so this is
// patience and no fence: after declinesMax times the others had their chance.
const (
	declineDelay = 2 * time.Second
	declinesMax  = 5
)

// failedOn notes where an attempt failed, if that may be the worker's fault.
func (t *task) failedOn(worker spec.WorkerID, f *spec.FailureRecord) {
	t.avoid, t.declined = "", 0
	if f.Cause() == spec.CauseHardware {
		t.avoid = worker
	}
}

// toAvoid returns the worker that is not to run the task's next attempt; none unless another one has slots for it.
func (e *Engine) toAvoid(t *task) spec.WorkerID {
	w, known := e.workers[t.avoid]
	c := t.policy.class
	if t.avoid == "" || t.declined >= declinesMax || known && c.total <= w.slots[c].total {
		return ""
	}
	return t.avoid
}
