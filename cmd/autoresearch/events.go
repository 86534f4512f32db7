package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"autoresearch/internal/cli"
	"autoresearch/pkg/api"
	"autoresearch/pkg/spec"
)

// eventsOptions are the flags of the events command.
type eventsOptions struct {
	remote
	query  api.EventQuery
	task   string
	limit  int
	follow bool
}

func eventsCommand() *cobra.Command {
	var o eventsOptions
	cmd := &cobra.Command{
		Use:   "events [DIR]",
		Short: "List what happened: changes with who and why, tasks, the run, its leaders",
		Long: `List what happened, oldest first: changes that somebody asked for, with who and why, and the GPUs that workers have
quarantined and released; tasks as they went on; the run; and its leaders. Every event has an id that stays the same, whoever leads; --after ID goes on from there.

With --follow it goes on as things happen, through restarts of the server. With -o json each event is a line.`,
		Example: `  autoresearch events --type change                # who steered the run, and why
  autoresearch events --task exp-17
  autoresearch events --follow --type change,run
  autoresearch events --after 0 -n 0 -o json > all.jsonl`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.query.Task = spec.TaskID(o.task)
			return o.do(cmd, first(args), o.events)
		},
	}
	fs := cmd.Flags()
	fs.StringSliceVar(&o.query.Types, "type", nil, "only events of `TYPE`, one or several of change, task, run, leader")
	fs.StringVar(&o.task, "task", "", "only what is about task `ID`")
	fs.StringVar(&o.query.After, "after", "", "begin after event `ID`; 0 is the beginning (default: the newest)")
	fs.IntVarP(&o.limit, "limit", "n", 50, "list at most `N` events; 0, with --after, lists all")
	fs.BoolVarP(&o.follow, "follow", "f", false, "go on as things happen, until interrupted")
	types := []string{api.EventChange, api.EventTask, api.EventRun, api.EventLeader}
	must(cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(types, cobra.ShellCompDirectiveNoFileComp)))
	must(cmd.RegisterFlagCompletionFunc("task", o.completeTasks))
	o.add(cmd)
	o.addOutput(cmd)
	return cmd
}

func (o *eventsOptions) events(ctx context.Context, s *session) error {
	if o.follow {
		ctx, signals := cli.NotifySignals(ctx)
		defer signals.Stop()
		err := s.Follow(ctx, s.run, o.query, s.sayEvent)
		if ctx.Err() != nil {
			return cli.Exit(signals.Code(), nil)
		}
		return err
	}
	for left := o.limit; ; {
		o.query.Limit = 1000
		if o.limit > 0 {
			o.query.Limit = min(o.query.Limit, left)
		}
		page, err := s.Events(ctx, s.run, o.query)
		if err != nil {
			return err
		}
		for _, e := range page.Events {
			if err := s.sayEvent(e); err != nil {
				return err
			}
		}
		left -= len(page.Events)
		if !page.More || o.query.After == "" || o.limit > 0 && left <= 0 {
			return nil
		}
		o.query.After = page.Next
	}
}

// sayEvent writes an event as a line, or, with -o yaml, as a document.
func (s *session) sayEvent(e api.Event) error {
	var text []byte
	var err error
	switch s.o.output {
	case outputJSON:
		text, err = toJSON(e, "")
	case outputYAML:
		text, err = toYAML(e)
		text = append([]byte("---\n"), text...)
	default:
		text = []byte(eventText(&e) + "\n")
	}
	if err != nil {
		return err
	}
	_, err = s.out.Write(text)
	return err
}

func eventText(e *api.Event) string {
	at := strings.Repeat(" ", len("15:04:05"))
	if e.At != nil {
		at = e.At.Local().Format("15:04:05")
	}
	text := e.Type
	switch {
	case e.Change != nil:
		text = changeText(e.Change)
	case e.Task != nil:
		text = taskText(e.Task)
	case e.Run != nil:
		text = runText(e.Run)
	case e.Leader != nil:
		text = fmt.Sprintf("a leader took over: term %d", e.Leader.Epoch)
	case e.Type == api.EventGap:
		text = "what came before is no longer kept"
	}
	return fmt.Sprintf("%s  %-8s %s", at, e.ID, text)
}

