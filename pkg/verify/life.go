package verify

import (
	"slices"

	"autoresearch/pkg/spec"
)

// follows says what a task in a state may be after one commit. A commit holds all that happened in a turn, so a task may
// pass through states that no record shows.
var follows = map[spec.TaskState][]spec.TaskState{
	0: {spec.StateQueued, spec.StateDispatched, spec.StateReported, spec.StateFailed}, // a birth; failed: born cancelled
	spec.StateQueued: {
		spec.StateQueued, spec.StateDispatched, spec.StateRunning, spec.StateReported, // running: its holder came back
	},
	spec.StateDispatched: {spec.StateDispatched, spec.StateQueued, spec.StateRunning, spec.StateReported},
	spec.StateRunning:    {spec.StateRunning, spec.StateQueued, spec.StateDispatched, spec.StateReported},
	spec.StateReported:   {spec.StateReported, spec.StateCompleted, spec.StateFailed},
}

// life holds what may become of one task in one commit.
func (c *commit) life(before, after *task) {
	f := c.fold
	if before.state.Terminal() {
		f.violate(c.at(AppliedOnce, after), "it had ended as %s and changed after that: it is %s now", before.state, after.state)
		return
	}
	if !slices.Contains(follows[before.state], after.state) {
		f.violate(c.at(AppliedOnce, after), "it became %s, and was %s before", after.state, stateName(before.state))
	}
	if before.state == 0 && after.state == spec.StateFailed && !after.cancelled {
		f.violate(c.at(AppliedOnce, after), "it was born as a failed task, and nobody had cancelled its parent")
	}
	c.attempts(before, after)
	c.leases(before, after)
	c.spent(before, after)
	c.decision(before, after)
	if len(after.children) > 0 && !after.state.Terminal() {
		f.violate(c.at(AppliedOnce, after), "it has children before its end")
	}
	c.count(before, after)
}

func stateName(s spec.TaskState) string {
	if s == 0 {
		return "not there"
	}
	return s.String()
}

// attempts holds that attempt numbers grow by one, by being dispatched, and never repeat.
func (c *commit) attempts(before, after *task) {
	f := c.fold
	at := c.at(Budget, after)
	switch {
	case after.attempt < before.attempt || after.attempt > before.attempt+1:
		f.violate(at, "attempt %d follows attempt %d", after.attempt, before.attempt)
	case after.attempt > before.attempt && (after.state != spec.StateDispatched || after.lease.attempt != after.attempt):
		f.violate(at, "attempt %d was never dispatched: the task became %s", after.attempt, after.state)
	case after.attempt > before.attempt:
		c.dispatched = append(c.dispatched, after)
		if before.state == spec.StateRunning && given(before) == given(after) {
			f.violate(at, "attempt %d was dispatched while attempt %d ran: no lapse, failure or preemption came between", after.attempt, before.lease.attempt)
		}
	case after.state == spec.StateDispatched && before.state != spec.StateDispatched:
		f.violate(at, "attempt %d was dispatched a second time", after.attempt)
	}
	if after.closed < before.closed || after.closed > after.attempt {
		f.violate(at, "its attempts up to %d are closed, up to %d before, of %d", after.closed, before.closed, after.attempt)
	}
}

// given is how many attempts ended without an outcome.
func given(t *task) uint32 { return t.failures + t.lost + t.preempted }

// leases holds that who runs a task holds a claim on an attempt that is open.
func (c *commit) leases(before, after *task) {
	l := after.lease
	switch {
	case after.state.Leased() && l == lease{}:
		c.fold.violate(c.at(Budget, after), "it is %s without a lease", after.state)
	case after.state == spec.StateDispatched && l.claim != 0:
		c.fold.violate(c.at(Budget, after), "it is dispatched, and claimed already")
	case after.state == spec.StateRunning && (l.claim == 0 || l.attempt == 0 || l.attempt > after.attempt):
		c.fold.violate(c.at(Budget, after), "it runs as attempt %d, claim %d: nobody was given that", l.attempt, l.claim)
	case after.state == spec.StateRunning && l.attempt <= before.closed:
		c.fold.violate(c.at(Budget, after), "it runs as attempt %d, which had ended", l.attempt)
	}
	if after.state == spec.StateRunning && l.boot > c.fold.boots[l.worker] {
		c.fold.boots[l.worker] = l.boot
	}
}

