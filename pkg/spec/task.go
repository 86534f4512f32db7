package spec

import (
	"encoding/json"
	"time"
)

// TaskID names a work item, uniquely within a run. It is any non-empty text: unicode, dots, slashes, "*" and ">" are
// fine; a lone surrogate of a JSON file is held as its three-byte WTF-8 form so that it survives a rewrite.
type TaskID string

// RunName names a run: one search with its own queue and workdir.
type RunName string

// WorkerID names one worker, for as long as its spool directory lives: a restarted worker keeps its id and raises its
// boot number.
type WorkerID string

// ClaimID is the random number a worker draws for an attempt it starts. Zero means no claim.
type ClaimID uint64

// EngineTime is a point on a run's engine clock: active time since the run began. It stands still while no leader hears
// NATS, so that nothing lapses during a sleep or an outage.
type EngineTime = time.Duration

// WallTime is a wall-clock time in Unix nanoseconds, 0 when unknown. It is for people and never decides anything.
type WallTime int64

// WallTimeOf returns t as a WallTime; 0 for the zero time.
func WallTimeOf(t time.Time) WallTime {
	if t.IsZero() {
		return 0
	}
	return WallTime(t.UnixNano())
}

// Time returns w as a time in UTC; the zero time when unknown.
func (w WallTime) Time() time.Time {
	if w == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(w)).UTC()
}

// Seconds returns w in Unix seconds.
func (w WallTime) Seconds() float64 { return float64(w) / 1e9 }

// Defaults of the fields of a TaskSpec.
const (
	PriorityDefault = 0.0
	KindDefault     = "default"
)

// TaskSpec is one serialisable unit of work. It is immutable once submitted.
type TaskSpec struct {
	// ID is required and never empty.
	ID TaskID
	// Priority orders the queue: the lower number runs first, -1000 before 0. Infinities are allowed, NaN is not.
	Priority float64
	// Kind is a category tag; "default" when absent.
	Kind string
	// Payload is one JSON object as text, opaque to the engine; nil means {}.
	Payload Payload
	// Stored names the payload where it is too large for a message: messages and records then carry this name in its
	// place. Payload holds the text all the same, unless the object store could not give it. Only the coordinator sets it.
	Stored Blob
	// Code names the source tree that all attempts run in. Only the coordinator sets it, when the task is submitted.
	Code Code
	// Parent is the task this one descends from in the hypothesis tree. Empty: the task whose result returned it, or
	// none for a root. Written only when set; the original ignores the key.
	Parent TaskID
	// Extra holds the unknown keys of the JSON object this spec was read from, in file order, so that a rewrite keeps
	// them. The engine never looks at it.
	Extra []Field
}

// Field is one key of a JSON object with its value as text.
type Field struct {
	Name  string
	Value json.RawMessage
}

// TaskResult is what one attempt produced.
type TaskResult struct {
	// Children are the specs to enqueue next, after the workflow's result hook has seen them.
	Children []TaskSpec
	// Metrics are the final numbers of the experiment, the last value of each. NaN and infinities are kept as they are
	// and are never the best.
	Metrics map[string]float64
	// Output is a free JSON object of the experiment's own; nil when it gave none.
	Output json.RawMessage
	// Series are the metrics as they went, of many points a selection; SeriesStored then names the whole of it in the run's
	// output store, unless that could not be reached.
	Series       []Series
	SeriesStored Blob
	// Artifacts are the files that the attempt left in its artifacts directory, by path.
	Artifacts []Artifact
	// Cost is what it says it has cost beside its slot: the calls of a model, say.
	Cost Cost
	// Failure says why the attempt failed; nil when it succeeded.
	Failure *FailureRecord
	// Attempt is the number of the attempt that produced this result.
	Attempt uint32
	// Worker and Host say where it ran.
	Worker WorkerID
	Host   string
	// Hardware is what the attempt had there to itself.
	Hardware Hardware
	// Code names the source tree that it ran in.
	Code Code
	// Started is the wall-clock start; zero when the attempt never started. Duration is its wall time.
	Started  time.Time
	Duration time.Duration
}

// Succeeded reports whether the attempt ended without a failure.
func (r TaskResult) Succeeded() bool { return r.Failure == nil }

