package engine

import (
	"cmp"
	"errors"
	"fmt"

	"autoresearch/pkg/spec"
)

// verdict is what decides a task.
type verdict struct {
	attempt  uint32
	claim    spec.ClaimID // 0: the engine decided
	failure  *spec.FailureRecord
	body     []byte
	stored   spec.Blob
	children []spec.TaskSpec // used without hooks only
}

func (r *Reported) verdict(failure *spec.FailureRecord) verdict {
	return verdict{
		attempt: r.Attempt, claim: r.Claim, failure: failure, body: r.Body, stored: r.Stored, children: r.Children,
	}
}

// reported takes one result. The first success of a task wins, from whichever attempt; a failure counts only from the
// last holder; everything else is counted as superseded, duplicate or rejected. All are receipted.
func (e *Engine) reported(now Now, r Reported) {
	k := e.find(r.Task)
	t, live := k.live, k.live != nil
	switch {
	case k.decidedBy(r.AttemptRef):
		e.counts.Duplicates++
	case !live && k.done == nil:
		e.reject(r, spec.RuleUnknownTask, ErrUnknownTask.Error())
	case live && (r.Attempt == 0 || r.Attempt > t.Attempt):
		e.reject(r, spec.RuleForgedAttempt, fmt.Sprintf("attempt %d was never dispatched", r.Attempt))
	case live && r.Claim == 0:
		e.reject(r, spec.RuleNoClaim, "it names no claim")
	case !live || t.State == spec.StateReported:
		e.counts.Superseded++
	case r.Failure == nil && !r.Preempted:
		e.succeeded(now, t, r)
	default:
		e.failed(now, t, r)
	}
	e.receipt(r.Worker, r.AttemptRef)
}

func (e *Engine) reject(r Reported, rule spec.Rule, reason string) {
	e.counts.Rejected++
	e.out.Rejections = append(e.out.Rejections, Rejection{
		Worker: r.Worker, AttemptRef: r.AttemptRef, Rule: rule, Reason: reason, Body: r.Body, Stored: r.Stored,
	})
}

// succeeded decides the task. Whoever else works on it is stopped.
func (e *Engine) succeeded(now Now, t *task, r Reported) {
	e.unring(t, r.Attempt)
	e.charge(t, r.Cost)
	if t.State == spec.StateRunning && !t.holds(r.AttemptRef) {
		e.stop(t.Lease.Worker, t.ref(), spec.StopSuperseded)
	}
	if t.Lease.Claim == 0 {
		t.edit().Started = now.Wall // its start was never heard of
	}
	if t.Cancelled {
		e.conclude(now, t, r.verdict(cancelledFailure("cancelled")))
		return
	}
	e.conclude(now, t, r.verdict(nil))
}

// failed counts a failure or a preemption of the attempt that holds the lease, or did last.
func (e *Engine) failed(now Now, t *task, r Reported) {
	if !t.holds(r.AttemptRef) && !t.lastHeld(r.AttemptRef) {
		e.counts.Superseded++
		e.close(t, r.Attempt)
		return
	}
	e.unring(t, r.Attempt)
	e.charge(t, r.Cost)
	t.edit().Closed = r.Attempt
	switch {
	case t.Cancelled:
		e.conclude(now, t, r.verdict(cancelledFailure("cancelled")))
	case r.Preempted:
		e.preempted(now, t, r)
	case r.Failure.Retryable && int(t.Failures) < t.policy.Retries:
		t.edit().Failures++
		e.counts.Retries++
		t.failedOn(t.Lease.Worker, r.Failure)
		e.requeue(now, t, t.backoff(cmp.Or(t.policy.Backoff, e.cfg.BackoffBase), &e.cfg))
	default:
		t.edit().Failures++
		e.conclude(now, t, r.verdict(r.Failure))
	}
}

// close notes that an attempt before the one leased has ended: what still says that it runs is stale.
func (e *Engine) close(t *task, attempt uint32) {
	if attempt < t.Lease.Attempt && attempt > t.Closed {
		t.edit().Closed = attempt
		e.touch(t)
	}
}

// preempted puts a task back whose worker gave it up: not a failure, but not for ever either.
func (e *Engine) preempted(now Now, t *task, r Reported) {
	if r.Failure.Cause() == spec.CauseDeclined && t.avoid != "" {
		t.declined++
		e.requeue(now, t, declineDelay)
		return
	}
	e.counts.Preempted++
	t.edit().Preempted++
	if int(t.Preempted) <= cmp.Or(t.policy.MaxPreempted, e.cfg.MaxPreempted) {
		e.requeue(now, t, 0)
		return
	}
	e.conclude(now, t, r.verdict(&spec.FailureRecord{
		Kind: spec.Interrupted, Phase: spec.PhaseRunner, Message: "it was preempted too often",
		Details: map[string]any{"cause": spec.CausePreempted, "preempted": int(t.Preempted)},
	}))
}

// conclude gives a task its outcome, and its result hook the next word; without hooks the outcome is applied at once.
func (e *Engine) conclude(now Now, t *task, v verdict) {
	e.decide(now, t, v)
	if e.cfg.Hooks {
		e.out.Hooks = append(e.out.Hooks, t.hand())
		return
	}
	e.apply(now, t, v.children)
}

// decide gives a task its outcome.
func (e *Engine) decide(now Now, t *task, v verdict) {
	e.breaker(t, v.failure)
	order := e.meta.NextOrder
	e.meta.NextOrder++
	e.leave(now, t)
	t.report(&spec.Outcome{
		Order: order, Attempt: v.attempt, Claim: v.claim, Failure: v.failure, Body: v.body, Stored: v.stored,
	})
	e.enter(now, t)
}