// spent holds that a task has spent what its leases say, as they end, and what its results reported. What is claimed and over
// in one commit spends no time.
func (c *commit) spent(before, after *task) {
	want := before.spent
	if before.state == spec.StateRunning && (after.state != spec.StateRunning || after.lease.since != before.lease.since) {
		want = want.Plus(before.lease.spent(c.time))
	}
	if reported := after.spent.Reported - before.spent.Reported; reported > 0 {
		want = want.Plus(spec.Spent{Cost: reported, Reported: reported})
	}
	if after.spent != want {
		c.fold.violate(c.at(Budget, after), "it has spent %+v; with the lease that ended it is %+v", after.spent, want)
	}
}

// decision holds that the first outcome stands, that a success is never turned into one, and that a failure counts only
// from the holder.
func (c *commit) decision(before, after *task) {
	f := c.fold
	at := c.at(AppliedOnce, after)
	switch {
	case (after.order != 0) != (after.state >= spec.StateReported):
		f.violate(at, "it is %s and has outcome %d", after.state, after.order)
	case after.state.Terminal() && (after.state == spec.StateCompleted) == after.failed:
		f.violate(at, "it is %s, and that its outcome failed is %v", after.state, after.failed)
	case before.order != 0 && (after.order != before.order || after.decider != before.decider || after.claim != before.claim ||
		after.shown.body != before.shown.body):
		f.violate(at, "outcome %d of attempt %d took the place of outcome %d of attempt %d", after.order, after.decider, before.order, before.decider)
	case before.order != 0 && before.failed && !after.failed:
		f.violate(at, "its failure became a success")
	case after.claim != 0 && (after.decider == 0 || after.decider > after.attempt):
		f.violate(at, "attempt %d decided it, and %d were dispatched", after.decider, after.attempt)
	}
	if before.order == 0 && after.order != 0 {
		c.outcomes = append(c.outcomes, after)
		if after.failed && after.claim != 0 && !after.cancelled {
			c.holder(before, after, after.decider, after.claim)
		}
	} else if after.failures > before.failures && after.closed > before.closed {
		c.holder(before, after, after.closed, 0)
	}
}

// suspicion is a failure that counted although another claim held the lease. That is right only where the holder's
// process had died in that very turn, which its worker's next boot shows.
type suspicion struct {
	at      Violation
	attempt uint32
	holder  lease
}

// holder holds that a failure of an attempt counts from its holder. A later attempt than the one that held the lease may
// have been claimed in the same turn. claim is 0 where the record does not name it.
func (c *commit) holder(before, after *task, attempt uint32, claim spec.ClaimID) {
	held := before.lease
	if before.state != spec.StateRunning || attempt > held.attempt || attempt == held.attempt && (claim == 0 || claim == held.claim) {
		return
	}
	c.fold.stale = append(c.fold.stale, suspicion{at: c.at(AppliedOnce, after), attempt: attempt, holder: held})
}

// count counts what happened.
func (c *commit) count(before, after *task) {
	n := &c.fold.counts
	if after.attempt > before.attempt {
		n.Attempts++
	}
	if after.lost > before.lost {
		n.Lapses++
	}
	if held := before.lease; before.state == spec.StateRunning && !after.state.Terminal() && after.order == 0 && held.claim != after.lease.claim ||
		before.state == spec.StateRunning && after.state == spec.StateQueued {
		reported := after.closed >= held.attempt && after.lost == before.lost && after.failures+after.preempted > before.failures+before.preempted
		after.past = append(slices.Clip(before.past), holding{attempt: held.attempt, claim: held.claim, lapsed: !reported})
	}
	n.Preempted += uint64(max(after.preempted, before.preempted) - before.preempted)
	if after.failures > before.failures && after.order == 0 {
		n.Retries++
	}
}
