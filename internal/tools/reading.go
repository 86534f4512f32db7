package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"autoresearch/pkg/api"
	"autoresearch/pkg/spec"
)

// How many items a tool returns where the call does not say, and at most.
const (
	itemsDefault = 30
	itemsMax     = 500
)

func bounded(n, otherwise int) int { return min(max(1, cmp.Or(n, otherwise)), itemsMax) }

type inTask struct {
	inRun
	Task string `json:"task" jsonschema:"the task's id"`
}

func (i inTask) id() spec.TaskID { return spec.TaskID(i.Task) }

type inTasks struct {
	inRun
	Status []string `json:"status,omitempty" jsonschema:"only these: queued, dispatched, running, reported, completed, failed, cancelled, delayed"`
	Kinds  []string `json:"kinds,omitempty" jsonschema:"only tasks of these kinds"`
	Parent string   `json:"parent,omitempty" jsonschema:"only children of this task"`
	Text   string   `json:"text,omitempty" jsonschema:"only tasks whose id contains this"`
	Sort   string   `json:"sort,omitempty" jsonschema:"seq (arrival), queue, priority, best, value, attempt, submitted, started, ended or duration; a minus in front reverses"`
	Limit  int      `json:"limit,omitempty" jsonschema:"how many, 30 by default"`
	Cursor string   `json:"cursor,omitempty" jsonschema:"the field next of the answer before, for what follows"`
}

type inLogs struct {
	inTask
	Attempt int `json:"attempt,omitempty" jsonschema:"which attempt; the newest by default"`
	Lines   int `json:"lines,omitempty" jsonschema:"how many of the last lines, 40 by default"`
}

type inLimit struct {
	inRun
	Limit int `json:"limit,omitempty" jsonschema:"how many, 30 by default"`
}

type inTree struct {
	inRun
	Root   string `json:"root,omitempty" jsonschema:"only the subtree of this task"`
	Limit  int    `json:"limit,omitempty" jsonschema:"how many nodes, 100 by default"`
	Cursor string `json:"cursor,omitempty" jsonschema:"the field next of the answer before, for what follows"`
}

type inEvents struct {
	inRun
	Types []string `json:"types,omitempty" jsonschema:"only these: change (who steered, and why), task, run, leader"`
	Task  string   `json:"task,omitempty" jsonschema:"only events about this task"`
	After string   `json:"after,omitempty" jsonschema:"the field next of the answer before: what happened since; the newest by default"`
	Limit int      `json:"limit,omitempty" jsonschema:"how many, 30 by default"`
}

// addReading adds the tools that change nothing.
func (s *server) addReading() {
	look(s, "run_status", "How a run is at a glance: status and why it stopped, counts of experiments, the best so far, budgets, pauses, classes "+
		"with their slots, the rate at which experiments end. Begin here.", func(ctx context.Context, a *asked, _ inRun) (any, error) {
		return a.Run(ctx, a.run)
	})
	look(s, "list_tasks", "List experiments, by status, kind, parent or text, in any order, a page at a time.",
		func(ctx context.Context, a *asked, in inTasks) (any, error) {
			return a.Tasks(ctx, a.run, api.TaskQuery{
				Status: in.Status, Kinds: in.Kinds, Parent: spec.TaskID(in.Parent), Text: in.Text, Sort: in.Sort, Cursor: in.Cursor,
				Limit: bounded(in.Limit, itemsDefault),
			})
		})
	look(s, "show_task", "All about one experiment: payload, result with metrics, failure with the last words, attempts, lineage, children; of one "+
		"that waits why, at which place and until when; of one that runs its latest progress and metrics.", showTask)
	look(s, "task_logs", "The last lines that an experiment wrote, also while it runs.",
		func(ctx context.Context, a *asked, in inLogs) (any, error) {
			return a.tail(ctx, in.id(), uint32(max(0, in.Attempt)), bounded(in.Lines, linesDefault))
		})
	look(s, "failures", "What goes wrong, in short: the newest failed experiments grouped by cause, the largest group first, each with one example and "+
		"its last lines. Use it before you look at single failures.",
		func(ctx context.Context, a *asked, in inFailures) (any, error) { return a.triage(ctx, in) })
	look(s, "history", "How the objective went: experiments with their values as they ended, every improvement among them, and the best up to each.",
		func(ctx context.Context, a *asked, in inLimit) (any, error) {
			return a.History(ctx, a.run, bounded(in.Limit, itemsDefault))
		})
	look(s, "report", "The run's report as markdown: status, the best experiment with its parameters, how it came about, improvements, failures. Long; "+
		"for people, and for a first look at a run that went on for days.", func(ctx context.Context, a *asked, _ inRun) (any, error) {
		in, err := a.Report(ctx, a.run, "report.md")
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(io.LimitReader(in, reportMax))
		return string(text), errors.Join(err, in.Close())
	})
	look(s, "tree", "The tree of hypotheses, or a subtree: each experiment with parent, status and value.",
		func(ctx context.Context, a *asked, in inTree) (any, error) {
			return a.Tree(ctx, a.run, spec.TaskID(in.Root), in.Cursor, bounded(in.Limit, 100))
		})
	look(s, "workers", "The machines that run experiments: slots, what each runs with its progress, and who is silent.",
		func(ctx context.Context, a *asked, _ inRun) (any, error) {
			workers, err := a.Workers(ctx, a.run)
			return api.WorkerList{Workers: workers}, err
		})
	look(s, "events", "What happened, oldest first: changes with who and why, tasks as they went on, the run's state, its leaders. To follow a run "+
		"ask again with after set to the field next.", func(ctx context.Context, a *asked, in inEvents) (any, error) {
		return a.Events(ctx, a.run, api.EventQuery{
			Types: in.Types, Task: spec.TaskID(in.Task), After: in.After, Limit: bounded(in.Limit, itemsDefault),
		})
	})
}

// reportMax is the most bytes of a report that are handed on.
const reportMax = 60_000

// payloadMax is the most bytes of a payload, and of an output, that are handed on.
const payloadMax = 20_000

func showTask(ctx context.Context, a *asked, in inTask) (any, error) {
	d, err := a.Task(ctx, a.run, in.id())
	if err != nil {
		return nil, err
	}
	d.Spec.Payload = clipped(d.Spec.Payload)
	if d.Result != nil {
		d.Result.Output = clipped(d.Result.Output)
	}
	return d, nil
}

// clipped is a payload, or, of one that is too large to hand on, a word that it is.
func clipped(p spec.Payload) spec.Payload {
	if len(p) <= payloadMax {
		return p
	}
	return spec.Payload(fmt.Sprintf(`{"left_out":"%d bytes"}`, len(p)))
}
