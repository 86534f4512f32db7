package api

import (
	"time"

	"autoresearch/pkg/spec"
)

// Run is a run at a glance. A coordinator that does not lead it fills Name, Role and Leader only.
type Run struct {
	Name   spec.RunName `json:"name"`
	Role   string       `json:"role"` // of the coordinator that answers: leader, standby, recovering, alarmed
	Leader *Leader      `json:"leader,omitempty"`

	Status    string     `json:"status,omitempty"`
	Reason    string     `json:"reason,omitempty"` // why it is stopped, or why nothing more is dispatched
	Epoch     uint64     `json:"epoch,omitempty"`
	Version   string     `json:"version,omitempty"` // of the controls: pauses, budgets, drained
	Counts    *Counts    `json:"counts,omitempty"`
	Totals    *Totals    `json:"totals,omitempty"`
	Tasks     int        `json:"tasks"`
	Objective *Objective `json:"objective,omitempty"`
	Best      *Best      `json:"best,omitempty"`
	PerMinute float64    `json:"per_minute"` // the rate at which experiments end
	Paused    bool       `json:"paused"`
	Drained   bool       `json:"drained"`
	// Budget is the cap on experiments at once that is in force, Configured what the workflow says.
	Budget     int     `json:"budget,omitempty"`
	Configured int     `json:"configured_budget,omitempty"`
	Classes    []Class `json:"classes,omitempty"`
	Limits     *Limits `json:"limits,omitempty"`
	// ActiveSeconds is how long the run has been active: it stands still while nobody leads.
	ActiveSeconds float64 `json:"active_seconds"`
	// Spent is what the run's attempts have used up by now.
	Spent *Spent `json:"spent,omitempty"`

	// What follows stands in the registry of runs, where there is one. Weight is the run's part of slots it shares, Trouble why
	// this coordinator is not there for it.
	Weight    float64    `json:"weight,omitempty"`
	Archived  bool       `json:"archived,omitempty"`
	Trouble   string     `json:"trouble,omitempty"`
	CreatedBy string     `json:"created_by,omitempty"`
	CreatedAt *time.Time `json:"created_at,omitempty"`
	// EntryVersion is that of what is registered, which ChangedBy changed, archived or took up last.
	EntryVersion string     `json:"entry_version,omitempty"`
	ChangedBy    string     `json:"changed_by,omitempty"`
	ChangedAt    *time.Time `json:"changed_at,omitempty"`
	ChangeReason string     `json:"change_reason,omitempty"`
}

// RunRequest registers a run.
type RunRequest struct {
	Name spec.RunName `json:"name"`
	// Workflow is the text of the workflow file, Args are changes of it as key=value.
	Workflow string   `json:"workflow"`
	Args     []string `json:"args,omitempty"`
	// Dir is the absolute path in which the workflow's commands run on every worker; "" is a folder of each attempt's own.
	Dir string `json:"dir,omitempty"`
	// Budget is the cap on experiments at once, 0 for what the workflow says; Weight its part of shared slots, 0 for 1.
	Budget int     `json:"budget,omitempty"`
	Weight float64 `json:"weight,omitempty"`
}

// CreateAnswer says whether a run was registered or was there already, and how it is.
type CreateAnswer struct {
	Created bool `json:"created"`
	Run     Run  `json:"run"`
}

