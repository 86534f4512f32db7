package verify

import (
	"fmt"
	"maps"
	"slices"

	"autoresearch/pkg/spec"
)

// Invariant names a promise, as docs/TESTING.md lists them.
type Invariant string

// The invariants that can be checked after the fact.
const (
	NothingLost  Invariant = "I1"  // every accepted task ends once, in one of completed, failed, cancelled
	AppliedOnce  Invariant = "I2"  // one result a task, its children exactly once and as declared
	NoSilentDrop Invariant = "I3"  // a result is applied, or counted with a reason
	Fenced       Invariant = "I4"  // nothing of an older epoch lands after a newer one
	Budget       Invariant = "I5"  // no dispatch beyond the budget; two executions of a task only after a lapse
	OneTruth     Invariant = "I6"  // tree, mirror and snapshot are what the journal says
	InOrder      Invariant = "I10" // dispatch follows priority, then arrival
)

// Violation is one broken promise.
type Violation struct {
	Invariant Invariant   `json:"invariant"`
	Task      spec.TaskID `json:"task,omitempty"`
	Attempt   uint32      `json:"attempt,omitempty"`
	Record    uint64      `json:"record,omitempty"` // the journal position; 0 where none is meant
	Commit    uint64      `json:"commit,omitempty"`
	File      string      `json:"file,omitempty"`
	Text      string      `json:"text"`
}

// String is the violation in one line.
func (v Violation) String() string {
	where := ""
	add := func(format string, args ...any) {
		if where != "" {
			where += ", "
		}
		where += fmt.Sprintf(format, args...)
	}
	if v.File != "" {
		add("%s", v.File)
	}
	if v.Record != 0 {
		add("record %d", v.Record)
	}
	if v.Commit != 0 {
		add("commit %d", v.Commit)
	}
	if v.Task != "" {
		add("task %q", v.Task)
	}
	if v.Attempt != 0 {
		add("attempt %d", v.Attempt)
	}
	if where != "" {
		where += ": "
	}
	return fmt.Sprintf("%-3s %s%s", v.Invariant, where, v.Text)
}

// Counts say what was looked at and what happened in the run.
type Counts struct {
	Records uint64 `json:"records"` // of the journal, with those that were purged
	Commits uint64 `json:"commits"`
	Epochs  uint64 `json:"epochs"`
	// Purged is how many of the records are not in the journal any more.
	Purged uint64 `json:"purged"`

	Tasks     int `json:"tasks"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`    // without the cancelled
	Cancelled int `json:"cancelled"` //
	// InFlight tasks have not ended yet.
	InFlight int `json:"in_flight"`

	Attempts  uint64 `json:"attempts"`  // that were dispatched
	Lapses    uint64 `json:"lapses"`    // leases that ended with their worker
	Retries   uint64 `json:"retries"`   // attempts that failed and were followed by another
	Preempted uint64 `json:"preempted"` // attempts that their worker gave up

	WorkerLogs int `json:"worker_logs"`
	Executions int `json:"executions"` // that the workers' logs tell of
	// Wasted executions decided nothing and were no counted failure of their task.
	Wasted int `json:"wasted"`
	// Reports are the results that the workers' logs and the results stream tell of, each counted once. Each is applied,
	// counted (a failure or preemption that was followed by another attempt), superseded, rejected, or still open.
	Reports    int            `json:"reports"`
	Applied    int            `json:"applied"`
	Counted    int            `json:"counted"`
	Superseded int            `json:"superseded"`
	Duplicates int            `json:"duplicates"` // the same result again
	Rejected   map[string]int `json:"rejected,omitempty"`
	Open       int            `json:"open"`
}

// Report is what a check found.
type Report struct {
	Run   spec.RunName `json:"run"`
	RunID string       `json:"run_id"`
	// Status is the run's own, by the journal.
	Status spec.Status `json:"status"`
	Counts Counts      `json:"counts"`
	// Violations lists every broken promise.
	Violations []Violation `json:"violations"`
	// Doubts are what looks wrong and may have an innocent reason, Unjudged what could not be checked and why.
	Doubts   []string `json:"doubts,omitempty"`
	Unjudged []string `json:"unjudged,omitempty"`
}

// Sound reports whether no promise was broken.
func (r *Report) Sound() bool { return len(r.Violations) == 0 }

// RejectedAll is the number of rejected results, whatever the reason.
func (c *Counts) RejectedAll() (all int) {
	for _, reason := range slices.Sorted(maps.Keys(c.Rejected)) {
		all += c.Rejected[reason]
	}
	return all
}

// findings gathers what a check finds.
type findings struct {
	violations []Violation
	doubts     []string
	unjudged   []string
}

func (f *findings) violate(v Violation, format string, args ...any) {
	v.Text = fmt.Sprintf(format, args...)
	f.violations = append(f.violations, v)
}

func (f *findings) doubt(format string, args ...any) {
	f.doubts = append(f.doubts, fmt.Sprintf(format, args...))
}

func (f *findings) pass(format string, args ...any) {
	f.unjudged = append(f.unjudged, fmt.Sprintf(format, args...))
}
