package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"autoresearch/pkg/api"
	"autoresearch/pkg/spec"
)

// listOptions are the flags of the list command.
type listOptions struct {
	remote
	query  api.TaskQuery
	parent string
	limit  int
}

func listCommand() *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:     "list [DIR]",
		Aliases: []string{"ls"},
		Short:   "List tasks",
		Long: `List tasks: filtered, sorted, newest or best first.

Statuses are queued, delayed (waits for a retry), dispatched, running, reported (its result is being looked at), completed,
failed, cancelled, and live for all that is not finished. Orders are seq (arrival), queue (as they would run), priority, best,
value, attempt, submitted, started, ended and duration; with - in front the other way round.`,
		Example: `  autoresearch list runs/demo
  autoresearch list --status failed --kind train
  autoresearch list --status queued --sort queue --limit 10     # what runs next
  autoresearch list --sort best --limit 5 -o wide
  autoresearch list --status running --watch
  autoresearch list --text lr=0.1 -o json | jq -r '.tasks[].id'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.do(cmd, first(args), func(ctx context.Context, s *session) error {
				return s.watching(ctx, func(ctx context.Context) error { return o.list(ctx, s) })
			})
		},
	}
	fs := cmd.Flags()
	fs.StringSliceVar(&o.query.Status, "status", nil, "only tasks with `STATUS`, one or several")
	fs.StringSliceVar(&o.query.Kinds, "kind", nil, "only tasks of `KIND`, one or several")
	fs.StringSliceVar(&o.query.Classes, "class", nil, "only tasks of `CLASS`, one or several")
	fs.StringVar(&o.parent, "parent", "", "only children of task `ID`")
	fs.StringVar(&o.query.Text, "text", "", "only tasks with `TEXT` in id, payload or failure, in any case")
	fs.StringVar(&o.query.Sort, "sort", "", "list in `ORDER` (default seq)")
	fs.IntVarP(&o.limit, "limit", "n", 50, "list at most `N` tasks; 0 lists all")
	must(cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions(statuses, cobra.ShellCompDirectiveNoFileComp)))
	must(cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions(orders, cobra.ShellCompDirectiveNoFileComp)))
	must(cmd.RegisterFlagCompletionFunc("parent", o.completeTasks))
	must(cmd.RegisterFlagCompletionFunc("class", o.completeClasses))
	must(cmd.RegisterFlagCompletionFunc("kind", o.completeKinds))
	o.add(cmd)
	o.addOutput(cmd)
	o.addWatch(cmd)
	return cmd
}

var (
	statuses = []string{"queued", "delayed", "dispatched", "running", "reported", "completed", "failed", "cancelled", "live"}
	orders   = []string{
		"seq", "-seq", "queue", "priority", "best", "value", "-value", "attempt", "-attempt", "-submitted", "-started", "-ended",
		"-duration",
	}
)

func (o *listOptions) list(ctx context.Context, s *session) error {
	o.query.Parent = spec.TaskID(o.parent)
	list, err := s.allTasks(ctx, o.query, o.limit)
	if err != nil {
		return err
	}
	return s.print(list, func(w *bytes.Buffer, wide bool) {
		writeTasks(w, list.Tasks, wide)
		if list.Next != "" {
			fmt.Fprintf(w, "These are the first %d; -n 0 lists all.\n", len(list.Tasks))
		}
	})
}

// pageSize is how many tasks are asked for at once.
const pageSize = 1000

// allTasks reads pages until it has most tasks, all of them if most is 0. Next is set where there are more.
func (s *session) allTasks(ctx context.Context, q api.TaskQuery, most int) (all api.TaskList, err error) {
	all.Tasks = []api.Task{}
	for {
		q.Limit = pageSize
		if most > 0 {
			q.Limit = min(pageSize, most-len(all.Tasks))
		}
		page, err := s.Tasks(ctx, s.run, q)
		if err != nil {
			return all, err
		}
		all.Tasks, all.Next = append(all.Tasks, page.Tasks...), page.Next
		if q.Cursor = page.Next; q.Cursor == "" || most > 0 && len(all.Tasks) >= most {
			return all, nil
		}
	}
}

func writeTasks(w *bytes.Buffer, tasks []api.Task, wide bool) {
	header := []string{"ID", "STATUS", "PRIORITY", "VALUE", "TIME", "WHY"}
	if wide {
		header = append(header, "KIND", "CLASS", "ATTEMPT", "WORKER", "PARENT", "SUBMITTED", "VERSION")
	}
	t := newTable(w, header...)
	for i := range tasks {
		task := &tasks[i]
		cells := []string{
			name(task.ID), statusOf(task), task.Priority.String(), value(task.Value), took(task.StartedAt, task.EndedAt), why(task),
		}
		if wide {
			cells = append(cells, name(task.Kind), name(task.Class), number(task.Attempt), name(task.Worker), name(task.Parent),
				ago(task.SubmittedAt), task.Version)
		}
		t.row(cells...)
	}
	t.end()
}

// statusOf is a task's state, where what a person ended is cancelled, or on its way there.
func statusOf(t *api.Task) string {
	finished := t.State == spec.StatusFailed || t.State == spec.StatusCompleted
	switch {
	case finished && t.Failure != nil && t.Failure.Cause == spec.CauseCancelled:
		return "cancelled"
	case t.Cancelled && !finished:
		return "cancelling"
	}
	return t.State
}

func why(t *api.Task) string {
	if t.Failure == nil {
		return ""
	}
	return harmless(firstLine(t.Failure.Message), nameMax)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func showCommand() *cobra.Command {
	var o remote
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show all that is known of a task",
		Long: "Show all that is known of a task: where it stands, its result or failure, its attempts, its place in the tree, and\n" +
			"for a queued one why it waits, at which place, and when it is expected to begin.",
		Example: `  autoresearch show exp-17
  autoresearch show exp-17 --server runs/demo -o yaml
  autoresearch show exp-17 --watch`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: o.completeTasks,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.do(cmd, "", func(ctx context.Context, s *session) error {
				return s.watching(ctx, func(ctx context.Context) error {
					d, err := s.Task(ctx, s.run, spec.TaskID(args[0]))
					if err != nil {
						return err
					}
					return s.print(d, func(w *bytes.Buffer, wide bool) { writeDetail(w, &d, wide, s.seriesOf(ctx, &d)) })
				})
			})
		},
	}
	o.add(cmd)
	o.addOutput(cmd)
	o.addWatch(cmd)
	return cmd
}

// seriesOf asks for a finished task's series; nil when there are none to show.
func (s *session) seriesOf(ctx context.Context, d *api.TaskDetail) *api.SeriesList {
	if d.Result == nil {
		return nil
	}
	list, err := s.Series(ctx, s.run, d.ID)
	if err != nil {
		return &api.SeriesList{Note: err.Error()}
	}
	return &list
}

func writeDetail(w *bytes.Buffer, d *api.TaskDetail, wide bool, series *api.SeriesList) {
	line := func(title, format string, args ...any) {
		fmt.Fprintf(w, "%-10s %s\n", title, strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
	line("task", "%s", name(d.ID))
	line("status", "%s", statusOf(&d.Task))
	line("kind", "%s, class %s", name(d.Kind), name(d.Class))
	line("priority", "%s (the lower runs first)", d.Priority)
	if len(d.Lineage) > 0 {
		line("below", "%s", names(d.Lineage, " > "))
	}
	if d.RetryOf != "" {
		line("retries", "%s", name(d.RetryOf))
	}
	if d.Spent != nil {
		line("spent", "%s", spentText(d.Spent))
	}
	if d.Allowance != nil {
		line("allowance", "with all below it: %s", allowanceText(d.Allowance))
	}
	if d.ChildCount > 0 {
		line("children", "%d: %s", d.ChildCount, names(d.Children[:min(10, len(d.Children))], ", "))
	}
	writeTimes(line, d)
	if d.Waiting != nil {
		writeWaiting(line, d.Waiting)
	}
	if d.Live != nil && (d.Live.Progress != "" || len(d.Live.Metrics) > 0) {
		line("progress", "%s %s", harmless(d.Live.Progress, 200), metrics(d.Live.Metrics))
	}
	if d.Result != nil {
		line("metrics", "%s", metrics(d.Result.Metrics))
	}
	if series != nil {
		writeSeries(w, series)
	}
	if f := d.Failure; f != nil {
		line("failure", "%s in %s %s", f.Kind, f.Phase, f.Cause)
		fmt.Fprintf(w, "           %s\n", harmless(f.Message, 2000))
	}
	for _, a := range d.Attempts {
		line("attempt", "%s", attemptText(&a))
	}
	line("version", "%s", d.Version)
	if text, err := d.Spec.Payload.MarshalJSON(); err == nil {
		most := 1000
		if wide {
			most = len(text)
		}
		line("payload", "%s", harmless(string(text), most))
	}
}

func attemptText(a *api.Attempt) string {
	words := []string{fmt.Sprint(a.Number)}
	if a.Ending != "" {
		words = append(words, a.Ending)
	}
	if a.Worker != "" {
		words = append(words, "on", name(a.Worker))
	}
	if time := took(a.StartedAt, a.EndedAt); time != "" {
		words = append(words, "in", time)
	}
	return strings.Join(words, " ")
}

func writeTimes(line func(string, string, ...any), d *api.TaskDetail) {
	line("submitted", "%s", ago(d.SubmittedAt))
	if d.StartedAt != nil {
		line("started", "%s on %s %s", ago(d.StartedAt), name(d.Worker), name(d.Host))
	}
	if h := d.Hardware; h != nil {
		line("hardware", "%d x %s, driver %s", len(h.GPUs), name(h.GPU), name(h.Driver))
	}
	if c := d.Code; c != nil {
		line("code", "%s", c.Hash)
		if c.Commit != "" {
			line("commit", "%s", name(c.Commit))
		}
	}
	switch {
	case d.EndedAt != nil && d.StartedAt != nil:
		line("ended", "%s after %s", ago(d.EndedAt), took(d.StartedAt, d.EndedAt))
	case d.EndedAt != nil:
		line("ended", "%s, before it began", ago(d.EndedAt))
	}
}

func writeWaiting(line func(string, string, ...any), w *api.Waiting) {
	for i, r := range w.Reasons {
		title := ""
		if i == 0 {
			title = "waits"
		}
		line(title, "%s", harmless(r.Text, 200))
	}
	if w.Place > 0 {
		line("place", "%d in class %s", w.Place, name(w.Class))
	}
	if w.ExpectedAt != nil {
		line("expected", "about %s", w.ExpectedAt.Local().Format("15:04:05, 2 January"))
	}
}

// names lists ids.
func names(ids []spec.TaskID, between string) string {
	list := make([]string, len(ids))
	for i, id := range ids {
		list[i] = name(id)
	}
	return strings.Join(list, between)
}
