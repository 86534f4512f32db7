package spec

import (
	"cmp"
	"context"
	"time"
)

// Status is the status of a run as its snapshot says it.
type Status string

// The statuses the engine writes. A snapshot may hold any other text; it is read as it is.
const (
	StatusRunning     Status = "running"
	StatusStopped     Status = "stopped"
	StatusInterrupted Status = "interrupted"
)

// Workflow is the adapter a user writes: where the first specs come from and what follows from each result. All hooks
// run off the engine's loop, one call at a time, with a timeout; a hook that fails, panics or hangs fails the task it
// was called for, not the run.
//
// A hook may run again after a crash for the same result; what it returned is applied once.
//
// A Workflow may also implement Restorer, Continuer, Stopper, Scheduler, Pricer, Commander, Packer, Scorer and Announcer.
type Workflow interface {
	// Load returns the first specs, once, at the start of a run with no specs given. Usually LoadOrInit.
	Load(ctx context.Context) ([]TaskSpec, error)

	// Checkpoint is told the state of the run: at every change of status, otherwise every few seconds at most. queued
	// is in scheduling order (most urgent first).
	Checkpoint(ctx context.Context, queued, running []TaskSpec, status Status) error

	// OnResult is called after each completion and each final failure (result.Failure set), in the order the results
	// were journaled. It returns the specs to enqueue: result.Children filtered and transformed, or others. Returning
	// none, for ever, is how a workflow ends a run. An error fails the task as planning_failed.
	OnResult(ctx context.Context, task TaskSpec, result TaskResult) ([]TaskSpec, error)

	// Summarize returns the report of a workdir as markdown: deterministic, from the files of the workdir only, at any
	// time, also before any run. Its text becomes report.md when a run ends; an error in it only warns.
	Summarize(ctx context.Context, workdir string) (string, error)
}

// Restorer is a Workflow with state of its own: Restore is called once per process, before any other hook but after
// the engine's recovery, with every task known, in arrival order. tasks whose State is StateReported will still be
// passed to OnResult. Results holds the decoded result of each task that has an outcome.
type Restorer interface {
	Restore(ctx context.Context, tasks []*Task, results map[TaskID]TaskResult) error
}

// Continuer is a Workflow that may have more to propose when a run that has nothing left is started again, because a
// stop rule was raised. Continue is called once per process, after Restore; what it returns is enqueued.
type Continuer interface {
	Continue(ctx context.Context) ([]TaskSpec, error)
}

// Stopper is a Workflow with stop rules: StopReason is asked after Restore and after each OnResult. A non-empty reason
// stops dispatching; what runs finishes, what is queued stays in the snapshot, and a later start goes on if the rule
// then allows it.
type Stopper interface {
	StopReason() string
}

// Scheduler is a Workflow that sets policies per kind and limits per run.
type Scheduler interface {
	// Policies returns the policy of each kind by name, and whether a kind that is not listed may run: with the policy
	// named "default" if there is one, else it fails with launch_failed when strict is true.
	Policies() (policies map[string]KindPolicy, strict bool)
	// Limits returns the run's limits; the zero value is unlimited.
	Limits() Limits
}

// Limits bound a run as a whole. Zero fields mean no limit.
type Limits struct {
	// MaxExperiments stops dispatching once so many tasks of counted kinds were dispatched for the first time.
	MaxExperiments int
	// MaxDuration stops dispatching once the run was active (engine time) for so long.
	MaxDuration time.Duration
	// MaxGPUTime and MaxCost stop dispatching once the run has spent so much.
	MaxGPUTime time.Duration
	MaxCost    Cost
	// Size bounds what single tasks and results may be; zero fields mean the engine's defaults.
	Size SizeLimits
}

// Allowance is what the run may spend.
func (l Limits) Allowance() Allowance {
	return Allowance{Experiments: l.MaxExperiments, Duration: l.MaxDuration, GPUTime: l.MaxGPUTime, Cost: l.MaxCost}
}

