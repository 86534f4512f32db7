package engine

import (
	"cmp"

	"autoresearch/pkg/spec"
)

// running takes one attempt that a worker says it runs: the claim, the extension of a lease, the return of a holder
// thought lost, or a stale holder to be stopped.
func (e *Engine) running(now Now, w spec.WorkerID, boot uint64, h *spec.Holding) {
	ref := h.AttemptRef
	k := e.find(ref.Task)
	t := k.live
	switch {
	case k.decidedBy(ref):
		// Said before its result was sent: it is over by now.
	case t == nil:
		e.stop(w, ref, spec.StopSuperseded)
	case t.holds(ref):
		t.extend(now.Engine + e.cfg.LeaseTTL)
		t.listed(now, h)
		if t.Cancelled {
			e.stop(w, ref, spec.CauseCancelled)
		}
	case t.claimable(ref):
		e.claimed(now, t, w, boot, ref, h.GPUs)
		t.listed(now, h)
	default:
		e.stop(w, ref, spec.StopSuperseded)
	}
}

// decidedBy reports whether this very attempt decided its task.
func (k known) decidedBy(ref spec.AttemptRef) bool {
	switch {
	case ref.Claim == 0:
		return false
	case k.live != nil:
		return k.live.State == spec.StateReported && k.live.Outcome.Claim == ref.Claim
	}
	return k.done != nil && k.done.claim == ref.Claim
}

// claimed gives a dispatched task, or a queued one whose holder was thought lost, to a worker, where it has GPUs to itself.
func (e *Engine) claimed(now Now, t *task, w spec.WorkerID, boot uint64, ref spec.AttemptRef, gpus int) {
	if t.State == spec.StateQueued || ref.Attempt != t.Lease.Attempt {
		e.readopted(t)
	}
	e.unring(t, ref.Attempt)
	e.leave(now, t)
	t.claim(now, spec.Lease{
		Attempt: ref.Attempt, Claim: ref.Claim, Worker: w, Boot: boot, Class: t.Lease.Class, Until: now.Engine + e.cfg.LeaseTTL,
		Since: max(1, now.Engine), GPUs: gpus, PerHour: e.cfg.price(t.Lease.Class).PerHour(gpus),
	})
	t.edit().Interrupted = e.meta.Status == spec.StatusInterrupted
	e.enter(now, t)
}

// readopted counts the return of a holder, which was not lost after all.
func (e *Engine) readopted(t *task) {
	e.counts.Readopted++
	if t.State == spec.StateQueued && e.spent() && !t.policy.Uncounted {
		e.counts.OverBudget++
	}
	if t.Lost > 0 {
		r := t.edit()
		r.Lost--
		r.Losses = r.Losses[:max(0, len(r.Losses)-1)]
	}
}

// finished takes a result that a worker has sent and not seen receipted. It is receipted now if its task is decided;
// else the lease is kept while the result is on its way, and it is asked for again if it does not come.
func (e *Engine) finished(now Now, w spec.WorkerID, boot uint64, ref spec.AttemptRef) {
	k := e.find(ref.Task)
	switch {
	case k.live != nil && k.live.State != spec.StateReported:
		e.awaited(now, k.live, w, boot, ref)
	case k != (known{}):
		e.receipt(w, ref)
	default:
		e.sendAgain(w, ref) // when it comes it is rejected on the record
	}
}

func (e *Engine) awaited(now Now, t *task, w spec.WorkerID, boot uint64, ref spec.AttemptRef) {
	t.setOut()
	if t.claimable(ref) {
		e.claimed(now, t, w, boot, ref, 0) // it is over but for its result
	}
	if t.holds(ref) {
		t.extend(now.Engine + e.cfg.LeaseTTL)
	}
	switch {
	case t.finishedSeen == 0:
		t.finishedSeen = max(1, now.Engine)
	case now.Engine-t.finishedSeen >= e.cfg.ResendAfter:
		e.sendAgain(w, ref)
		t.finishedSeen = now.Engine
	}
}

// lapse lets every deadline pass that has come: delays end, leases lapse, doorbells ring again.
func (e *Engine) lapse(now Now) {
	for e.timers.len() > 0 && e.timers.top().at <= now.Engine {
		e.expire(now, e.timers.top().task)
	}
	e.forget(now)
}