// ArchiveRequest lets a run go, or takes it up again. Force does so although experiments may run that then have nobody to
// report to until the run is taken up again.
type ArchiveRequest struct {
	Archived bool   `json:"archived"`
	Force    bool   `json:"force,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// ReasonRequest says why.
type ReasonRequest struct {
	Reason string `json:"reason,omitempty"`
}

// DeleteAnswer names the run that was deleted.
type DeleteAnswer struct {
	Deleted spec.RunName `json:"deleted"`
}

// Leader says where a run is led.
type Leader struct {
	Host string `json:"host"`
	PID  int    `json:"pid,omitempty"`
	URL  string `json:"url,omitempty"`
}

// Counts are a run's tasks by state. Delayed ones wait for a retry and are not among the queued.
type Counts struct {
	Queued      int `json:"queued"`
	Delayed     int `json:"delayed"`
	Dispatched  int `json:"dispatched"`
	Running     int `json:"running"`
	Reported    int `json:"reported"`
	Completed   int `json:"completed"`
	Failed      int `json:"failed"` // without the cancelled
	Cancelled   int `json:"cancelled"`
	Planning    int `json:"planning"`    // leases of proposers, outside the budget
	Experiments int `json:"experiments"` // dispatched at least once
}

// Totals count what happened since this leader took over.
type Totals struct {
	Duplicates  uint64 `json:"duplicates"`
	Superseded  uint64 `json:"superseded"`
	Rejected    uint64 `json:"rejected"`
	Retries     uint64 `json:"retries"`
	Lost        uint64 `json:"lost"`
	Preempted   uint64 `json:"preempted"`
	Readopted   uint64 `json:"readopted"`
	OverBudget  uint64 `json:"over_budget"`
	Republished uint64 `json:"republished"`
}

// Objective is the metric that a run improves; Direction is minimize or maximize.
type Objective struct {
	Metric    string `json:"metric"`
	Direction string `json:"direction"`
}

// Best is the best experiment so far.
type Best struct {
	Task  spec.TaskID `json:"task"`
	Value Number      `json:"value"`
}

// Class is a pool of slots, as this run sees it.
type Class struct {
	Name   string `json:"class"`
	Paused bool   `json:"paused"`
	Budget int    `json:"budget,omitempty"` // a cap of its own; 0: none
	Slots  int    `json:"slots"`            // what workers announce
	Free   int    `json:"free"`
	// Share is how many of the slots are this run's, while other runs want some too; absent else.
	Share *int `json:"share,omitempty"`
}

// Limits end a run by themselves; 0: none.
type Limits struct {
	MaxExperiments     int     `json:"max_experiments,omitempty"`
	MaxDurationSeconds float64 `json:"max_duration_seconds,omitempty"`
	MaxGPUHours        float64 `json:"max_gpu_hours,omitempty"`
	MaxCost            float64 `json:"max_cost,omitempty"`
}

// Spent is what attempts have used up: the time for which they held slots, the GPUs of these times that time, and what the
// prices of the workflow make of it, in its unit.
type Spent struct {
	LeaseSeconds float64 `json:"lease_seconds"`
	GPUHours     float64 `json:"gpu_hours"`
	Cost         float64 `json:"cost"`
	Reported     float64 `json:"reported_cost,omitempty"` // the part of the cost that results say they had beside their slots
	Unit         string  `json:"unit,omitempty"`
}

// Task is a task in a list.
type Task struct {
	ID        spec.TaskID `json:"id"`
	Kind      string      `json:"kind"`
	Class     string      `json:"class"`
	State     string      `json:"state"`
	Cancelled bool        `json:"cancelled,omitempty"`
	Priority  Number      `json:"priority"` // the lower number runs first
	Parent    spec.TaskID `json:"parent,omitempty"`
	RetryOf   spec.TaskID `json:"retry_of,omitempty"`
	Seq       uint64      `json:"seq"` // the order of arrival
	Version   string      `json:"version"`
	Attempt   uint32      `json:"attempt"`
	Failures  uint32      `json:"failures,omitempty"`
	Lost      uint32      `json:"lost,omitempty"`
	Preempted uint32      `json:"preempted,omitempty"`

	SubmittedAt *time.Time `json:"submitted_at,omitempty"`
	StartedAt   *time.Time `json:"started_at,omitempty"`
	EndedAt     *time.Time `json:"ended_at,omitempty"`

	Worker  spec.WorkerID `json:"worker,omitempty"`
	Value   *Number       `json:"value,omitempty"` // of the objective
	Failure *Failure      `json:"failure,omitempty"`
}

// Failure is why a task failed, in short.
type Failure struct {
	Kind    spec.FailureKind  `json:"kind"`
	Phase   spec.FailurePhase `json:"phase"`
	Cause   string            `json:"cause,omitempty"`
	Message string            `json:"message"`
}

// TaskDetail is all that is known of a task.
type TaskDetail struct {
	Task
	Spec spec.TaskSpec `json:"spec"`
	// Code is the source tree that its attempts run in, where it brings one.
	Code *CodeTree `json:"code,omitempty"`
	// DurationSeconds, Host, Hardware and Result are those of the attempt that decided the task.
	DurationSeconds float64             `json:"duration_seconds,omitempty"`
	Host            string              `json:"host,omitempty"`
	Hardware        *Hardware           `json:"hardware,omitempty"`
	Result          *Result             `json:"result,omitempty"`
	Record          *spec.FailureRecord `json:"failure_record,omitempty"`
	// Spent is what its attempts have used up by now, once one was claimed.
	Spent *Spent `json:"spent,omitempty"`
	// Allowance is that of the task and all its descendants, where it came with one; Purse the nearest task above it that did.
	Allowance *TaskAllowance `json:"allowance,omitempty"`
	Purse     spec.TaskID    `json:"purse,omitempty"`
	// Attempts are the newest one and those before it that ended while this leader led.
	Attempts []Attempt `json:"attempts"`
	// Lineage leads from the root of the tree down to the task's parent.
	Lineage    []spec.TaskID `json:"lineage"`
	Children   []spec.TaskID `json:"children"` // the first of them
	ChildCount int           `json:"child_count"`
	Waiting    *Waiting      `json:"waiting,omitempty"`
	Live       *Live         `json:"live,omitempty"`
}

// Result is what an experiment produced.
type Result struct {
	Metrics map[string]Number `json:"metrics,omitempty"`
	Output  spec.Payload      `json:"output,omitempty"`
}

// Attempt is one try at a task. Ending is empty while it goes on, else completed, failed, lost, preempted, unclaimed.
type Attempt struct {
	Number    uint32        `json:"attempt"`
	Worker    spec.WorkerID `json:"worker,omitempty"`
	Class     string        `json:"class,omitempty"`
	StartedAt *time.Time    `json:"started_at,omitempty"`
	EndedAt   *time.Time    `json:"ended_at,omitempty"`
	Ending    string        `json:"ending,omitempty"`
}

// Live is what a worker says of an attempt that runs.
type Live struct {
	Worker   spec.WorkerID     `json:"worker"`
	Host     string            `json:"host,omitempty"`
	Progress string            `json:"progress,omitempty"`
	Metrics  map[string]Number `json:"metrics,omitempty"`
	HeardAt  time.Time         `json:"heard_at"`
}

// Waiting says why a queued task does not run, at which place it stands, and when it is expected to begin.
type Waiting struct {
	Class string `json:"class"`
	// Place counts from 1 among the tasks of the class that are ready; 0 for one that is delayed.
	Place   int      `json:"place"`
	Reasons []Reason `json:"reasons"`
	// ExpectedAt is an estimate from the rate at which tasks of the class end; absent when it cannot be told.
	ExpectedAt *time.Time `json:"expected_at,omitempty"`
}

// Reason is one reason why a task waits. The codes are run_paused, class_paused, drained, stopped, loading, delayed, budget,
// class_budget, no_worker, no_slot, hooks_behind, in_line and next.
type Reason struct {
	Code string `json:"code"`
	Text string `json:"text"`
}

// TaskList is a page of tasks. Next is the cursor of the next page; empty at the end.
type TaskList struct {
	Tasks []Task `json:"tasks"`
	Next  string `json:"next,omitempty"`
}

// Node is a task in the hypothesis tree. Status is queued, running, completed or failed.
type Node struct {
	ID        spec.TaskID `json:"id"`
	Parent    spec.TaskID `json:"parent,omitempty"`
	Status    string      `json:"status"`
	Kind      string      `json:"kind"`
	Seq       uint64      `json:"seq"`
	Priority  Number      `json:"priority"`
	Cancelled bool        `json:"cancelled,omitempty"`
	Value     *Number     `json:"value,omitempty"`
	// Improved says that it was the best when it ended.
	Improved    bool             `json:"improved,omitempty"`
	FailureKind spec.FailureKind `json:"failure_kind,omitempty"`
}

// Tree is a page of nodes: parents before their children, unless a child came first.
type Tree struct {
	Nodes []Node `json:"nodes"`
	Next  string `json:"next,omitempty"`
}

// Worker is a worker as it said itself.
type Worker struct {
	ID      spec.WorkerID `json:"id"`
	Host    string        `json:"host"`
	Boot    uint64        `json:"boot"`
	Leaving bool          `json:"leaving,omitempty"` // it takes nothing more
	HeardAt time.Time     `json:"heard_at"`
	Silent  bool          `json:"silent,omitempty"` // so long that its slots do not count
	Slots   []Slots       `json:"slots"`
	Running []Holding     `json:"running"` // of this run
	Others  int           `json:"others"`  // attempts of other runs
	Labels  []string      `json:"labels,omitempty"`
	GPUs    []GPU         `json:"gpus,omitempty"`
	Breaker string        `json:"breaker,omitempty"` // why it has taken itself out
}

// GPU is one of a worker's. State is free, busy, checking or quarantined.
type GPU struct {
	UUID   string `json:"uuid"`
	Model  string `json:"model"`
	Driver string `json:"driver,omitempty"`
	Class  string `json:"class"`
	State  string `json:"state"`
	Reason string `json:"reason,omitempty"` // why it is not offered
}

// Hardware is what an attempt had to itself.
type Hardware struct {
	GPU    string   `json:"gpu"`
	GPUs   []string `json:"gpus"` // their UUIDs
	Driver string   `json:"driver,omitempty"`
}

// CodeTree names a source tree.
type CodeTree struct {
	Hash   string `json:"hash"` // SHA-256 of its bundle, in hexadecimal
	Bytes  int64  `json:"bytes"`
	Commit string `json:"commit,omitempty"` // that holds it, where it comes from a git repository
}

// WorkerList lists workers by id.
type WorkerList struct {
	Workers []Worker `json:"workers"`
}

// Slots are a worker's of one class.
type Slots struct {
	Class string `json:"class"`
	Total int    `json:"total"`
	Free  int    `json:"free"`
}

// Holding is an attempt that a worker runs.
type Holding struct {
	Task      spec.TaskID       `json:"task"`
	Attempt   uint32            `json:"attempt"`
	StartedAt time.Time         `json:"started_at"`
	Seconds   float64           `json:"seconds"`
	Progress  string            `json:"progress,omitempty"`
	Metrics   map[string]Number `json:"metrics,omitempty"`
}

// History is how the objective went.
type History struct {
	Objective *Objective `json:"objective,omitempty"`
	Best      *Best      `json:"best,omitempty"`
	PerMinute float64    `json:"per_minute"`
	// Points are experiments as they ended: every improvement, and of the others an even choice if there are many.
	Points []Point `json:"points"`
	Total  int     `json:"total"`
}

// Point is one experiment of a History; Best is the best value up to it.
type Point struct {
	Task     spec.TaskID `json:"task"`
	EndedAt  *time.Time  `json:"ended_at,omitempty"`
	Order    int         `json:"order"` // from 1, as they ended
	Value    Number      `json:"value"`
	Best     Number      `json:"best"`
	Improved bool        `json:"improved,omitempty"`
}

// Event is one thing that happened to a run. Type says which of the others is set: change, task, run, leader; gap, which
// has none, says that events before this one are no longer kept.
type Event struct {
	ID     string     `json:"id"`
	Type   string     `json:"type"`
	At     *time.Time `json:"at,omitempty"`
	Change *Change    `json:"change,omitempty"`
	Task   *TaskEvent `json:"task,omitempty"`
	Run    *RunEvent  `json:"run,omitempty"`
	Leader *Term      `json:"leader,omitempty"`
}

// Change is something that somebody asked for, or that a worker told of its GPUs. The task and run events of its own commit follow it.
type Change struct {
	Action  spec.ActKind `json:"action"`
	Task    spec.TaskID  `json:"task,omitempty"`
	RetryOf spec.TaskID  `json:"retry_of,omitempty"`
	Class   string       `json:"class,omitempty"`
	GPU     string       `json:"gpu,omitempty"` // of the worker that By names
	Subtree bool         `json:"subtree,omitempty"`
	Value   *Number      `json:"value,omitempty"` // the new priority or budget, or the amount of the limit
	Limit   spec.Limit   `json:"limit,omitempty"` // of which people are warned
	Used    *Number      `json:"used,omitempty"`  // of the limit
	What    string       `json:"what,omitempty"`  // of configure: what was changed
	Count   int          `json:"count"`
	By      string       `json:"by"`
	Reason  string       `json:"reason,omitempty"`
}

// TaskEvent is a task's new state. Kind, Parent and Uncounted are there when the task is new, Value when it has completed,
// Failure when it has failed.
type TaskEvent struct {
	ID        spec.TaskID   `json:"id"`
	State     string        `json:"state"`
	New       bool          `json:"new,omitempty"`
	Kind      string        `json:"kind,omitempty"`
	Parent    spec.TaskID   `json:"parent,omitempty"`
	Uncounted bool          `json:"uncounted,omitempty"` // it is no experiment, and no node of the tree
	Priority  Number        `json:"priority"`
	Attempt   uint32        `json:"attempt"`
	Worker    spec.WorkerID `json:"worker,omitempty"`
	Cancelled bool          `json:"cancelled,omitempty"`
	Value     *Number       `json:"value,omitempty"` // of the objective
	Failure   *Failure      `json:"failure,omitempty"`
}

// RunEvent is the run's new state.
type RunEvent struct {
	Status        string         `json:"status"`
	Reason        string         `json:"reason,omitempty"`
	Paused        bool           `json:"paused"`
	PausedClasses []string       `json:"paused_classes,omitempty"`
	Drained       bool           `json:"drained"`
	Budget        int            `json:"budget,omitempty"`
	ClassBudgets  map[string]int `json:"class_budgets,omitempty"`
}

// Term is a leader's.
type Term struct {
	Epoch uint64 `json:"epoch"`
}

// EventList is a page of events. Next is the id to ask for what follows them; More says that there is some already.
type EventList struct {
	Events []Event `json:"events"`
	Next   string  `json:"next"`
	More   bool    `json:"more"`
}

// SubmitRequest asks for tasks. A task that is known with the same content is left alone.
type SubmitRequest struct {
	Tasks  []spec.TaskSpec `json:"tasks"`
	Reason string          `json:"reason,omitempty"`
	DryRun bool            `json:"dry_run,omitempty"`
}

// SubmitAnswer has one item for each task, in order.
type SubmitAnswer struct {
	Items    []SubmitItem `json:"items"`
	Accepted int          `json:"accepted"`
	DryRun   bool         `json:"dry_run,omitempty"`
}

// SubmitItem says what became of one task: accepted, exists, or refused with the reason.
type SubmitItem struct {
	ID     spec.TaskID `json:"id"`
	Status string      `json:"status"`
	Error  *Problem    `json:"error,omitempty"`
}

// What becomes of a submitted task.
const (
	SubmitAccepted = "accepted"
	SubmitExists   = "exists"
	SubmitRefused  = "refused"
)

// CancelRequest ends a task, and with Subtree its descendants.
type CancelRequest struct {
	Subtree bool   `json:"subtree,omitempty"`
	Reason  string `json:"reason,omitempty"`
	DryRun  bool   `json:"dry_run,omitempty"`
}

// PriorityRequest changes a priority: to a number (the lower runs first), or to the front of the queue.
type PriorityRequest struct {
	Priority *Number `json:"priority,omitempty"`
	Front    bool    `json:"front,omitempty"`
	Subtree  bool    `json:"subtree,omitempty"`
	Reason   string  `json:"reason,omitempty"`
	DryRun   bool    `json:"dry_run,omitempty"`
}

// RetryRequest runs a failed task again, as a new task. ID and Priority are chosen when absent.
type RetryRequest struct {
	ID       spec.TaskID `json:"id,omitempty"`
	Priority *Number     `json:"priority,omitempty"`
	Reason   string      `json:"reason,omitempty"`
	DryRun   bool        `json:"dry_run,omitempty"`
}

// RetryAnswer names the task that repeats the other. Existing says that it was there already and is not finished.
type RetryAnswer struct {
	Task     spec.TaskID `json:"task"`
	RetryOf  spec.TaskID `json:"retry_of"`
	Existing bool        `json:"existing,omitempty"`
	DryRun   bool        `json:"dry_run,omitempty"`
}

// ChangeAnswer says how many tasks a change reached, and how the task is now.
type ChangeAnswer struct {
	Count  int   `json:"count"`
	Task   *Task `json:"task,omitempty"`
	DryRun bool  `json:"dry_run,omitempty"`
}

// ControlRequest pauses, resumes or drains: a class, or the run when Class is empty.
type ControlRequest struct {
	Class  string `json:"class,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// BudgetRequest sets the cap on leases of a class, or of the run when Class is empty; 0 returns to the configured one.
type BudgetRequest struct {
	Class  string `json:"class,omitempty"`
	Budget *int   `json:"budget"`
	Reason string `json:"reason,omitempty"`
}

// AllowanceRequest says what a run may spend, or a task with all its descendants; a limit that is left out, or 0, is as the
// workflow or the task's spec says. Only a run has a limit on its active time.
type AllowanceRequest struct {
	Task spec.TaskID `json:"task,omitempty"`
	Limits
	Reason string `json:"reason,omitempty"`
}

// TaskAllowance is what a task and all its descendants may spend, and have spent by now.
type TaskAllowance struct {
	Limits      Limits `json:"limits"`
	Spent       Spent  `json:"spent"`
	Experiments int    `json:"experiments"`
}

// RunList lists the runs that the server knows.
type RunList struct {
	Runs []Run `json:"runs"`
}

// VersionAnswer says what serves.
type VersionAnswer struct {
	Version string `json:"version"`
}
