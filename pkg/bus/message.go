package bus

import (
	"time"

	"autoresearch/pkg/spec"
)

// MessageVersion is the version this build writes into its transient messages. Readers accept any version and ignore
// fields they do not know.
const MessageVersion = 1

// What workers and leaders tell each other of attempts and slots is vocabulary of package spec.
type (
	// AttemptRef names one claimed attempt of one task.
	AttemptRef = spec.AttemptRef
	// ClassSlots is what a worker announces for one class.
	ClassSlots = spec.ClassSlots
	// Holding is an attempt that a worker runs.
	Holding = spec.Holding
)

// Dispatch is the doorbell message: everything a generic worker needs to execute one attempt. A message may hold several, for a
// worker that has slots for all of them.
// Subject: TaskSubject, or BatchSubject of several. Only the coordinator publishes it.
type Dispatch struct {
	Version int
	Run     spec.RunName
	RunID   string // the run's UUID
	Epoch   uint64
	Class   string
	Task    spec.TaskSpec
	Attempt uint32
	Recipe  spec.Recipe
	// Avoid is the worker that is to hand the attempt back at once, as a preemption with cause declined: others can run it.
	Avoid spec.WorkerID
	// Stdin names the recipe's standard input where that is too large for the message: then Recipe.Stdin is empty.
	Stdin spec.Blob
	// LeaseTTL tells the worker how long its lease lasts unless heartbeats extend it.
	LeaseTTL time.Duration
	// ResultMax is the most bytes of an encoded result that the leader takes, through the object store where it must be; 0:
	// what a message holds.
	ResultMax int64
}

// BatchMax is the most dispatches that one message holds.
const BatchMax = 1024

// Uplink is what a worker says to the leaders of all runs, over core NATS (it may be lost). A heartbeat (Full) lists all
// it holds; a start notice (not Full) lists only new starts in Running.
// Subject: UplinkSubject.
type Uplink struct {
	Version int
	Worker  spec.WorkerID
	// Boot counts the starts of this worker's spool directory: of two messages with different boots, the process of
	// the lower one is dead, and so is all it ran.
	Boot uint64
	Host string
	Full bool
	// Leaving says that the worker drains: it takes nothing more.
	Leaving bool
	Slots   []ClassSlots
	Running []Holding
	// Finished lists results sent but not yet receipted. (Bounded to the oldest 1000; the rest follow.)
	Finished []AttemptRef
	// Batches says that the worker takes messages with several dispatches.
	Batches bool
	// Labels, GPUs and Breaker (why the worker has taken itself out; "" when it has not) are for people to see, in full
	// heartbeats.
	Labels  []string
	GPUs    []spec.GPUStatus
	Breaker string
}

// Demand is what a run's leader tells the leaders of the other runs, over core NATS (it may be lost; the next one tells the
// same). Subject: DemandSubject.
type Demand struct {
	Version int
	Run     spec.RunName
	// Weight is the run's part of the slots that runs share.
	Weight  float64
	Classes []spec.ClassDemand
	// Asks asks the others what their runs want: a leader has taken over.
	Asks bool
}

// StopOrder tells a worker to end an attempt and report it.
type StopOrder struct {
	AttemptRef
	// Reason is spec.CauseCancelled, or spec.StopSuperseded when somebody else holds the task or it is over: then no result is
	// wanted, though a success still counts if it is the first.
	Reason string
}

// Answer is what a run's leader says to one worker, over core NATS (it may be lost; the next heartbeat asks again).
// A worker ignores an Answer whose Epoch is lower than the highest it saw for the run.
// Subject: ControlSubject, or ControlAllSubject with Hello.
type Answer struct {
	Version int
	Run     spec.RunName
	Epoch   uint64
	// Hello asks for a heartbeat at once: a leader has taken over.
	Hello bool
	Stop  []StopOrder
	// Receipt lists results that are journaled: the worker may delete them.
	Receipt []AttemptRef
	// SendAgain lists results that the worker has finished and the leader has not got.
	SendAgain []AttemptRef
	// Classes are those of the run that require labels which the worker has: it may serve them with the slots of their base.
	Classes []string
}

// Report is one result on its way to the coordinator.
type Report struct {
	AttemptRef
	// Failure is nil when the attempt succeeded.
	Failure *spec.FailureRecord
	// Cost is the result's.
	Cost spec.Cost
	// Preempted says that the attempt was given up because the worker leaves or the run was interrupted: not a failure.
	Preempted bool
	// Body is the TaskResult, encoded with EncodeResult; the engine keeps it as it is. Where it is too large for a message,
	// Stored names it and Body is empty.
	Body   []byte
	Stored spec.Blob
}

// Rejected is something that a leader refused: a result, or what an outcome wanted to add to the queue.
// Subject: RejectedSubject.
type Rejected struct {
	Version int
	// Rule names what was broken; Reason says it in full.
	Rule   spec.Rule
	Reason string
	At     spec.WallTime
	Epoch  uint64
	// Worker is who sent it, as far as that is known; Boot and AttemptRef are what it claimed.
	Worker spec.WorkerID
	Boot   uint64
	AttemptRef
	// Child is set when one child of an outcome was refused.
	Child spec.TaskID
	// Data is the beginning of the message or result as it arrived, of Size bytes in all; both may be empty. A result that
	// lies in the object store is named by Stored.
	Data   []byte
	Size   int64
	Stored spec.Blob
}

// RejectedDataMax is how many bytes of what was rejected are kept.
const RejectedDataMax = 128 << 10

// LogPart says which part of an attempt's output a message is of: each has a bound of its own, so that the beginning stays
// where the end is long.
type LogPart string

// The parts: the first LogHeadMax messages of an attempt, and what follows, of which the newest stays.
const (
	LogHead LogPart = "head"
	LogTail LogPart = "tail"
)

// LogHeadMax is how many messages of an attempt are its head.
const LogHeadMax = 500

// LogMessage is a piece of what an attempt writes to standard output and error.
// Subject: LogSubject. It may come twice, and any may be missing: Out and Err tell.
type LogMessage struct {
	Version int
	Claim   spec.ClaimID
	At      spec.WallTime
	// Out and Err are how many bytes of either stream the attempt had written before this message.
	Out, Err int64
	Pieces   []LogPiece
	// Ended says that nothing follows.
	Ended bool
}

// LogPiece is what one of the two streams got, in the order in which it came.
type LogPiece struct {
	Stderr bool
	// Skipped is how many bytes were left out before Data, because they came faster than they could be sent.
	Skipped int64
	Data    []byte
}

// ResultMessage carries one or more reports of one run.
// Subject: ResultSubject. Published to the results stream, never with a Nats-Msg-Id: the engine deduplicates.
type ResultMessage struct {
	Version int
	Worker  spec.WorkerID
	Boot    uint64
	Reports []Report
}
