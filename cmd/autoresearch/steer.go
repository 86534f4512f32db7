package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"autoresearch/internal/cli"
	"autoresearch/pkg/api"
	"autoresearch/pkg/spec"
)

// steering are the flags of commands that change something.
type steering struct {
	remote
	reason  string
	version string
	dryRun  bool
	yes     bool
	subtree bool
}

func (o *steering) add(cmd *cobra.Command) {
	o.remote.add(cmd)
	o.addOutput(cmd)
	fs := cmd.Flags()
	fs.StringVarP(&o.reason, "reason", "m", "", "why; it is kept with the change (autoresearch events)")
	fs.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, and do nothing")
}

func (o *steering) addVersion(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.version, "if-version", "", "only if it still has `VERSION`, as show and status say it")
}

func (o *steering) addSubtree(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.subtree, "subtree", false, "and everything below in the tree")
}

func (o *steering) addYes(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
}

// confirm asks before what cannot be undone. Where nobody can be asked, --yes must be said.
func (o *steering) confirm(cmd *cobra.Command, question string) error {
	if o.yes || o.dryRun {
		return nil
	}
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return cli.Exit(cli.ExitUsage, fmt.Errorf("%s? Nobody can be asked here: say --yes", question))
	}
	cmd.PrintErrf("%s? [y/N] ", question)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		return errors.New("nothing was done")
	}
	return nil
}

// outcome is what became of one task of a command that takes several.
type outcome struct {
	Task   spec.TaskID  `json:"task"`
	Count  int          `json:"count"`
	DryRun bool         `json:"dry_run,omitempty"`
	Now    *api.Task    `json:"now,omitempty"`
	Error  *api.Problem `json:"error,omitempty"`
}

// each does something to every task that is named, goes on when one is refused, and ends with the first refusal.
func (o *steering) each(cmd *cobra.Command, ids []string, do func(context.Context, *session, spec.TaskID) (api.ChangeAnswer, error)) error {
	return o.do(cmd, "", func(ctx context.Context, s *session) error {
		var refused error
		var outcomes []outcome
		for _, id := range ids {
			answer, err := do(ctx, s, spec.TaskID(id))
			var p *api.Problem
			if err != nil && !errors.As(err, &p) {
				return err
			}
			refused = cmp.Or(refused, err)
			outcomes = append(outcomes, outcome{Task: spec.TaskID(id), Count: answer.Count, DryRun: answer.DryRun, Now: answer.Task, Error: p})
		}
		err := s.print(outcomes, func(w *bytes.Buffer, _ bool) { writeOutcomes(w, outcomes) })
		return s.refusals(len(ids), err, refused)
	})
}

// refusals is the error of a command that was asked about several tasks, of which the first refusal is refused: said already,
// unless there was only one.
func (s *session) refusals(tasks int, printing, refused error) error {
	if printing == nil && tasks > 1 && refused != nil {
		return cli.Exit(cli.ExitCode(exitOf(refused)), nil) // it stands in the table
	}
	return cmp.Or(printing, refused)
}

func writeOutcomes(w *bytes.Buffer, outcomes []outcome) {
	if len(outcomes) == 1 && outcomes[0].Error != nil {
		return // it is the command's error
	}
	t := newTable(w, "ID", "REACHED", "STATUS", "PRIORITY", "NOTE")
	for _, o := range outcomes {
		switch {
		case o.Error != nil:
			t.row(name(o.Task), "0", "", "", harmless(o.Error.Message, nameMax))
		case o.Now != nil:
			note := ""
			if o.DryRun {
				note = "dry run: nothing was done"
			}
			t.row(name(o.Task), fmt.Sprint(o.Count), statusOf(o.Now), o.Now.Priority.String(), note)
		}
	}
	t.end()
}

func cancelCommand() *cobra.Command {
	var o steering
	cmd := &cobra.Command{
		Use:   "cancel ID...",
		Short: "End tasks, or whole subtrees",
		Long: "End tasks: what is queued ends at once, what runs is stopped by its worker. With --subtree everything below in the\n" +
			"tree ends too, and children that come later are born cancelled. A cancelled task can be retried.",
		Example: `  autoresearch cancel exp-17 --yes
  autoresearch cancel exp-17 --subtree --dry-run
  autoresearch cancel exp-17 --subtree --yes -m "diverges above lr 0.1"`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: o.completeTasks,
		RunE: func(cmd *cobra.Command, args []string) error {
			question := fmt.Sprintf("cancel %s", strings.Join(args, ", "))
			if o.subtree {
				question += " and everything below"
			}
			if err := o.confirm(cmd, question); err != nil {
				return err
			}
			return o.each(cmd, args, func(ctx context.Context, s *session, id spec.TaskID) (api.ChangeAnswer, error) {
				return s.Cancel(ctx, s.run, id, api.CancelRequest{Subtree: o.subtree, Reason: o.reason, DryRun: o.dryRun}, o.version)
			})
		},
	}
	o.add(cmd)
	o.addSubtree(cmd)
	o.addVersion(cmd)
	o.addYes(cmd)
	return cmd
}