// TaskState is where a task stands in its life:
//
//	queued -> dispatched -> running -> reported -> completed | failed
//
// and from dispatched, running or reported back to queued with the next attempt to come.
type TaskState uint8

// The states of a task. The numbers are stored in journals: never renumber them.
const (
	StateQueued     TaskState = 1 // waits for a slot, or for NotBefore
	StateDispatched TaskState = 2 // published to its class's doorbell, not yet claimed
	StateRunning    TaskState = 3 // claimed by a worker; the lease is held
	StateReported   TaskState = 4 // its outcome is journaled; the result hook has not finished with it
	StateCompleted  TaskState = 5 // terminal: succeeded
	StateFailed     TaskState = 6 // terminal: failed for good, or cancelled
)

// String returns the state's name as users read it.
func (s TaskState) String() string {
	switch s {
	case StateQueued:
		return "queued"
	case StateDispatched:
		return "dispatched"
	case StateRunning:
		return "running"
	case StateReported:
		return "reported"
	case StateCompleted:
		return StatusCompleted
	case StateFailed:
		return StatusFailed
	}
	return "unknown"
}

// Terminal reports whether a task in this state is done for good.
func (s TaskState) Terminal() bool { return s == StateCompleted || s == StateFailed }

// Leased reports whether a task in this state holds a lease, and so counts against the budget.
func (s TaskState) Leased() bool { return s == StateDispatched || s == StateRunning }

// Task is the engine's record of one TaskSpec: what is journaled, mirrored and folded. The engine alone changes it.
type Task struct {
	Spec TaskSpec
	// Priority is the effective priority (lower runs first): Spec.Priority until someone reprioritised the task.
	Priority float64
	// Parent is the task whose result returned this one (or the one it named); empty for a root.
	Parent TaskID
	// Purse is the nearest task above it, when it arrived, with an allowance, which this task draws on too; empty when there is
	// none.
	Purse TaskID
	// Seq is the arrival number within the run, from 1: first in, first out among equal priorities.
	Seq   uint64
	State TaskState
	// Attempt is the number of the newest attempt, 0 before the first.
	Attempt uint32
	// Failures, Lost and Preempted count how attempts ended without an outcome; each has a budget of its own.
	Failures  uint32
	Lost      uint32
	Preempted uint32
	// Losses are the newest of the attempts that lost their worker, oldest first: the evidence against a task that kills
	// its workers.
	Losses []Loss
	// Closed is the highest attempt known to have ended without deciding: what still claims to run it, or an earlier one,
	// is stale.
	Closed uint32
	// Cancelled says that a person asked for the end of this task: whatever its attempt reports, it ends as cancelled, and
	// children that come after are born cancelled. A task whose outcome was journaled before keeps that outcome.
	Cancelled bool
	// Interrupted says that the task was running when the run was last interrupted and was not dispatched since: the
	// snapshot of an interrupted run keeps it under "running".
	Interrupted bool
	// NotBefore delays a queued task (retry backoff) until this engine time.
	NotBefore EngineTime
	// Lease is set while State.Leased(); after a lapse it stays, so that its holder may come back before anyone claims
	// the next attempt.
	Lease *Lease
	// Outcome is set from StateReported on.
	Outcome *Outcome
	// Spent is what its attempts used up whose leases have ended.
	Spent Spent
	// Children are the ids that this task's result added, in order. In the tree they hang below their own Parent.
	Children []TaskID
	// Submitted, Started and Ended are wall-clock times for people, never used to decide; zero when not reached.
	// Started is the start of the newest attempt.
	Submitted WallTime
	Started   WallTime
	Ended     WallTime
	// Unknown holds fields written by a newer version (name -> encoded value), kept on a rewrite.
	Unknown map[string][]byte
}

// Lease is the right to run one attempt until a deadline.
type Lease struct {
	// Attempt is the attempt leased: Task.Attempt, or an earlier one whose holder came back after a lapse.
	Attempt uint32
	// Claim is zero until a worker's start was journaled.
	Claim ClaimID
	// Worker and Boot say which worker process holds the attempt; empty and 0 until claimed.
	Worker WorkerID
	Boot   uint64
	// Class is the pool the attempt was dispatched to.
	Class string
	// Until is the engine time at which the lease lapses unless extended.
	Until EngineTime
	// Avoid is the worker that is to decline the attempt: the one before it failed there for its hardware, and others can
	// run it. Empty: none.
	Avoid WorkerID
	// Since is the engine time of the claim, 0 until then. GPUs is how many the attempt has to itself, and PerHour what
	// it costs in an hour, by the prices at the claim.
	Since   EngineTime
	GPUs    int
	PerHour Cost
}

