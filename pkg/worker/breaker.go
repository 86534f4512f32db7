package worker

import (
	"fmt"
	"sync"
	"time"

	"autoresearch/pkg/spec"
)

// Defaults of the breaker.
const (
	BreakerDefault      = 5
	BreakerPauseDefault = time.Minute
	breakerPauseMax     = 30 * time.Minute
)

// breaker takes a worker out whose attempts fail one after another in the same way: likely it is the machine that is wrong,
// and it would go on to spoil, quickly, what other workers could do. After a pause it tries one attempt a class; a failure of
// the same kind makes the pause twice as long, anything else closes the breaker. Its methods may be called concurrently.
type breaker struct {
	limit int // failures in a row; below 1: never
	first time.Duration

	mu     sync.Mutex
	way    string
	tasks  map[attemptTask]bool // that failed so, one after another
	pause  time.Duration        // 0 while the breaker is closed
	until  time.Time            // when it tries again
	reason string
}

// attemptTask names the task of an attempt: one task that fails again and again says nothing of the machine.
type attemptTask struct {
	run  spec.RunName
	task spec.TaskID
}

// note takes the outcome of an attempt and reports whether the breaker opened, or closed.
func (b *breaker) note(a *attempt, o outcome, now time.Time) (opened, closed bool) {
	way := wayOf(o)
	if b.limit < 1 || way == wayUnknown {
		return false, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if way == "" || way != b.way {
		closed = b.pause > 0 && !now.Before(b.until)
		if closed {
			b.pause, b.reason = 0, ""
		}
		b.way, b.tasks = way, nil
	}
	if way == "" {
		return false, closed
	}
	if b.tasks == nil {
		b.tasks = map[attemptTask]bool{}
	}
	b.tasks[attemptTask{a.ref.Run, a.ref.Task}] = true
	if len(b.tasks) < b.limit || b.pause > 0 && now.Before(b.until) {
		return false, closed
	}
	b.pause = min(max(b.first, 2*b.pause), breakerPauseMax)
	b.until = now.Add(b.pause)
	b.reason = fmt.Sprintf("breaker: the last %d tasks all failed in the same way (%s): %s", len(b.tasks), way,
		clipText(o.result.Failure.Message, 300))
	return true, closed
}

// state returns how many attempts a class may run at once (-1: no bound), why not more, and how long until that changes by
// itself (0: it does not).
func (b *breaker) state(now time.Time) (most int, reason string, wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.pause == 0:
		return -1, "", 0
	case now.Before(b.until):
		return 0, b.reason, b.until.Sub(now)
	}
	return 1, b.reason, 0
}

// wayUnknown is the way of an outcome that says nothing of the machine.
const wayUnknown = "?"

// wayOf is how an attempt failed, in words that are the same for what is likely the same trouble; "" for a success.
func wayOf(o outcome) string {
	f := o.result.Failure
	switch {
	case o.discarded, o.preempted, f != nil && f.Kind == spec.Interrupted:
		return wayUnknown
	case f == nil:
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

// noteOutcome lets the breaker judge an attempt, and says so if that changes what the worker offers.
func (w *worker) noteOutcome(a *attempt, o outcome, now time.Time) {
	opened, closed := w.breaker.note(a, o, now)
	if !opened && !closed {
		return
	}
	most, reason, wait := w.breaker.state(now)
	w.ledger.bound(most)
	notify(w.beat)
	if opened {
		w.metrics.breakerTrips.Inc()
		w.log.Error("the worker takes itself out", "reason", reason, "next try in", wait)
		return
	}
	w.log.Info("the worker works again")
}
