package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"autoresearch/pkg/api"
	"autoresearch/pkg/spec"
)

// inReason is the argument that every tool takes that changes something.
type inReason struct {
	inRun
	Reason string `json:"reason" jsonschema:"why, in a few words; it is journaled and others read it"`
}

func (i inReason) check() error {
	if strings.TrimSpace(i.Reason) == "" {
		return errors.New("reason: say why in a few words")
	}
	return nil
}

type newTask struct {
	ID       string         `json:"id" jsonschema:"a new name, unique in the run"`
	Kind     string         `json:"kind,omitempty" jsonschema:"how it is run: a kind of the workflow; default by default"`
	Priority float64        `json:"priority,omitempty" jsonschema:"the lower number runs first; 0 by default"`
	Parent   string         `json:"parent,omitempty" jsonschema:"the task above it in the tree"`
	Payload  map[string]any `json:"payload,omitempty" jsonschema:"the parameters, as the workflow's commands expect them"`
}

type inSubmit struct {
	inReason
	Tasks  []newTask `json:"tasks" jsonschema:"the experiments"`
	DryRun bool      `json:"dry_run,omitempty" jsonschema:"only say what would become of them"`
}

type inCancel struct {
	inReason
	Task    string `json:"task" jsonschema:"the task's id"`
	Subtree bool   `json:"subtree,omitempty" jsonschema:"its descendants too"`
	DryRun  bool   `json:"dry_run,omitempty" jsonschema:"only say how many would be reached"`
	Version string `json:"version,omitempty" jsonschema:"refuse if the task has another version by now"`
}

type inRetry struct {
	inReason
	Task   string `json:"task" jsonschema:"the failed task's id"`
	ID     string `json:"id,omitempty" jsonschema:"the new task's id; chosen by default"`
	DryRun bool   `json:"dry_run,omitempty" jsonschema:"only say what would happen"`
}

type inPriority struct {
	inReason
	Task     string   `json:"task" jsonschema:"the task's id"`
	Priority *float64 `json:"priority,omitempty" jsonschema:"the new priority: the lower number runs first"`
	Front    bool     `json:"front,omitempty" jsonschema:"instead of a priority: before all that waits"`
	Subtree  bool     `json:"subtree,omitempty" jsonschema:"its descendants too"`
	DryRun   bool     `json:"dry_run,omitempty" jsonschema:"only say how many would be reached"`
	Version  string   `json:"version,omitempty" jsonschema:"refuse if the task has another version by now"`
}

type inControl struct {
	inReason
	Action  string `json:"action" jsonschema:"pause (nothing new begins; what runs goes on), resume, or drain (what runs finishes, then the run stops)"`
	Class   string `json:"class,omitempty" jsonschema:"pause or resume only this class of slots"`
	Version string `json:"version,omitempty" jsonschema:"refuse if the run's controls have another version by now"`
}

type inBudget struct {
	inReason
	Budget  int    `json:"budget" jsonschema:"how many experiments run at once, at most; 0 returns to the configured number"`
	Class   string `json:"class,omitempty" jsonschema:"of this class of slots; of the run by default"`
	Version string `json:"version,omitempty" jsonschema:"refuse if the run's controls have another version by now"`
}

// addChanging adds the tools that change something.
func (s *server) addChanging() {
	change(s, "submit_tasks", "Add experiments to the queue. Known ones with the same content are left alone, so a call may be repeated.", false, submit)
	change(s, "cancel_task", "End an experiment, and with subtree all below it, for good.", true,
		func(ctx context.Context, a *asked, in inCancel) (any, error) {
			r := api.CancelRequest{Subtree: in.Subtree, Reason: in.Reason, DryRun: in.DryRun}
			return a.Cancel(ctx, a.run, spec.TaskID(in.Task), r, in.Version)
		})
	change(s, "retry_task", "Run a failed experiment again, as a new task.", false,
		func(ctx context.Context, a *asked, in inRetry) (any, error) {
			r := api.RetryRequest{ID: spec.TaskID(in.ID), Reason: in.Reason, DryRun: in.DryRun}
			return a.Retry(ctx, a.run, spec.TaskID(in.Task), r)
		})
	change(s, "set_priority", "Change when an experiment runs: to a priority, or to the front of the queue.", false, setPriority)
	change(s, "control_run", "Pause, resume or drain the run, or pause and resume one class of slots.", false, control)
	change(s, "set_budget", "Set how many experiments run at once. What runs is never ended by it.", false,
		func(ctx context.Context, a *asked, in inBudget) (any, error) {
			return a.SetBudget(ctx, a.run, api.BudgetRequest{Class: in.Class, Budget: &in.Budget, Reason: in.Reason}, in.Version)
		})
}

func submit(ctx context.Context, a *asked, in inSubmit) (any, error) {
	r := api.SubmitRequest{Reason: in.Reason, DryRun: in.DryRun}
	for i, t := range in.Tasks {
		payload, err := json.Marshal(t.Payload)
		if err != nil {
			return nil, fmt.Errorf("tasks.%d.payload: %w", i, err)
		}
		if t.Payload == nil {
			payload = nil
		}
		r.Tasks = append(r.Tasks, spec.TaskSpec{
			ID: spec.TaskID(t.ID), Kind: t.Kind, Priority: t.Priority, Parent: spec.TaskID(t.Parent), Payload: payload,
		}.WithDefaults())
	}
	return a.Submit(ctx, a.run, r)
}

func setPriority(ctx context.Context, a *asked, in inPriority) (any, error) {
	r := api.PriorityRequest{Front: in.Front, Subtree: in.Subtree, Reason: in.Reason, DryRun: in.DryRun}
	if in.Priority != nil {
		r.Priority = new(api.Number(*in.Priority))
	}
	return a.Reprioritise(ctx, a.run, spec.TaskID(in.Task), r, in.Version)
}

func control(ctx context.Context, a *asked, in inControl) (any, error) {
	r := api.ControlRequest{Class: in.Class, Reason: in.Reason}
	switch in.Action {
	case "pause":
		return a.Pause(ctx, a.run, r, in.Version)
	case "resume":
		return a.Resume(ctx, a.run, r, in.Version)
	case "drain":
		return a.Drain(ctx, a.run, r, in.Version)
	}
	return nil, fmt.Errorf("action %q: it must be pause, resume or drain", in.Action)
}
