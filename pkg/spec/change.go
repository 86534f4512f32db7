package spec

import (
	"fmt"
	"maps"
)

// Change is one task's new state. The halves that did not change since the task's last record are left out.
type Change struct {
	Task  *Task
	Parts ChangeParts
}

// ChangeParts says which parts of the task a Change carries; the id and the state half are always there.
type ChangeParts uint8

// The parts of a task in a change. The numbers are stored: never renumber them.
const (
	// PartSpec: Spec, Parent, Purse, Seq, Submitted.
	PartSpec ChangeParts = 1 << iota
	// PartOutcome: Outcome.
	PartOutcome
	// PartChildren: Children.
	PartChildren
	// PartAll is a whole task, as mirror values hold it.
	PartAll = PartSpec | PartOutcome | PartChildren
)

// Apply folds the change over base and returns the task after it; base is nil for a task not seen before and is not
// modified. A change without PartSpec over a nil base is an error: the journal has lost its beginning.
func (c Change) Apply(base *Task) (*Task, error) {
	task := *c.Task
	if base == nil {
		if c.Parts&PartSpec == 0 {
			return nil, &FoldError{Task: c.Task.Spec.ID, Reason: "its first change carries no spec"}
		}
		return &task, nil
	}
	if c.Parts&PartSpec == 0 {
		task.Spec, task.Parent, task.Purse, task.Seq, task.Submitted = base.Spec, base.Parent, base.Purse, base.Seq, base.Submitted
	}
	if c.Parts&PartOutcome == 0 {
		task.Outcome = base.Outcome
	}
	if c.Parts&PartChildren == 0 {
		task.Children = base.Children
	}
	return &task, nil
}

// FoldError says why a journal cannot be folded.
type FoldError struct {
	Seq    uint64 // the record's position in the journal; 0 when unknown
	Task   TaskID
	Reason string
}

// Error returns the position, the task and the reason.
func (e *FoldError) Error() string {
	switch {
	case e.Task != "" && e.Seq != 0:
		return fmt.Sprintf("journal record %d, task %q: %s", e.Seq, e.Task, e.Reason)
	case e.Seq != 0:
		return fmt.Sprintf("journal record %d: %s", e.Seq, e.Reason)
	case e.Task != "":
		return fmt.Sprintf("journal, task %q: %s", e.Task, e.Reason)
	}
	return "journal: " + e.Reason
}

// Meta is the run-level state that the journal keeps.
type Meta struct {
	Status     Status
	StopReason string
	// Paused stops dispatching for the run; PausedClasses for single classes.
	Paused        bool
	PausedClasses []string
	// Drained stops dispatching like a pause, and ends the run once nothing is under way; what is queued stays.
	Drained bool
	// Budget and ClassBudgets are the caps in force; 0 and absent mean: what the workflow says.
	Budget       int
	ClassBudgets map[string]int
	// Loaded says that the first specs (Load, or the take-over of a workdir) are all in the journal; ImportHash is the
	// hash of the file they came from, "" when they came from Load.
	Loaded     bool
	ImportHash string
	// NextSeq and NextOrder are the next arrival and outcome numbers.
	NextSeq   uint64
	NextOrder uint64
	// ResultsID identifies the results stream that Watermark belongs to (its creation time in Unix nanoseconds).
	ResultsID uint64
	// Quarantined are the GPUs of workers that are known to be quarantined, so that this is said once.
	Quarantined []Quarantine
	// Allowances are those that somebody changed: of tasks, and under "" the run's. What one leaves open is as the workflow or
	// the task's spec says. The map never changes.
	Allowances map[TaskID]Allowance
	// Warned says of which limits of the run people were warned, and at which amount (Allowance.Of). The map never changes.
	Warned map[Limit]int64
	// Rules are those of the term that wrote this; nil when a version wrote it that did not say.
	Rules *Rules
	// Unknown holds fields written by a newer version, kept on a rewrite.
	Unknown map[string][]byte
}

// Rules are what a term schedules by, as its leader was told from outside. No leader goes by the rules of another term;
// they are journaled so that a checker can tell what was right.
type Rules struct {
	// Budget is the cap on leases while Meta.Budget is 0.
	Budget int
	// Kinds has an entry for each kind that is listed. Others go by that of KindDefault, or else by the zero KindPolicy.
	Kinds map[string]KindRule
}

// KindRule is what the schedule of a kind depends on.
type KindRule struct {
	Class     string
	Uncounted bool
}

// Of returns the rule of a kind.
func (r *Rules) Of(kind string) KindRule {
	rule, ok := r.Kinds[kind]
	if !ok {
		rule = r.Kinds[KindDefault]
	}
	if rule.Class == "" {
		rule.Class = ClassDefault
	}
	return rule
}

// Equal reports whether both say the same; nil is equal to nil only.
func (r *Rules) Equal(other *Rules) bool {
	if r == nil || other == nil {
		return r == other
	}
	return r.Budget == other.Budget && maps.Equal(r.Kinds, other.Kinds)
}
