package engine

import (
	"math"
	"math/rand/v2"
	"time"

	"autoresearch/pkg/spec"
)

// task is a live task: its record, and its places in the engine's indices. Its state changes only between Engine.leave and
// Engine.enter, and its record only by way of edit. A run may have millions: what few of them need at a time stands in course.
type task struct {
	*spec.Task // nil while it rests: Engine.wake
	*course    // nil until it is set out
	policy     *policy
	purse      *purse // the nearest that it draws on
	parkedIn   *purse // that does not let it begin; nil when it is not parked

	number    int32 // in the roll
	timerPos  int32 // in the engine's timers; -1 when not armed
	parkedPos int32 // in the list of parkedIn
	depth     int32 // in the tree, 1 for a root

	handed bool // the record was handed out: it never changes again
	dirty  bool // in Engine.dirty
	parts  spec.ChangeParts
}

// course is what is known, beside the record, of a task that was dispatched, or is said to have been. It is not journaled: a
// new leader begins it anew.
type course struct {
	heldPos      int32           // in the holder's list; -1 when no worker holds the task
	repeated     bool            // the doorbell rang more than once for the attempt: a message may be left over
	rangAt       spec.EngineTime // when the doorbell last rang for the attempt
	finishedSeen spec.EngineTime // when a result was first listed as finished, or last asked for; 0: never
	heard        spec.WallTime   // when a heartbeat last listed the attempt that is leased; 0: never
	progress     string          // what it said then
	avoid        spec.WorkerID   // where its hardware failed last
	declined     int             // how often that worker has handed it back since
}

// policy is a kind's policy with its class resolved; one per kind that is listed.
type policy struct {
	spec.KindPolicy
	class *class // nil for a kind that nobody can run
}

// classNumber is class.number, 0 where there is none.
func (p *policy) classNumber() uint16 {
	if p.class == nil {
		return 0
	}
	return p.class.number
}

// done is what stays of a finished task: enough to recognise its content and its result, and for the children that it may still
// get.
type done struct {
	hash      uint64
	claim     spec.ClaimID // that decided; 0 when the engine made the outcome
	depth     int32
	cancelled bool   // its children are born cancelled
	class     uint16 // policy.classNumber
	purse     *purse // that its children draw on
}

// known is a task of the run: live, or what stays of it. The zero value is one that the run does not have.
type known struct {
	live *task
	done *done
}

// depth returns how deep the task stands, 0 when there is none.
func (k known) depth() int32 {
	switch {
	case k.live != nil:
		return k.live.depth
	case k.done != nil:
		return k.done.depth
	}
	return 0
}

func (k known) setDepth(depth int32) {
	if k.live != nil {
		k.live.depth = depth
	} else {
		k.done.depth = depth
	}
}

// purse returns the one on which the task's children draw, nil when there is no task.
func (k known) purse() *purse {
	switch {
	case k.live != nil:
		return k.live.purse
	case k.done != nil:
		return k.done.purse
	}
	return nil
}

// cancelled reports whether the task's children are born cancelled.
func (k known) cancelled() bool {
	if k.live != nil {
		return !k.live.rests() && k.live.Cancelled
	}
	return k.done != nil && k.done.cancelled
}

// setOut begins the course of a task that has none.
func (t *task) setOut() {
	if t.course == nil {
		t.course = &course{heldPos: -1}
	}
}

// newTask returns a task in no state yet: Engine.enter puts it into its first.
func newTask(ts spec.TaskSpec, parent spec.TaskID, seq uint64, now Now) *task {
	return &task{
		Task: &spec.Task{
			Spec: ts, Priority: ts.Priority, Parent: parent, Seq: seq,
			Submitted: now.Wall,
		},
		timerPos: -1,
		parts:    spec.PartSpec,
	}
}

// edit returns the record to be changed. One that was handed out is replaced by a copy first: who has it may keep it and
// read it at any time.
func (t *task) edit() *spec.Task {
	if t.handed {
		record := *t.Task
		t.Task, t.handed = &record, false
	}
	return t.Task
}

// hand returns the record as it is to others, who must not change it either.
func (t *task) hand() *spec.Task {
	t.handed = true
	return t.Task
}

