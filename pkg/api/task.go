package api

import (
	"math"
	"slices"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
)

// retryField is the key of a spec that names the task it repeats.
const retryField = "retry_of"

// taskOf describes a task for a list.
func taskOf(view *coordinator.View, row coordinator.Row) Task {
	t := row.Task
	shown := Task{
		ID: t.Spec.ID, Kind: t.Spec.Kind, Class: view.Class(t.Spec.Kind), State: t.State.String(), Cancelled: t.Cancelled,
		Priority: Number(t.Priority), Parent: t.Parent, RetryOf: retryOf(&t.Spec), Seq: t.Seq,
		Version: VersionText(t.Version()), Attempt: t.Attempt, Failures: t.Failures, Lost: t.Lost, Preempted: t.Preempted,
		SubmittedAt: at(t.Submitted), StartedAt: at(t.Started), EndedAt: at(t.Ended),
	}
	if t.Lease != nil && t.State.Leased() {
		shown.Worker, shown.Class = t.Lease.Worker, t.Lease.Class
	}
	if !math.IsNaN(row.Score) {
		value := Number(row.Score)
		shown.Value = &value
	}
	if t.Outcome != nil {
		shown.Failure = failureOf(t.Outcome.Failure)
	}
	return shown
}

func failureOf(f *spec.FailureRecord) *Failure {
	if f == nil {
		return nil
	}
	return &Failure{Kind: f.Kind, Phase: f.Phase, Cause: f.Cause(), Message: f.Message}
}

// retryOf is the task that a spec repeats.
func retryOf(ts *spec.TaskSpec) spec.TaskID {
	for _, f := range ts.Extra {
		if f.Name != retryField {
			continue
		}
		if value, err := spec.DecodeValue(f.Value); err == nil {
			text, _ := value.(string)
			return spec.TaskID(text)
		}
	}
	return ""
}

// row finds the task that the path names.
func (c *call) row() (coordinator.Row, error) {
	id, err := idOf(c.PathValue("task"))
	if err != nil {
		return coordinator.Row{}, err
	}
	row, known := c.view.Task(id)
	if !known {
		return row, problem(CodeUnknownTask, "run %q has no task %q", c.run.Name(), id)
	}
	return row, nil
}

// childrenShown is how many children a task's detail lists.
const childrenShown = 1000

func (c *call) showTask() error {
	if _, err := c.query(); err != nil {
		return err
	}
	row, err := c.row()
	if err != nil {
		return err
	}
	detail := c.detail(row)
	c.setVersion(detail.Version)
	return c.answer(detail)
}

func (c *call) detail(row coordinator.Row) *TaskDetail {
	t := row.Task
	d := &TaskDetail{
		Task: taskOf(c.view, row), Spec: t.Spec, Attempts: c.attempts(t), Lineage: c.lineage(t), Children: []spec.TaskID{},
		Live: c.live(t), Spent: spentOn(c.view, t), Allowance: allowanceOf(c.view, t.Spec.ID), Purse: t.Purse,
	}
	for kid := range c.view.Children(t.Spec.ID) {
		if d.ChildCount++; d.ChildCount <= childrenShown {
			d.Children = append(d.Children, kid.Task.Spec.ID)
		}
	}
	if t.State == spec.StateQueued {
		d.Waiting = waiting(c.view, t)
	}
	if code := t.Spec.Code; !code.IsZero() {
		d.Code = &CodeTree{Hash: code.Bundle.Digest.String(), Bytes: code.Bundle.Size, Commit: code.Commit}
	}
	if t.Outcome == nil {
		return d
	}
	d.Record = t.Outcome.Failure
	result, err := c.view.Result(t)
	if err != nil {
		return d // its failure says so
	}
	d.DurationSeconds, d.Host = result.Duration.Seconds(), result.Host
	if d.Worker == "" {
		d.Worker = result.Worker
	}
	if last := len(d.Attempts) - 1; last >= 0 && d.Attempts[last].Number == t.Outcome.Attempt {
		d.Attempts[last].Worker = result.Worker
	}
	if h := result.Hardware; !h.IsZero() {
		d.Hardware = &Hardware{GPU: h.GPU, GPUs: append([]string{}, h.GPUs...), Driver: h.Driver}
	}
	if len(result.Metrics) > 0 || len(result.Output) > 0 {
		d.Result = &Result{Metrics: numbers(result.Metrics), Output: spec.Payload(result.Output)}
	}
	return d
}

// attempts lists the newest attempt after those that ended before it.
func (c *call) attempts(t *spec.Task) []Attempt {
	list := []Attempt{}
	for _, p := range c.view.PastAttempts(t.Spec.ID) {
		list = append(list, Attempt{
			Number: p.Attempt, Worker: p.Worker, Class: p.Class, StartedAt: at(p.Started), EndedAt: at(p.Ended), Ending: p.Ending,
		})
	}
	if t.Attempt == 0 || t.State == spec.StateQueued {
		return list
	}
	newest := Attempt{Number: t.Attempt, StartedAt: at(t.Started), EndedAt: at(t.Ended)}
	switch {
	case t.State.Leased():
		newest.Number, newest.Worker, newest.Class = t.Lease.Attempt, t.Lease.Worker, t.Lease.Class
		if t.State == spec.StateDispatched {
			newest.StartedAt = nil
		}
	case t.Outcome.Failure == nil:
		newest.Number, newest.Ending = t.Outcome.Attempt, spec.StatusCompleted
	default:
		newest.Ending = spec.StatusFailed
	}
	return append(list, newest)
}

// lineageMax bounds how far up a lineage is followed.
const lineageMax = 10_000

func (c *call) lineage(t *spec.Task) []spec.TaskID {
	line := []spec.TaskID{}
	for id := t.Parent; id != "" && len(line) < lineageMax; {
		line = append(line, id)
		parent, known := c.view.Task(id)
		if !known {
			break
		}
		id = parent.Task.Parent
	}
	slices.Reverse(line)
	return line
}

// live is what a worker says of the attempt that runs.
func (c *call) live(t *spec.Task) *Live {
	if t.State != spec.StateRunning {
		return nil
	}
	for _, w := range c.view.Workers() {
		for _, h := range w.Running {
			if h.Task == t.Spec.ID && h.Attempt == t.Lease.Attempt {
				return &Live{
					Worker: w.ID, Host: w.Host, Progress: h.Progress, Metrics: numbers(h.Metrics), HeardAt: w.Heard.UTC(),
				}
			}
		}
	}
	return nil
}