func bumpCommand() *cobra.Command {
	var o steering
	var to float64
	cmd := &cobra.Command{
		Use:   "bump ID...",
		Short: "Move tasks to the front of the queue, or to a priority",
		Long: "Move tasks to the front of the queue, or with --to give them a priority: the lower number runs first. What runs\n" +
			"already goes on.",
		Example: `  autoresearch bump exp-17
  autoresearch bump exp-17 --subtree -m "promising"
  autoresearch bump exp-3 exp-4 --to 100        # later`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: o.completeTasks,
		RunE: func(cmd *cobra.Command, args []string) error {
			request := api.PriorityRequest{Front: true, Subtree: o.subtree, Reason: o.reason, DryRun: o.dryRun}
			if cmd.Flags().Changed("to") {
				priority := api.Number(to)
				request.Front, request.Priority = false, &priority
			}
			return o.each(cmd, args, func(ctx context.Context, s *session, id spec.TaskID) (api.ChangeAnswer, error) {
				return s.Reprioritise(ctx, s.run, id, request, o.version)
			})
		},
	}
	cmd.Flags().Float64Var(&to, "to", 0, "give them priority `N`: the lower number runs first")
	o.add(cmd)
	o.addSubtree(cmd)
	o.addVersion(cmd)
	return cmd
}

func retryCommand() *cobra.Command {
	var o steering
	var id string
	var priority float64
	cmd := &cobra.Command{
		Use:   "retry ID...",
		Short: "Run failed tasks again, as new tasks",
		Long: "Run failed or cancelled tasks again. A finished task stays as it is; its retry is a new task ID~r1 at the same place\n" +
			"of the tree, which names the task it repeats. A retry that is under way is not doubled.",
		Example: `  autoresearch retry exp-17
  autoresearch retry exp-17 --id exp-17-more-memory --priority -5
  autoresearch list --status failed -n 0 -o json | jq -r '.tasks[].id' | xargs autoresearch retry`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: o.completeTasks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if id != "" && len(args) > 1 {
				return cli.Exit(cli.ExitUsage, errors.New("--id names one retry; name one task"))
			}
			request := api.RetryRequest{ID: spec.TaskID(id), Reason: o.reason, DryRun: o.dryRun}
			if cmd.Flags().Changed("priority") {
				p := api.Number(priority)
				request.Priority = &p
			}
			return o.do(cmd, "", func(ctx context.Context, s *session) error { return s.retryAll(ctx, args, request) })
		},
	}
	cmd.Flags().StringVar(&id, "id", "", "give the new task `ID`")
	cmd.Flags().Float64Var(&priority, "priority", 0, "give the new task priority `N` (default: that of the failed one)")
	o.add(cmd)
	return cmd
}

// retried is what became of the retry of one task.
type retried struct {
	api.RetryAnswer
	Error *api.Problem `json:"error,omitempty"`
}

// retryAll retries every task that is named, goes on when one is refused, and ends with the first refusal.
func (s *session) retryAll(ctx context.Context, ids []string, request api.RetryRequest) error {
	var refused error
	var outcomes []retried
	for _, id := range ids {
		answer, err := s.Retry(ctx, s.run, spec.TaskID(id), request)
		var p *api.Problem
		if err != nil && !errors.As(err, &p) {
			return err
		}
		refused = cmp.Or(refused, err)
		answer.RetryOf = spec.TaskID(id)
		outcomes = append(outcomes, retried{answer, p})
	}
	err := s.print(outcomes, func(w *bytes.Buffer, _ bool) { writeRetried(w, outcomes) })
	return s.refusals(len(ids), err, refused)
}

func writeRetried(w *bytes.Buffer, outcomes []retried) {
	if len(outcomes) == 1 && outcomes[0].Error != nil {
		return // it is the command's error
	}
	t := newTable(w, "TASK", "RETRIES", "NOTE")
	for _, o := range outcomes {
		note := ""
		switch {
		case o.Error != nil:
			note = harmless(o.Error.Message, nameMax)
		case o.DryRun:
			note = "dry run: nothing was done"
		case o.Existing:
			note = "it was there already"
		}
		t.row(name(o.Task), name(o.RetryOf), note)
	}
	t.end()
}