// ref names the attempt that was leased last.
func (t *task) ref() spec.AttemptRef {
	return spec.AttemptRef{Task: t.Spec.ID, Attempt: t.Lease.Attempt, Claim: t.Lease.Claim}
}

// holds reports whether ref is the attempt that has the lease, by the same claim.
func (t *task) holds(ref spec.AttemptRef) bool {
	return t.State == spec.StateRunning && ref.Task == t.Spec.ID && t.Lease.Attempt == ref.Attempt &&
		t.Lease.Claim == ref.Claim
}

// open reports whether attempt may still be running somewhere: it was dispatched and no report of it was counted.
func (t *task) open(attempt uint32) bool { return attempt > t.Closed && attempt <= t.Attempt }

// claimable reports whether ref may take the lease: nobody has claimed a later attempt. That is the doorbell's first
// claim, or the return of a holder thought lost.
func (t *task) claimable(ref spec.AttemptRef) bool {
	return ref.Claim != 0 && t.open(ref.Attempt) && (t.State == spec.StateDispatched || t.State == spec.StateQueued)
}

// lastHeld reports whether ref had the lease last, by the same claim or with a start that was never heard of.
func (t *task) lastHeld(ref spec.AttemptRef) bool {
	return t.claimable(ref) && t.Lease.Attempt == ref.Attempt && (t.Lease.Claim == 0 || t.Lease.Claim == ref.Claim)
}

// dispatch makes the next attempt, which one worker may have to avoid.
func (t *task) dispatch(now Now, ttl spec.EngineTime, avoid spec.WorkerID) {
	r := t.edit()
	r.Attempt++
	r.State = spec.StateDispatched
	r.Lease = &spec.Lease{Attempt: r.Attempt, Class: t.policy.class.name, Until: now.Engine + ttl, Avoid: avoid}
	r.Interrupted = false
	r.NotBefore = 0
	t.repeated, t.finishedSeen = false, 0
	t.heard, t.progress = 0, ""
	t.rangAt = now.Engine
}

// claim gives the lease to a worker process. The attempt takes a slot of the class it was dispatched to, whatever the
// kind's class is by now.
func (t *task) claim(now Now, lease spec.Lease) {
	r := t.edit()
	r.State = spec.StateRunning
	r.Lease = &lease
	r.Started = now.Wall
	r.NotBefore = 0
}

// extend lets the lease last until later. The lease is a new one: the old may have been handed out.
func (t *task) extend(until spec.EngineTime) {
	lease := *t.Lease
	lease.Until = until
	t.edit().Lease = &lease
}

// requeue puts the task back; notBefore delays it.
func (t *task) requeue(notBefore spec.EngineTime) {
	r := t.edit()
	r.State = spec.StateQueued
	r.NotBefore = notBefore
}

// report gives the task its outcome.
func (t *task) report(o *spec.Outcome) {
	r := t.edit()
	r.State = spec.StateReported
	r.Outcome = o
	r.Lease = nil
	r.NotBefore = 0
	r.Interrupted = false
	t.parts |= spec.PartOutcome
}

// finish ends the task for good.
func (t *task) finish(now Now) {
	r := t.edit()
	r.State = spec.StateCompleted
	if r.Outcome.Failure != nil {
		r.State = spec.StateFailed
	}
	r.Ended = now.Wall
}

// backoff is the delay before the next attempt: base at the first failure, exponential in their number, drawn between half and all of
// it from a source that only the seed, the task and the attempt decide.
func (t *task) backoff(base time.Duration, c *Config) spec.EngineTime {
	exponent := float64(max(0, int(t.Failures)-1))
	full := math.Min(float64(c.BackoffMax), float64(base)*math.Pow(2, exponent))
	draw := rand.New(rand.NewPCG(c.Seed, t.Seq<<20^uint64(t.Attempt))).Float64()
	return spec.EngineTime(full/2 + draw*full/2)
}

// timer is one entry of the engine's deadlines.
type timer struct {
	at   spec.EngineTime
	seq  uint64 // ties go to the older task
	task *task
}

func earlier(a, b *timer) bool {
	if a.at != b.at {
		return a.at < b.at
	}
	return a.seq < b.seq
}
