package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"autoresearch/internal/cli"
	"autoresearch/pkg/api"
	"autoresearch/pkg/spec"
)

// controlling are the flags of commands that change the controls of a run.
type controlling struct {
	steering
	class string
}

func (o *controlling) addClass(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.class, "class", "", "only for `CLASS`")
	must(cmd.RegisterFlagCompletionFunc("class", o.completeClasses))
}

// control asks for a change of a run's controls and shows the run after it; with --dry-run as it is.
func (o *controlling) control(cmd *cobra.Command, dir string, change func(context.Context, *session) (api.Run, error)) error {
	return o.do(cmd, dir, func(ctx context.Context, s *session) error {
		var run api.Run
		var err error
		if o.dryRun {
			run, err = s.Run(ctx, s.run)
			cmd.PrintErrln("dry run: nothing was done; the run is")
		} else {
			run, err = change(ctx, s)
		}
		if err != nil {
			return err
		}
		return s.print(run, func(w *bytes.Buffer, wide bool) { writeRun(w, &run, wide) })
	})
}

func (o *controlling) request() api.ControlRequest {
	return api.ControlRequest{Class: o.class, Reason: o.reason}
}

func pauseCommand() *cobra.Command {
	return switching((*api.Client).Pause, &cobra.Command{
		Use:   "pause [DIR]",
		Short: "Stop dispatching, of a run or of a class",
		Long:  "Stop dispatching: what runs goes on, nothing new begins until resume. A pause survives every restart.",
		Example: `  autoresearch pause runs/demo -m "cooling is out"
  autoresearch pause --class h100x8`,
	})
}

func resumeCommand() *cobra.Command {
	return switching((*api.Client).Resume, &cobra.Command{
		Use:     "resume [DIR]",
		Short:   "Dispatch again after a pause or a drain",
		Example: "  autoresearch resume runs/demo\n  autoresearch resume --class h100x8",
	})
}

// switching completes a command that changes whether a run or a class dispatches.
func switching(
	change func(*api.Client, context.Context, spec.RunName, api.ControlRequest, string) (api.Run, error), cmd *cobra.Command,
) *cobra.Command {
	var o controlling
	cmd.Args = cobra.MaximumNArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return o.control(cmd, first(args), func(ctx context.Context, s *session) (api.Run, error) {
			return change(s.Client, ctx, s.run, o.request(), o.version)
		})
	}
	o.add(cmd)
	o.addClass(cmd)
	o.addVersion(cmd)
	return cmd
}

func drainCommand() *cobra.Command {
	var o controlling
	var wait bool
	cmd := &cobra.Command{
		Use:   "drain [DIR]",
		Short: "Let what runs finish, and then stop the run",
		Long: "Let what runs finish, and then stop the run with its queue. An engine ends then, and the next start goes on; a\n" +
			"coordinator stays, and resume goes on.",
		Example: "  autoresearch drain runs/demo --yes --wait && sudo reboot",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.confirm(cmd, "drain the run"); err != nil {
				return err
			}
			return o.control(cmd, first(args), func(ctx context.Context, s *session) (api.Run, error) {
				run, err := s.Drain(ctx, s.run, o.request(), o.version)
				if err == nil && wait {
					return s.drained(ctx, run)
				}
				return run, err
			})
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until nothing runs any more")
	o.add(cmd)
	o.addVersion(cmd)
	o.addYes(cmd)
	return cmd
}

// drained waits until nothing runs. An engine that is drained ends, and then nobody is there to ask.
func (s *session) drained(ctx context.Context, run api.Run) (api.Run, error) {
	for n := run.Counts; n.Dispatched+n.Running+n.Reported > 0; n = run.Counts {
		select {
		case <-ctx.Done():
			return run, ctx.Err()
		case <-time.After(drainPoll):
		}
		next, err := s.Run(ctx, s.run)
		if err != nil && isUnreachable(err) {
			return run, nil
		}
		if err == nil {
			run = next
		}
	}
	return run, nil
}

// drainPoll is how often drain --wait looks.
const drainPoll = 500 * time.Millisecond

func budgetCommand() *cobra.Command {
	var o controlling
	cmd := &cobra.Command{
		Use:   "budget [N]",
		Short: "Show or set how many experiments run at once",
		Long: "Show or set how many experiments run at once, in all or of a class. 0 returns to what the workflow says. A budget\n" +
			"below what runs stops nothing; it is reached as experiments end.",
		Example: `  autoresearch budget
  autoresearch budget 4 --server runs/demo -m "leave room for the others"
  autoresearch budget 1 --class h100x8
  autoresearch budget 0`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return o.do(cmd, "", showBudget)
			}
			n, err := strconv.Atoi(args[0])
			if err != nil || n < 0 {
				return cli.Exit(cli.ExitUsage, fmt.Errorf("budget %q: it must be a number, 0 or more", args[0]))
			}
			return o.control(cmd, "", func(ctx context.Context, s *session) (api.Run, error) {
				return s.SetBudget(ctx, s.run, api.BudgetRequest{Class: o.class, Budget: &n, Reason: o.reason}, o.version)
			})
		},
	}
	o.add(cmd)
	o.addClass(cmd)
	o.addVersion(cmd)
	return cmd
}

