package engine

import (
	"errors"

	"autoresearch/pkg/spec"
)

// Now is the time of a step: Engine decides, Wall is only written down for people.
type Now struct {
	Engine spec.EngineTime
	Wall   spec.WallTime
}

// Event is what happened. The concrete types are those of this file.
type Event interface{ event() }

// Source says who submits, and so what happens to an id that is known with another content.
type Source uint8

// The sources of a submission.
const (
	// SourceCaller: a known id with other content is ErrDuplicateID.
	SourceCaller Source = iota
	// SourceFile: a workdir taken over, or Load: the newcomer is renamed with a warning.
	SourceFile
)

// Asked says who asked for a change and why. A change that names somebody leaves an act in the journal. Match, unless it is
// 0, is the version that the asker saw (spec.Task.Version of the task, spec.Meta.SettingsVersion of the run's controls): if
// it is another by now, nothing is changed and the reply is ErrChanged.
type Asked struct {
	By, Reason string
	Match      uint64
}

// Submit adds specs to the queue. An id that is known with the same content is ignored and counted. The engine keeps the
// specs it adds; they must not be changed afterwards.
type Submit struct {
	Ref    uint64 // names the Reply; 0: none wanted
	Specs  []spec.TaskSpec
	Source Source
	// RetryOf is the finished task that the specs repeat; "" for new work.
	RetryOf spec.TaskID
	Asked
}

// Loaded says that the first specs were all submitted; it is idempotent. Hash is that of the file they came from.
type Loaded struct{ Hash string }

// Begin starts or resumes the run: its status is running again and what halted dispatching (a limit, a stop rule) is
// judged anew, and the breaker is closed; a person's pause stays. So does a drain, unless it has ended the run and Resume says that a person started
// the run again.
type Begin struct{ Resume bool }

// Interrupt stops dispatching and marks what has a lease as interrupted: what nobody has claimed is queued again at once,
// the rest as soon as its worker gives it up.
type Interrupt struct{ Ref uint64 }

// Heartbeat is what one worker says of itself and of the attempts of this run. A start notice is one with Full unset: it
// lists only what has just started.
type Heartbeat struct {
	Worker   spec.WorkerID
	Boot     uint64
	Full     bool
	Leaving  bool
	Slots    []spec.ClassSlots
	Running  []spec.Holding
	Finished []spec.AttemptRef
	// GPUs are the worker's, in a full one; none when it does not say.
	GPUs []spec.GPUStatus
	// Others is how many attempts of other runs the worker runs.
	Others int
	// Batches says that the worker takes several tasks at once.
	Batches bool
}

// Demand is what another run says it wants of the slots that runs share. It counts for Config.DemandTTL.
type Demand struct {
	Run     spec.RunName
	Weight  float64
	Classes []spec.ClassDemand
}

// Reported is the arrival of one attempt's result.
type Reported struct {
	spec.AttemptRef
	Worker    spec.WorkerID
	Failure   *spec.FailureRecord // nil: success
	Preempted bool
	Cost      spec.Cost // that the result reports
	Body      []byte
	Stored    spec.Blob // that holds the body, where it is too large for a record
	// Children are used only by an engine without hooks.
	Children []spec.TaskSpec
}

// HookDone is the end of a task's result hook: what it returned, or why it failed.
type HookDone struct {
	Task     spec.TaskID
	Order    uint64 // Outcome.Order of the hook's input: an answer to an older one is ignored
	Children []spec.TaskSpec
	Failure  *spec.FailureRecord
	// StopReason, when not empty, stops dispatching: a stop rule of the workflow holds.
	StopReason string
}

// Cancel ends a task, and with Subtree all its descendants too. An outcome that waits for its result hook stands; with
// Subtree the children that the hook returns are born cancelled.
type Cancel struct {
	Ref     uint64
	Task    spec.TaskID
	Subtree bool
	Asked
}

// Reprioritise changes the priority of a task, and with Subtree of all its descendants: the lower number runs first.
type Reprioritise struct {
	Ref      uint64
	Task     spec.TaskID
	Subtree  bool
	Priority float64
	Asked
}

// Pause stops (On) or resumes dispatching: of one class, or of the run if Class is empty. Resuming the run ends a drain and
// closes the breaker too.
type Pause struct {
	Ref   uint64
	Class string
	On    bool
	Asked
}

// Drain stops dispatching and ends the run once nothing is under way; what is queued stays queued.
type Drain struct {
	Ref uint64
	Asked
}

// Configured says that somebody has changed the run's entry in the registry. It leaves an act and decides nothing: what was changed
// counts from the next term on.
type Configured struct {
	Ref  uint64
	What string // in words
	Asked
}

// SetBudget changes the cap on leases: of one class, or of the run if Class is empty. 0 returns to the configured value
// (for a class: none). Nothing that runs is stopped.
type SetBudget struct {
	Ref    uint64
	Class  string
	Budget int
	Asked
}

// SetAllowance changes what a run (Task is empty), or a task with its descendants, may spend; what the allowance leaves open is as
// the workflow or the task's spec says. Only a task that came with an allowance has one. Nothing that runs is stopped.
type SetAllowance struct {
	Ref       uint64
	Task      spec.TaskID
	Allowance spec.Allowance
	Asked
}

// DoorbellLost says that the doorbell was made anew: what was published and not picked up is gone.
type DoorbellLost struct{}

// Reconnected says that workers are heard again after a time in which nobody was: an outage, or a pause of this process.
type Reconnected struct{}

// Stop says that a stop rule of the workflow holds, outside a hook (after Restore). It must come after Begin.
type Stop struct{ Reason string }

func (Submit) event()       {}
func (Loaded) event()       {}
func (Begin) event()        {}
func (Interrupt) event()    {}
func (Heartbeat) event()    {}
func (Demand) event()       {}
func (Reported) event()     {}
func (HookDone) event()     {}
func (Cancel) event()       {}
func (Reprioritise) event() {}
func (Pause) event()        {}
func (Drain) event()        {}
func (SetBudget) event()    {}
func (SetAllowance) event() {}
func (Configured) event()   {}
func (DoorbellLost) event() {}
func (Reconnected) event()  {}
func (Stop) event()         {}

// What a Reply may carry.
var (
	// ErrNoAllowance: the task came without an allowance, which its descendants would have drawn on.
	ErrNoAllowance = errors.New("it came without an allowance, and none can be added")
	// ErrDuplicateID: the id is known with another content.
	ErrDuplicateID = errors.New("the id is taken by a task with another content")
	// ErrInvalidSpec: the spec breaks a rule of the vocabulary.
	ErrInvalidSpec = errors.New("invalid task spec")
	// ErrTooLarge: the spec exceeds Config.MaxSpecSize, or its payload Config.MaxPayload.
	ErrTooLarge = errors.New("the task spec is too large")
	// ErrTooDeep: the task would stand deeper in the tree than Config.MaxDepth.
	ErrTooDeep = errors.New("the task stands too deep in the tree")
	// ErrUnknownTask: no task has this id.
	ErrUnknownTask = errors.New("no task has this id")
	// ErrFinished: the task is done for good.
	ErrFinished = errors.New("the task is finished")
	// ErrChanged: what was to be changed is not as the asker saw it.
	ErrChanged = errors.New("it was changed since it was read")
	// ErrBadBudget: a budget below 0.
	ErrBadBudget = errors.New("it must be 0 (the configured one) or more")
)
