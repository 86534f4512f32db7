package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"autoresearch/internal/cli"
	"autoresearch/pkg/api"
	"autoresearch/pkg/spec"
)

// setting are the flags of the run set command.
type setting struct {
	steering
	file, dir string
	budget    int
	weight    float64
}

func runSetCommand() *cobra.Command {
	var o setting
	cmd := &cobra.Command{
		Use:   "set NAME [flags] [-- key=value...]",
		Short: "Change a registered run: its weight, its budget, its workflow",
		Long: `Change a registered run: its weight, its budget, its workflow. What is not named stays as it is; with -f also the changes after --
are replaced, if there are none by none. It counts at once: the run's leader ends its term and begins another by the new settings. Nothing is
lost, what runs goes on, and tasks that were dispatched go by what they were dispatched with. First tasks of a new workflow are
not submitted: autoresearch submit does that.

A budget that autoresearch budget set goes before this one, until autoresearch budget 0.`,
		Example: `  autoresearch run set lr-search --weight 3 -m "a deadline"
  autoresearch run set lr-search --budget 16 --dry-run
  autoresearch run show lr-search --workflow > w.yaml       # then edit it
  autoresearch run set lr-search -f w.yaml --if-version 2a -m "a finer grid"`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			request, err := o.request(cmd, args[1:])
			if err != nil {
				return err
			}
			return o.onServer(cmd, func(ctx context.Context, s *session) error {
				answer, err := s.ChangeEntry(ctx, spec.RunName(args[0]), request, o.version)
				if err != nil {
					return err
				}
				return s.print(answer, func(w *bytes.Buffer, _ bool) { writeChanged(w, &answer) })
			})
		},
	}
	fs := cmd.Flags()
	fs.StringVarP(&o.file, "file", "f", "", "a new workflow `FILE`")
	fs.StringVar(&o.dir, "dir", "", "run the workflow's commands in `DIR` on every worker")
	fs.IntVar(&o.budget, "budget", 0, "run at most `N` experiments at once; 0 is what the workflow says")
	fs.Float64Var(&o.weight, "weight", 1, "its part of the slots that runs share: twice the `NUMBER`, twice the slots")
	fs.StringVarP(&o.reason, "reason", "m", "", "why; it is kept with the change (autoresearch events)")
	fs.BoolVar(&o.dryRun, "dry-run", false, "say what would be changed, and do nothing")
	fs.StringVar(&o.version, "if-version", "", "only if it still has `VERSION`, as run show says it")
	o.addServer(cmd)
	o.addOutput(cmd)
	return cmd
}

// request is what the flags that were given ask for.
func (o *setting) request(cmd *cobra.Command, args []string) (r api.EntryRequest, err error) {
	given := cmd.Flags().Changed
	if given("file") {
		text, err := os.ReadFile(o.file)
		if err != nil {
			return r, fmt.Errorf("-f: %w", err)
		}
		r.Workflow = new(string(text))
	}
	if given("file") || len(args) > 0 {
		r.Args = new(append([]string{}, args...))
	}
	if given("dir") {
		r.Dir = &o.dir
	}
	if given("budget") {
		r.Budget = &o.budget
	}
	if given("weight") {
		r.Weight = &o.weight
	}
	if r == (api.EntryRequest{}) {
		return r, cli.Exit(cli.ExitUsage, errors.New("name what to change: --weight, --budget, --dir, -f or key=value after --"))
	}
	r.Reason, r.DryRun = o.reason, o.dryRun
	return r, nil
}

func writeChanged(w *bytes.Buffer, a *api.EntryAnswer) {
	what := "nothing to change"
	if len(a.Changed) > 0 {
		what = harmless(strings.Join(a.Changed, ", "), 500)
	}
	fmt.Fprintf(w, "run %s: %s", name(a.Entry.Name), what)
	switch {
	case a.DryRun:
		fmt.Fprint(w, "; dry run: nothing was done")
	case a.Run.Trouble != "":
		fmt.Fprintf(w, "; it cannot be led: %s", harmless(a.Run.Trouble, 500))
	}
	fmt.Fprintf(w, "; version %s\n", a.Entry.Version)
}