// Loss is one attempt that lost its worker: what is known of its end.
type Loss struct {
	Attempt uint32
	Worker  WorkerID
	Boot    uint64
	// At is when the loss was noticed, Heard when a heartbeat last listed the attempt, with this Progress; both times are
	// for people, Heard is 0 when no heartbeat did since the leader took over.
	At       WallTime
	Heard    WallTime
	Progress string
}

// Outcome is what the engine keeps of the attempt that decided a task.
type Outcome struct {
	// Order numbers the outcomes of a run as they were journaled: result hooks run in this order.
	Order uint64
	// Attempt is the attempt that decided; 0 when none did (cancelled while queued, a kind nobody can run).
	Attempt uint32
	// Claim is the claim that decided; 0 when the engine made the outcome itself.
	Claim ClaimID
	// Failure is nil when the attempt succeeded.
	Failure *FailureRecord
	// Body is the TaskResult as the worker encoded it, opaque to the engine; nil when the engine made the outcome.
	Body []byte
	// Stored names the body where it is too large for a message, as TaskSpec.Stored does for a payload.
	Stored Blob
}

// KindPolicy says how the tasks of one kind are scheduled. The zero value of each field means its default.
type KindPolicy struct {
	// Class is the pool of slots the kind runs in; "cpu" by default.
	Class string
	// Timeout ends an attempt from outside; StallTimeout ends one whose progress and output stopped changing. 0: none.
	Timeout      time.Duration
	StallTimeout time.Duration
	// Retries is the number of further attempts after a retryable failure; lost workers and preemptions are counted
	// apart.
	Retries int
	// Backoff is the delay after the first failure; it doubles with each further one. 0: the run's.
	Backoff time.Duration
	// MaxLost and MaxPreempted bound how often a task may lose its worker, and be preempted, before it fails for good. 0:
	// the run's.
	MaxLost      int
	MaxPreempted int
	// Uncounted kinds (a proposer's) are not experiments: limits on experiments ignore them, their leases are outside the
	// budget (the slots of their class bound them), and they are not nodes of the hypothesis tree.
	Uncounted bool
}

// ClassDefault is the class of a kind that names none.
const ClassDefault = "cpu"

// Recipe tells a generic worker how to execute one attempt. It travels in the dispatched message, rendered, so that a
// worker needs no workflow file.
type Recipe struct {
	// Argv is the command; empty when only a Runner registered in the worker's binary can run the kind.
	Argv []string
	// Env is set on top of the worker's own environment, as "KEY=value".
	Env []string
	// Secrets are set on top of Env, by the worker alone.
	Secrets []Secret
	// Dir is the working directory, absolute; relative programs in Argv are looked up from it.
	Dir string
	// Stdin is fed to the command; closed at once when empty.
	Stdin []byte
	// Timeout and StallTimeout are the attempt's limits; 0: none. Grace is the time between SIGTERM and SIGKILL.
	Timeout      time.Duration
	StallTimeout time.Duration
	Grace        time.Duration
	// Limits bound each process of the command.
	Limits ProcessLimits
	// KeepCheckpoints is how long checkpoints of the task's run are kept after their last change; 0: as the worker says.
	KeepCheckpoints time.Duration
	// KeepCode is how long a worker keeps a source tree of the run after its last use; 0: while it has room.
	KeepCode time.Duration
	// Proposer marks a command whose standard output is child specs (a JSON list, or one JSON object a line) and whose
	// failures are planning failures.
	Proposer bool
}

// ProcessLimits bound each process of an experiment; 0: none.
type ProcessLimits struct {
	// Memory is its address space, in bytes. CUDA reserves more of that than the machine has memory: not for GPUs.
	Memory int64
	// OpenFiles is how many files it may have open.
	OpenFiles int
	// CPU is the processor time it may use, in whole seconds.
	CPU time.Duration
}