func (e *Engine) expire(now Now, t *task) {
	switch t.State {
	case spec.StateQueued:
		e.leave(now, t)
		t.edit().NotBefore = 0
		e.place(now, t) // nothing to journal: a delay that has passed is no delay
	case spec.StateDispatched:
		e.unclaimed(now, t)
	case spec.StateRunning:
		if t.Lease.Until > now.Engine {
			e.arm(t, t.Lease.Until) // heartbeats extend the lease, not the timer
			return
		}
		e.lost(now, t)
	}
}

// unclaimed rings the doorbell again for a dispatched task; at the end of its lease it goes back to the queue, where it
// does not count as lost, since nobody is known to have had it.
func (e *Engine) unclaimed(now Now, t *task) {
	if t.Lease.Until > now.Engine {
		t.rangAt, t.repeated = now.Engine, true
		e.again = append(e.again, t.hand())
		e.counts.Republished++
		e.arm(t, min(t.Lease.Until, now.Engine+e.cfg.Overdue))
		return
	}
	e.unring(t, 0)
	e.requeue(now, t, 0)
}

// doorbellLost brings the time forward at which dispatched tasks are published again.
func (e *Engine) doorbellLost(now Now) {
	var unclaimed []*task
	for i := range e.timers.items {
		if t := e.timers.items[i].task; t.State == spec.StateDispatched {
			unclaimed = append(unclaimed, t)
		}
	}
	for _, t := range unclaimed {
		e.arm(t, min(e.timers.items[t.timerPos].at, now.Engine+e.cfg.LostDoorbell))
	}
}

// reconnected lets every lease last anew: nobody could extend it. Timers look again when they come.
func (e *Engine) reconnected(now Now) {
	for i := range e.timers.items {
		if t := e.timers.items[i].task; t.State.Leased() {
			t.extend(now.Engine + e.cfg.LeaseTTL)
		}
	}
}

// lost ends a lease whose worker is gone. The holder may still come back before anyone claims the next attempt.
func (e *Engine) lost(now Now, t *task) {
	e.counts.Lost++
	t.edit().Lost++
	t.noteLoss(now)
	switch {
	case t.Cancelled:
		e.conclude(now, t, verdict{attempt: t.Lease.Attempt, failure: cancelledFailure("cancelled; its worker was lost")})
	case int(t.Lost) > e.maxLost(t):
		e.conclude(now, t, verdict{attempt: t.Lease.Attempt, failure: lostFailure(t, e.maxLost(t))})
	default:
		e.requeue(now, t, 0)
	}
}

func (e *Engine) maxLost(t *task) int { return cmp.Or(t.policy.MaxLost, e.cfg.MaxLost) }

// requeue puts a task back into the queue.
func (e *Engine) requeue(now Now, t *task, delay spec.EngineTime) {
	notBefore := spec.EngineTime(0)
	if delay > 0 {
		notBefore = now.Engine + delay
	}
	e.leave(now, t)
	t.requeue(notBefore)
	e.enter(now, t)
}

// unring takes a dispatched task's doorbell message back, unless the worker that pulled it is the one heard of (by is
// its attempt, 0 for none) and there was no second message.
func (e *Engine) unring(t *task, by uint32) {
	if t.State == spec.StateDispatched && (t.Lease.Attempt != by || t.repeated) {
		e.out.Purge = append(e.out.Purge, Withdrawal{Class: t.Lease.Class, Task: t.Spec.ID, Attempt: t.Lease.Attempt})
	}
}

func (e *Engine) stop(w spec.WorkerID, ref spec.AttemptRef, reason string) {
	e.out.Stops = append(e.out.Stops, StopOrder{Answer: Answer{Worker: w, AttemptRef: ref}, Reason: reason})
}

func (e *Engine) receipt(w spec.WorkerID, ref spec.AttemptRef) {
	e.out.Receipts = append(e.out.Receipts, Answer{Worker: w, AttemptRef: ref})
}

func (e *Engine) sendAgain(w spec.WorkerID, ref spec.AttemptRef) {
	e.out.SendAgain = append(e.out.SendAgain, Answer{Worker: w, AttemptRef: ref})
}

// arm sets a task's one timer; disarm removes it.
func (e *Engine) arm(t *task, at spec.EngineTime) {
	if t.timerPos < 0 {
		e.timers.push(timer{at: at, seq: t.Seq, task: t})
		return
	}
	e.timers.items[t.timerPos].at = at
	e.timers.fix(int(t.timerPos))
}

func (e *Engine) disarm(t *task) {
	if t.timerPos >= 0 {
		e.timers.remove(int(t.timerPos))
	}
}
