package worker

import (
	"errors"
	"slices"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// onAnswer obeys one answer of a run's leader. The link calls it from one goroutine; it never blocks.
func (w *worker) onAnswer(answer bus.Answer) {
	if !w.ledger.current(answer.Run, answer.Epoch) {
		w.log.Debug("an answer of a deposed leader is ignored", "run", answer.Run, "epoch", answer.Epoch)
		return
	}
	if answer.Hello {
		w.retryNow.fire() // what could not be done while nobody led may work now
		notify(w.beat)
	}
	for _, order := range answer.Stop {
		if order.Run == answer.Run {
			w.obeyStop(order)
		}
	}
	w.serveClasses(answer.Classes)
	w.obeyReceipts(ofRun(answer.Run, answer.Receipt))
	if again := w.ledger.wanted(ofRun(answer.Run, answer.SendAgain)); len(again) > 0 {
		w.enqueue(again)
	}
}

// ofRun drops the refs of other runs from refs: a leader speaks for its own run only.
func ofRun(run spec.RunName, refs []bus.AttemptRef) []bus.AttemptRef {
	return slices.DeleteFunc(refs, func(ref bus.AttemptRef) bool { return ref.Run != run })
}

// obeyStop ends the attempt if it still runs. An unknown reason counts as supersession: nothing is reported for it unless
// the attempt succeeds.
func (w *worker) obeyStop(order bus.StopOrder) {
	a := w.ledger.runs(order.AttemptRef)
	if a == nil {
		return
	}
	cause := errSuperseded
	if order.Reason == spec.CauseCancelled {
		cause = errCancelled
	}
	w.log.Info("stopping an attempt on the leader's word", "run", order.Run, "task", order.Task, "attempt", order.Attempt,
		"reason", order.Reason)
	w.stop(a, cause)
}

// obeyReceipts forgets results that are journaled. What there is to do on the disk is the commit loop's: a disk that hangs
// must not make the worker deaf.
func (w *worker) obeyReceipts(refs []bus.AttemptRef) {
	if len(refs) == 0 {
		return
	}
	work, more := w.ledger.receipted(refs)
	w.commits.queue(work)
	if more {
		notify(w.beat)
	}
}

// killPatience is how long after SIGKILL a command may take to end.
const killPatience = pipeDrainMax + 10*time.Second

// grace is the time between SIGTERM and SIGKILL.
func (w *worker) grace(recipe *spec.Recipe) time.Duration {
	if recipe.Grace > 0 {
		return recipe.Grace
	}
	return w.o.Grace
}

// stop ends an attempt for a cause. A runner that does not heed its context, or a process that not even SIGKILL ends, is
// given up after a while: its outcome is filed and its slot stays taken until it returns.
func (w *worker) stop(a *attempt, cause error) {
	patience := w.grace(&a.dispatch.Recipe)
	if w.o.Runners[a.dispatch.Task.Kind] == nil {
		patience += killPatience
	}
	a.stop(cause, patience, w.abandon)
}

// abandon files the outcome of an attempt that does not end.
func (w *worker) abandon(a *attempt) {
	cause := a.stopCause()
	if cause == nil || errors.Is(cause, errKilled) {
		return
	}
	w.log.Error("an attempt does not end: its slot stays taken until it does", "run", a.ref.Run, "task", a.ref.Task,
		"attempt", a.ref.Attempt, "kind", a.dispatch.Task.Kind, "asked to end because", cause)
	w.metrics.abandoned.Inc()
	w.finish(a, endedBy(cause, nil, &a.dispatch.Recipe))
	w.commits.flush()
}