func showBudget(ctx context.Context, s *session) error {
	run, err := s.Run(ctx, s.run)
	if err != nil {
		return err
	}
	return s.print(run, func(w *bytes.Buffer, _ bool) {
		t := newTable(w, "CLASS", "BUDGET", "SLOTS", "FREE")
		t.row("(all)", strconv.Itoa(run.Budget), "", "")
		for _, c := range run.Classes {
			t.row(name(c.Name), number(c.Budget), strconv.Itoa(c.Slots), strconv.Itoa(c.Free))
		}
		t.end()
	})
}

func statusCommand() *cobra.Command {
	var o remote
	cmd := &cobra.Command{
		Use:   "status [DIR]",
		Short: "Show a run at a glance, or all runs of a server",
		Example: `  autoresearch status runs/demo
  autoresearch status --server http://coordinator:8080 --watch
  autoresearch status -o json | jq .counts`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.status(cmd, first(args)) },
	}
	o.add(cmd)
	o.addOutput(cmd)
	o.addWatch(cmd)
	return cmd
}

// status shows the run that is named, or the only one; several are listed.
func (r *remote) status(cmd *cobra.Command, dir string) error {
	if err := checkOutput(r.output); err != nil {
		return err
	}
	client, err := r.client(dir)
	if err != nil {
		return err
	}
	defer client.Close()
	s := &session{Client: client, out: cmd.OutOrStdout(), o: r}
	return exitOf(s.watching(cmd.Context(), func(ctx context.Context) error {
		runs, err := client.Runs(ctx)
		if err != nil {
			return err
		}
		runs = present(runs)
		named := r.named()
		if named == "" && len(runs) != 1 {
			return s.print(api.RunList{Runs: runs}, func(w *bytes.Buffer, wide bool) { writeRuns(w, runs, wide) })
		}
		if named == "" {
			named = runs[0].Name
		}
		run, err := client.Run(ctx, named)
		if err != nil {
			return err
		}
		return s.print(run, func(w *bytes.Buffer, wide bool) { writeRun(w, &run, wide) })
	}))
}

func bestText(b *api.Best) string {
	if b == nil {
		return ""
	}
	return value(&b.Value) + " (" + name(b.Task) + ")"
}

func writeRun(w *bytes.Buffer, r *api.Run, wide bool) {
	line := func(title, format string, args ...any) {
		fmt.Fprintf(w, "%-10s %s\n", title, fmt.Sprintf(format, args...))
	}
	status := r.Status
	if r.Reason != "" {
		status += " (" + harmless(r.Reason, 200) + ")"
	}
	if r.Paused {
		status += ", paused"
	}
	if r.Status == "" {
		status = runWord(r)
	}
	line("run", "%s", name(r.Name))
	line("status", "%s", status)
	if r.Trouble != "" {
		line("trouble", "%s", harmless(r.Trouble, 500))
	}
	if r.Counts == nil {
		return // nobody leads it, or its leader does not answer
	}
	n := r.Counts
	line("tasks", "%d running, %d queued, %d delayed, %d completed, %d failed, %d cancelled",
		n.Running+n.Dispatched+n.Reported, n.Queued, n.Delayed, n.Completed, n.Failed, n.Cancelled)
	if r.Best != nil {
		line("best", "%s = %s", r.Objective.Metric, bestText(r.Best))
	}
	line("budget", "%d experiments at once", r.Budget)
	for _, c := range r.Classes {
		line("class", "%s", classText(&c))
	}
	if r.PerMinute > 0 {
		line("rate", "%.3g experiments a minute", r.PerMinute)
	}
	if used := limitsText(r); used != "" {
		line("limits", "%s", used)
	}
	line("active", "%s", seconds(r.ActiveSeconds))
	if r.Spent != nil {
		line("spent", "%s", spentText(r.Spent))
	}
	line("version", "%s", r.Version)
	if wide && r.Leader != nil {
		line("leader", "%s, term %d %s", name(r.Leader.Host), r.Epoch, r.Leader.URL)
	}
}

// limitsText says how much is used of what a run may use up; "" when it has no limits.
func limitsText(r *api.Run) string {
	var used []string
	if r.Limits != nil && r.Limits.MaxExperiments > 0 && r.Counts != nil {
		done, limit := r.Counts.Experiments, r.Limits.MaxExperiments
		used = append(used, fmt.Sprintf("%d of %d experiments begun (%.0f %%)", done, limit, 100*float64(done)/float64(limit)))
	}
	if r.Limits != nil && r.Limits.MaxDurationSeconds > 0 {
		limit := r.Limits.MaxDurationSeconds
		used = append(used, fmt.Sprintf("%s of %s active (%.0f %%)", seconds(r.ActiveSeconds), seconds(limit), 100*r.ActiveSeconds/limit))
	}
	if r.Limits != nil && r.Spent != nil {
		used = append(used, spentOfLimits(r.Limits, r.Spent)...)
	}
	return strings.Join(used, ", ")
}

func seconds(s float64) string { return duration(time.Duration(s * float64(time.Second))) }

func classText(c *api.Class) string {
	text := fmt.Sprintf("%s: %d slots, %d free", name(c.Name), c.Slots, c.Free)
	if c.Share != nil {
		text += fmt.Sprintf(", %d its share", *c.Share)
	}
	if c.Budget > 0 {
		text += fmt.Sprintf(", at most %d at once", c.Budget)
	}
	if c.Paused {
		text += ", paused"
	}
	return text
}
