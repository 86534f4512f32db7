package engine

import "autoresearch/pkg/spec"

// Output is what one turn asks of the shell, in the order of its fields: journal first, then publish, then answer. It
// is valid until Reset.
type Output struct {
	// Changes and Meta (nil when unchanged) are one journal record.
	Changes []spec.Change
	Meta    *spec.Meta
	// Acts says which of them somebody asked for; it goes into the same record.
	Acts []spec.Act

	// Purses are the allowances of tasks of which something was spent, or that are others now.
	Purses []PurseState

	// Publish lists dispatched tasks whose doorbell must ring; Again of them, at the end, were published before.
	Publish []*spec.Task
	Again   int
	// Purge lists doorbell messages that must not be picked up any more.
	Purge []Withdrawal
	// Stops, Receipts and SendAgain are answers to workers, in the order they arose.
	Stops     []StopOrder
	Receipts  []Answer
	SendAgain []Answer
	// Hooks lists tasks whose outcome waits for the result hook, in the order the hooks must run.
	Hooks []*spec.Task
	// Rejections are what was refused, with the reason: the shell keeps them for inspection.
	Rejections []Rejection
	// Renames are submitted specs that took another id.
	Renames []Rename
	Replies []Reply
	// StatusChanged says that the run's status is another than it was at the last Collect.
	StatusChanged bool
}

// NeedsAppend reports whether a record must be durable before the rest of the output may happen: because there is
// something to write, or because an answer ends something on a worker and so must prove leadership.
func (o *Output) NeedsAppend() bool {
	return len(o.Changes) > 0 || len(o.Acts) > 0 || o.Meta != nil || len(o.Stops) > 0 || len(o.Receipts) > 0
}

// Withdrawal names a doorbell message.
type Withdrawal struct {
	Class   string
	Task    spec.TaskID
	Attempt uint32
}

// Answer names one attempt of one worker.
type Answer struct {
	Worker spec.WorkerID
	spec.AttemptRef
}

// StopOrder asks a worker to end an attempt.
type StopOrder struct {
	Answer
	Reason string
}

// Rejection is something refused: a result, or what an outcome wanted to add to the queue.
type Rejection struct {
	Worker spec.WorkerID
	spec.AttemptRef
	Child  spec.TaskID // set when one child was refused
	Rule   spec.Rule
	Reason string
	Body   []byte // the refused result as it arrived; nil when children were refused
	// Stored names the body where it lies in the object store.
	Stored spec.Blob
}

// Rename is a spec that was submitted from a file under an id taken by other content.
type Rename struct{ From, To spec.TaskID }

// Reply answers the event with the same Ref. Errs and Added have one entry per submitted spec: why it was refused (nil:
// accepted or already there), and whether it is new. Count says how many tasks the event touched.
type Reply struct {
	Ref   uint64
	Err   error
	Errs  []error
	Added []bool
	Count int
}

// Counts is a summary of a run, kept up to date at no cost.
type Counts struct {
	Queued, Delayed, Dispatched, Running, Reported int // Delayed tasks are not in Queued
	Completed, Failed, Cancelled                   int // Cancelled tasks are not in Failed
	Planning                                       int // leases of uncounted kinds: outside the budget
	Experiments                                    int // counted kinds dispatched at least once

	// Totals since this engine was made.
	Duplicates, Superseded, Rejected uint64
	Retries, Lost, Preempted         uint64
	Readopted, OverBudget            uint64
	Republished                      uint64
}

// Live is the number of tasks that are not finished.
func (c Counts) Live() int { return c.Queued + c.Delayed + c.Dispatched + c.Running + c.Reported }

// All is the number of tasks that the run has had.
func (c Counts) All() int { return c.Live() + c.Completed + c.Failed + c.Cancelled }

// Leases is the number of leases held.
func (c Counts) Leases() int { return c.Dispatched + c.Running }