// hookDone applies an outcome with what the result hook made of it.
func (e *Engine) hookDone(now Now, ev HookDone) {
	t := e.find(ev.Task).live
	if t == nil || t.State != spec.StateReported || t.Outcome.Order != ev.Order {
		return
	}
	if ev.StopReason != "" {
		e.halt(ev.StopReason)
	}
	if ev.Failure != nil {
		e.spoil(t, ev.Failure)
	}
	e.apply(now, t, ev.Children)
}

// spoil turns a success into a failure of planning; a failure keeps its own record.
func (e *Engine) spoil(t *task, failure *spec.FailureRecord) {
	if t.Outcome.Failure != nil {
		return
	}
	outcome := *t.Outcome
	outcome.Failure = failure
	t.edit().Outcome = &outcome
	t.parts |= spec.PartOutcome
}

// apply adds the children of an outcome and finishes its task, in one commit: exactly once.
func (e *Engine) apply(now Now, t *task, children []spec.TaskSpec) {
	if message := e.tooMany(t, children); message != "" {
		e.refuse(t, "", spec.RuleTooManyChildren, message)
		e.spoil(t, &spec.FailureRecord{
			Kind: spec.PlanningFailed, Phase: spec.PhasePlanning, Message: message,
			Details: map[string]any{"cause": spec.CauseBadResult},
		})
		children = nil
	}
	for _, child := range children {
		e.addChild(now, t, child)
	}
	e.retire(now, t)
}

// tooMany says why an outcome may not add so many children; "" when it may.
func (e *Engine) tooMany(t *task, children []spec.TaskSpec) string {
	if limit := e.cfg.MaxChildren; len(children) > limit {
		return fmt.Sprintf("it returned %d children; the limit is %d (limits.children)", len(children), limit)
	}
	if e.cfg.MaxTaskSize <= 0 {
		return ""
	}
	size, room := 0, e.cfg.MaxTaskSize-SizeOf(t.Spec)-inline(t.Outcome.Body, t.Outcome.Stored)
	for i := range children {
		size += len(children[i].ID) + idOverhead
	}
	if size > room {
		return fmt.Sprintf("the ids of its %d children take %d bytes; a record has room for %d", len(children), size, max(0, room))
	}
	return ""
}

// idOverhead is the most that a record needs for an id beside its bytes.
const idOverhead = 5

func (e *Engine) addChild(now Now, t *task, child spec.TaskSpec) {
	found, err := e.checkChild(t, child)
	if found && err == nil {
		e.counts.Duplicates++
		return
	}
	parent, above := e.parentOf(t, child)
	if err == nil {
		err = e.checkPlace(child, above)
	}
	if err != nil {
		e.refuse(t, child.ID, ruleOf(err), err.Error())
		return
	}
	r := t.edit()
	r.Children = append(r.Children, child.ID)
	t.parts |= spec.PartChildren
	e.add(now, child, parent, above)
}

// parentOf returns where a child of an outcome hangs in the tree.
func (e *Engine) parentOf(t *task, child spec.TaskSpec) (parent spec.TaskID, above known) {
	if child.Parent != "" && child.Parent != child.ID {
		if above := e.tasks.of(child.Parent); above != (known{}) {
			return child.Parent, above
		}
	}
	return t.Spec.ID, known{live: t}
}

// checkChild reports whether the child is there already, and why a task cannot have it.
func (e *Engine) checkChild(t *task, child spec.TaskSpec) (found bool, err error) {
	if child.ID == t.Spec.ID {
		return true, errors.New("a child with its parent's id")
	}
	if err := e.check(child); err != nil {
		return false, err
	}
	found, same := e.recognise(child)
	if found && !same {
		return true, ErrDuplicateID
	}
	return found, nil
}

// ruleOf names what a child breaks.
func ruleOf(err error) spec.Rule {
	switch {
	case errors.Is(err, ErrDuplicateID):
		return spec.RuleDuplicateChild
	case errors.Is(err, ErrTooLarge):
		return spec.RuleChildTooLarge
	case errors.Is(err, ErrTooDeep):
		return spec.RuleTooDeep
	}
	return spec.RuleBadChild
}

func (e *Engine) refuse(t *task, child spec.TaskID, rule spec.Rule, reason string) {
	e.counts.Rejected++
	ref := spec.AttemptRef{Task: t.Spec.ID, Attempt: t.Outcome.Attempt, Claim: t.Outcome.Claim}
	e.out.Rejections = append(e.out.Rejections, Rejection{AttemptRef: ref, Child: child, Rule: rule, Reason: reason})
}

// retire finishes a task and keeps of it only what later events need.
func (e *Engine) retire(now Now, t *task) {
	e.leave(now, t)
	t.finish(now)
	e.touch(t)
	e.countDone(t.Task)
	*e.tasks.at(t.number) = known{done: doneOf(t.Task, t.policy, t.depth, t.purse)}
}

func (e *Engine) countDone(t *spec.Task) {
	switch {
	case t.State == spec.StateCompleted:
		e.counts.Completed++
	case t.Cancelled && t.Outcome.Failure.Cause() == spec.CauseCancelled:
		e.counts.Cancelled++
	default:
		e.counts.Failed++
	}
}

func doneOf(t *spec.Task, of *policy, depth int32, p *purse) *done {
	return &done{
		hash: t.Spec.ContentHash(), claim: t.Outcome.Claim, depth: depth, cancelled: t.Cancelled, class: of.classNumber(), purse: p,
	}
}
