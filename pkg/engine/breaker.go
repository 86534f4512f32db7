package engine

import (
	"fmt"

	"autoresearch/pkg/spec"
)

// ReasonBreaker begins the reason of a run that the breaker stopped.
const ReasonBreaker = "breaker: "

// streak is how the tasks that ended last did: how many in a row failed for good in one way. It is not journaled: a new
// leader counts anew, and needs as many failures again.
type streak struct {
	way     string
	length  int
	tripped string // why the breaker is open; "" while it is closed
}

// breaker counts the end of a task. A success ends the streak. What says nothing of the experiments is passed over: a
// proposer's call, a task that was cancelled or preempted.
func (e *Engine) breaker(t *task, failure *spec.FailureRecord) {
	if e.cfg.Breaker <= 0 || t.policy.Uncounted || failure != nil && failure.Kind == spec.Interrupted {
		return
	}
	way := wayOf(failure)
	if failure == nil || way != e.streak.way {
		e.streak.way, e.streak.length = way, 0
	}
	if failure == nil {
		return
	}
	if e.streak.length++; e.streak.length >= e.cfg.Breaker && e.streak.tripped == "" {
		e.streak.tripped = fmt.Sprintf("%sthe last %d tasks all failed in the same way (%s), the last of them %s: %s",
			ReasonBreaker, e.streak.length, way, t.Spec.ID, failure.Message)
	}
}

// wayOf is how a task failed, in words that are the same for what is likely the same trouble.
func wayOf(f *spec.FailureRecord) string {
	if f == nil {
		return ""
	}
	way := string(f.Kind)
	for _, detail := range []string{"cause", "exit_code", "signal"} {
		if value, ok := f.Details[detail]; ok {
			way += fmt.Sprintf(", %s %v", detail, value)
		}
	}
	return way
}