func changeText(c *api.Change) string {
	words := []string{string(c.Action)}
	say := func(when bool, format string, args ...any) {
		if when {
			words = append(words, fmt.Sprintf(format, args...))
		}
	}
	say(c.Task != "", "%s", name(c.Task))
	say(c.RetryOf != "", "of %s", name(c.RetryOf))
	say(c.GPU != "", "GPU %s of", name(c.GPU))
	say(c.Class != "", "class %s", name(c.Class))
	say(c.Subtree, "and below")
	if c.Action == spec.ActWarn {
		words = append(words, harmless(c.Reason, 500))
		return strings.Join(words, " ")
	}
	say(c.Value != nil, "to %s", value(c.Value))
	say(c.What != "", "%s", harmless(c.What, 500))
	say(c.Count > 1, "(%d tasks)", c.Count)
	say(true, "by %s", name(c.By))
	say(c.Reason != "", "because: %s", harmless(c.Reason, 500))
	return strings.Join(words, " ")
}

func taskText(t *api.TaskEvent) string {
	text := name(t.ID) + " " + t.State
	if t.New {
		text += ", new"
	}
	if t.Attempt > 0 {
		text += fmt.Sprintf(", attempt %d", t.Attempt)
	}
	if t.Worker != "" {
		text += " on " + name(t.Worker)
	}
	if t.Failure != nil {
		text += ": " + harmless(firstLine(t.Failure.Message), 200)
	}
	return text
}

func runText(r *api.RunEvent) string {
	text := "the run is " + r.Status
	if r.Reason != "" {
		text += " (" + harmless(r.Reason, 200) + ")"
	}
	if r.Paused {
		text += ", paused"
	}
	if len(r.PausedClasses) > 0 {
		text += ", paused classes " + harmless(strings.Join(r.PausedClasses, " "), 200)
	}
	if r.Drained {
		text += ", being drained"
	}
	if r.Budget > 0 {
		text += fmt.Sprintf(", budget %d", r.Budget)
	}
	return text
}

func watchCommand() *cobra.Command {
	var o remote
	cmd := &cobra.Command{
		Use:   "watch ID...",
		Short: "Follow tasks until they are finished",
		Long: "Follow tasks until they are finished, through restarts of the server. The exit code is 0 when all completed, 1 when one\n" +
			"failed. To follow a whole run, see top and events --follow.",
		Example: `  autoresearch watch exp-17
  autoresearch submit --id probe-1 && autoresearch watch probe-1 && echo better`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: o.completeTasks,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.do(cmd, "", func(ctx context.Context, s *session) error { return s.watchTasks(ctx, args) })
		},
	}
	o.add(cmd)
	o.addOutput(cmd)
	return cmd
}

// errAllDone ends the following of tasks that are all finished.
var errAllDone = errors.New("all are finished")

// watchTasks follows the run's events from before it looks at the tasks, so that no ending is missed.
func (s *session) watchTasks(ctx context.Context, ids []string) error {
	ctx, signals := cli.NotifySignals(ctx)
	defer signals.Stop()
	newest, err := s.Events(ctx, s.run, api.EventQuery{Limit: 1})
	if err != nil {
		return err
	}
	open, failed := make(map[spec.TaskID]bool), 0
	for _, id := range ids {
		d, err := s.Task(ctx, s.run, spec.TaskID(id))
		if err != nil {
			return err
		}
		if d.State == spec.StatusFailed {
			failed++
		}
		if d.EndedAt == nil {
			open[d.ID] = true
		}
		s.sayState(&d)
	}
	note := func(e api.Event) error {
		if e.Task == nil || !open[e.Task.ID] {
			return nil
		}
		if e.Task.State == spec.StatusFailed {
			failed++
		}
		if e.Task.State == spec.StatusFailed || e.Task.State == spec.StatusCompleted {
			delete(open, e.Task.ID)
		}
		if err := s.sayEvent(e); err != nil {
			return err
		}
		if len(open) == 0 {
			return errAllDone
		}
		return nil
	}
	if len(open) > 0 {
		err = s.Follow(ctx, s.run, api.EventQuery{Types: []string{api.EventTask}, After: newest.Next}, note)
	}
	switch {
	case ctx.Err() != nil:
		return cli.Exit(signals.Code(), nil)
	case err != nil && !errors.Is(err, errAllDone):
		return err
	case failed > 0:
		return fmt.Errorf("%d of %d tasks failed", failed, len(ids))
	}
	return nil
}

// sayState writes how a task is at the beginning, for people.
func (s *session) sayState(d *api.TaskDetail) {
	if s.o.output != outputTable && s.o.output != outputWide {
		return
	}
	text := name(d.ID) + " is " + statusOf(&d.Task)
	if d.Waiting != nil {
		text += ": " + harmless(d.Waiting.Reasons[0].Text, 200)
	}
	_, _ = io.WriteString(s.out, text+"\n") // the events that follow would say that nobody listens
}