// SizeLimits bound what one task or one result may be. What exceeds them is refused, or fails its own task, with a reason
// that names the limit.
type SizeLimits struct {
	// Children is the most children of one result, Depth the most tasks above one another in the tree.
	Children int
	Depth    int
	// Payload and Result are the most bytes of a task's payload and of an encoded result.
	Payload int64
	Result  int64
}

// SizeMax is the most bytes that a payload or a result may be allowed.
const SizeMax = 1 << 30

// Or returns l with what it leaves open taken from other.
func (l SizeLimits) Or(other SizeLimits) SizeLimits {
	return SizeLimits{
		Children: cmp.Or(l.Children, other.Children), Depth: cmp.Or(l.Depth, other.Depth),
		Payload: cmp.Or(l.Payload, other.Payload), Result: cmp.Or(l.Result, other.Result),
	}
}

// Commander is a Workflow whose tasks are commands that any generic worker can run. Recipe is called on the engine's
// loop when a task is dispatched: it must be quick, pure and safe for concurrent use. An error fails the task with
// launch_failed.
type Commander interface {
	Recipe(task TaskSpec) (Recipe, error)
}

// Pricer is a Workflow that says what slots cost.
type Pricer interface {
	Prices() Prices
}

// Scorer is a Workflow with an objective, used by displays, reports and pictures.
type Scorer interface {
	Objective() Objective
}

// Objective names the metric that a search improves.
type Objective struct {
	Metric   string
	Maximize bool
}

// Better reports whether a is a strict improvement over b. NaN is never better.
func (o Objective) Better(a, b float64) bool {
	if o.Maximize {
		return a > b
	}
	return a < b
}

// Runner is the half of a workflow that executes on a worker: one in Go, registered for a kind in one's own worker
// binary, takes precedence over the recipe. Run blocks until the attempt ended or ctx is done, and may be called
// concurrently for different attempts. A panic is filed as unexpected_exception.
type Runner interface {
	Run(ctx context.Context, attempt Attempt) (TaskResult, error)
}

// RunnerFunc adapts a function to Runner.
type RunnerFunc func(ctx context.Context, attempt Attempt) (TaskResult, error)

// Run calls f.
func (f RunnerFunc) Run(ctx context.Context, attempt Attempt) (TaskResult, error) {
	return f(ctx, attempt)
}

// Attempt is what a Runner is given.
type Attempt struct {
	Run    RunName
	Task   TaskSpec
	Number uint32
	Claim  ClaimID
	Recipe Recipe
	// Dir is this attempt's own directory for files; CheckpointDir lies in it, seeded from an earlier attempt's.
	Dir           string
	CheckpointDir string
	// CodeDir holds the task's source tree, once the directory was prepared; empty when the task brings none.
	CodeDir string
	// GPUs are the UUIDs of the GPUs that are this attempt's alone.
	GPUs []string
	// Progress may be called at any time, from any goroutine: line is one progress line for people, metrics are the
	// latest values. Both ride along with the next heartbeat.
	Progress func(line string, metrics map[string]float64)
}

// WorkflowSpec is what a WorkflowFactory returns: the description of a workflow for supervisors, and the way to build
// it for the engine.
type WorkflowSpec interface {
	// MaxConcurrency is the wished budget; values below 1 mean 1.
	MaxConcurrency() int

	// EngineArgvTail is the argument list that, after "--", makes the same factory return this spec again.
	EngineArgvTail() []string
	// Description says in a few sentences what is searched, for a person or a model that supervises the run.
	Description() string
	// SupervisorKnownConfig and SupervisorMissingConfig say what is configured and what a supervisor must still ask.
	SupervisorKnownConfig() map[string]string
	SupervisorMissingConfig() []string

	// Setup prepares the workdir; it is idempotent.
	Setup(ctx context.Context, workdir string) error
	// BuildWorkflow returns the workflow for the workdir.
	BuildWorkflow(ctx context.Context, workdir string) (Workflow, error)
}

// WorkflowFactory makes a WorkflowSpec from the arguments after "--" and the workdir ("" when there is none).
type WorkflowFactory func(argv []string, workdir string) (WorkflowSpec, error)
