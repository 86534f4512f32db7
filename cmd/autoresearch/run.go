package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	registry "autoresearch/internal/runs"
	"autoresearch/pkg/api"
	"autoresearch/pkg/spec"
)

func runCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Create, list, change, archive and delete the runs of a cluster, and fetch their files",
		Long: "The runs of a cluster stand in a registry on its NATS server. Coordinators that were started without a workflow lead\n" +
			"all of them; free slots are shared by weight between those that want them.",
		Example: `  autoresearch run create lr-search -f workflow.yaml --dir /app --weight 2
  autoresearch run ls
  autoresearch run set lr-search --weight 3 -m "a deadline"
  autoresearch status --run lr-search
  autoresearch run pull lr-search results/`,
	}
	cmd.AddCommand(runCreateCommand(), runListCommand(), runShowCommand(), runSetCommand(), runArchiveCommand(), runDeleteCommand(),
		runPullCommand())
	return cmd
}

// onServer calls f with a client of the server; no run is looked for.
func (r *remote) onServer(cmd *cobra.Command, f func(ctx context.Context, s *session) error) error {
	if r.output != "" {
		if err := checkOutput(r.output); err != nil {
			return err
		}
	}
	client, err := r.client("")
	if err != nil {
		return err
	}
	defer client.Close()
	return exitOf(f(cmd.Context(), &session{Client: client, out: cmd.OutOrStdout(), o: r}))
}

// addServer adds the flags that say which server is asked; the run is an argument.
func (r *remote) addServer(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVarP(&r.server, "server", "s", "", "ask `URL`, or the coordinator of a workdir DIR (default: $"+serverEnv+", else "+serverDefault+")")
	fs.StringVar(&r.tokenFile, "token-file", "", "`FILE` with the token to send (default: $"+tokenFileEnv+")")
	cmd.ValidArgsFunction = r.completeRun
}

func runCreateCommand() *cobra.Command {
	var o remote
	var r api.RunRequest
	var file string
	cmd := &cobra.Command{
		Use:   "create NAME -f FILE [-- key=value...]",
		Short: "Register a run; the coordinators take it up at once",
		Long: `Register a run; the coordinators take it up at once. The same again changes nothing.

Only the text of the workflow file travels. Everything that it names is looked for where it is used: commands of experiments and of a
proposer run on the workers, in --dir, and a relative program or file of theirs is one below it, on that worker. Without --dir it is the
folder of FILE: right where all machines see it under one path. In an image name the folder there, as --dir /app; --dir "" gives each
attempt an empty folder of its own.`,
		Example: `  autoresearch run create lr-search -f workflow.yaml
  autoresearch run create lr-search -f workflow.yaml --dir /app --budget 8 --weight 2 -- stop.max_experiments=200`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("-f: %w", err)
			}
			if !cmd.Flags().Changed("dir") {
				if r.Dir, err = filepath.Abs(filepath.Dir(file)); err != nil {
					return err
				}
			}
			r.Name, r.Workflow, r.Args = spec.RunName(args[0]), string(text), args[1:]
			return o.onServer(cmd, func(ctx context.Context, s *session) error { return s.createRun(ctx, r) })
		},
	}
	fs := cmd.Flags()
	fs.StringVarP(&file, "file", "f", "", "the workflow `FILE` (required)")
	fs.StringVar(&r.Dir, "dir", "", "run the workflow's commands in `DIR` on every worker (default: the folder of the file)")
	fs.IntVar(&r.Budget, "budget", 0, "run at most `N` experiments at once (default: what the workflow says)")
	fs.Float64Var(&r.Weight, "weight", 1, "its part of the slots that runs share: twice the `NUMBER`, twice the slots")
	must(cmd.MarkFlagRequired("file"))
	o.addServer(cmd)
	o.addOutput(cmd)
	return cmd
}

func (s *session) createRun(ctx context.Context, r api.RunRequest) error {
	answer, err := s.CreateRun(ctx, r)
	if err != nil {
		return err
	}
	return s.print(answer, func(w *bytes.Buffer, _ bool) {
		what := "was there already"
		if answer.Created {
			what = "created"
		}
		fmt.Fprintf(w, "run %s %s", name(answer.Run.Name), what)
		switch l := answer.Run.Leader; {
		case answer.Run.Trouble != "":
			fmt.Fprintf(w, "; it cannot be led: %s", harmless(answer.Run.Trouble, 500))
		case l != nil:
			fmt.Fprintf(w, "; led on %s", harmless(l.Host, nameMax))
		}
		if r.Dir != "" {
			fmt.Fprintf(w, "; its commands run in %s on each worker", harmless(r.Dir, 500))
		}
		fmt.Fprintln(w)
	})
}

func runListCommand() *cobra.Command {
	var o remote
	var archived bool
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the runs",
		Example: "  autoresearch run ls\n  autoresearch run ls --archived",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.onServer(cmd, func(ctx context.Context, s *session) error {
				list, err := s.Runs(ctx)
				if err != nil {
					return err
				}
				if !archived {
					list = present(list)
				}
				return s.print(list, func(w *bytes.Buffer, wide bool) { writeRuns(w, list, wide) })
			})
		},
	}
	cmd.Flags().BoolVarP(&archived, "archived", "a", false, "archived ones too")
	o.addServer(cmd)
	o.addOutput(cmd)
	return cmd
}

func writeRuns(w *bytes.Buffer, list []api.Run, wide bool) {
	header := []string{"RUN", "STATUS", "RUNNING", "QUEUED", "DONE", "FAILED", "BEST", "WEIGHT", "AGE", "LED BY"}
	if wide {
		header = append(header, "URL", "TERM", "CREATED BY", "CHANGED BY", "WHY")
	}
	t := newTable(w, header...)
	for i := range list {
		r := &list[i]
		running, queued, done, failed, weight, led := "", "", "", "", "", ""
		if n := r.Counts; n != nil {
			running, queued = strconv.Itoa(n.Running+n.Dispatched), strconv.Itoa(n.Queued+n.Delayed)
			done, failed = strconv.Itoa(n.Completed), strconv.Itoa(n.Failed)
		}
		if r.Weight > 0 {
			weight = strconv.FormatFloat(r.Weight, 'g', -1, 64)
		}
		switch {
		case r.Trouble != "":
			led = harmless(r.Trouble, nameMax)
		case r.Leader != nil:
			led = name(r.Leader.Host)
		}
		cells := []string{name(r.Name), runWord(r), running, queued, done, failed, bestText(r.Best), weight, ago(r.CreatedAt), led}
		if wide {
			url := ""
			if r.Leader != nil {
				url = r.Leader.URL
			}
			cells = append(cells, url, number(r.Epoch), name(r.CreatedBy), name(r.ChangedBy), harmless(r.ChangeReason, nameMax))
		}
		t.row(cells...)
	}
	t.end()
}

// runWord says how a run is, in a word.
func runWord(r *api.Run) string {
	switch {
	case r.Archived:
		return "archived"
	case r.Trouble != "":
		return "broken"
	case r.Paused:
		return "paused"
	case r.Status == "":
		return r.Role
	}
	return r.Status
}

func runShowCommand() *cobra.Command {
	var o remote
	var text bool
	cmd := &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a run, also an archived one, or the text of its workflow",
		Example: "  autoresearch run show lr-search -o yaml\n  autoresearch run show lr-search --workflow > workflow.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.onServer(cmd, func(ctx context.Context, s *session) error {
				if text {
					return s.showWorkflow(ctx, spec.RunName(args[0]))
				}
				run, err := s.Run(ctx, spec.RunName(args[0]))
				if err != nil {
					return err
				}
				return s.print(run, func(w *bytes.Buffer, wide bool) {
					writeRun(w, &run, wide)
					writeEntry(w, &run)
				})
			})
		},
	}
	cmd.Flags().BoolVar(&text, "workflow", false, "only the text of its workflow file; with -o json or yaml all that is registered")
	o.addServer(cmd)
	o.addOutput(cmd)
	return cmd
}

// showWorkflow writes the text of a run's workflow as it was registered, or all that is registered.
func (s *session) showWorkflow(ctx context.Context, run spec.RunName) error {
	entry, err := s.Entry(ctx, run)
	if err != nil {
		return err
	}
	return s.print(entry, func(w *bytes.Buffer, _ bool) { w.WriteString(entry.Workflow) })
}

// writeEntry says what the registry says of a run.
func writeEntry(w *bytes.Buffer, r *api.Run) {
	if r.EntryVersion == "" {
		return
	}
	line := func(title, by string, at *time.Time, reason string) {
		fmt.Fprintf(w, "%-10s %s by %s", title, ago(at), name(by))
		if reason != "" {
			fmt.Fprintf(w, " because: %s", harmless(reason, 500))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%-10s %s; version %s, of run set\n", "weight", strconv.FormatFloat(r.Weight, 'g', -1, 64), r.EntryVersion)
	line("created", r.CreatedBy, r.CreatedAt, "")
	if r.ChangedAt != nil {
		line("changed", r.ChangedBy, r.ChangedAt, r.ChangeReason)
	}
}

func runArchiveCommand() *cobra.Command {
	var o remote
	var back bool
	r := api.ArchiveRequest{}
	cmd := &cobra.Command{
		Use:   "archive NAME",
		Short: "Let a run go: nobody leads it any more, and what it did is kept",
		Long: "Let a run go: nobody leads it any more, and what it did is kept. Drain it first; with --force an active run is let go\n" +
			"too: its experiments then run on with nobody to report to, until --undo takes the run up again.",
		Example: `  autoresearch drain --run lr-search
  autoresearch run archive lr-search -m "the paper is out"
  autoresearch run archive lr-search --undo`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Archived = !back
			return o.onServer(cmd, func(ctx context.Context, s *session) error {
				run, err := s.ArchiveRun(ctx, spec.RunName(args[0]), r)
				if err != nil {
					return err
				}
				return s.print(run, func(w *bytes.Buffer, wide bool) { writeRuns(w, []api.Run{run}, wide) })
			})
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&back, "undo", false, "take an archived run up again")
	fs.BoolVar(&r.Force, "force", false, "although it is active")
	fs.StringVarP(&r.Reason, "reason", "m", "", "why; it is kept in the registry")
	o.addServer(cmd)
	o.addOutput(cmd)
	return cmd
}

func runDeleteCommand() *cobra.Command {
	var o steering
	cmd := &cobra.Command{
		Use:     "delete NAME",
		Short:   "Remove an archived run with all that it did",
		Long:    "Remove an archived run with all that it did: its journal, its results, its files. Nothing brings it back.",
		Example: "  autoresearch run pull lr-search kept/ && autoresearch run delete lr-search --yes",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.confirm(cmd, "delete run "+args[0]+" and all that it did"); err != nil {
				return err
			}
			return o.onServer(cmd, func(ctx context.Context, s *session) error {
				err := s.DeleteRun(ctx, spec.RunName(args[0]), api.ReasonRequest{Reason: o.reason})
				if err == nil {
					put(s.out, fmt.Sprintf("run %s deleted\n", name(args[0])))
				}
				return err
			})
		},
	}
	cmd.Flags().StringVarP(&o.reason, "reason", "m", "", "why; the coordinator logs it")
	o.addYes(cmd)
	o.addServer(cmd)
	return cmd
}

func runPullCommand() *cobra.Command {
	var o remote
	cmd := &cobra.Command{
		Use:   "pull NAME DIR",
		Short: "Fetch the files of a run's workdir: snapshot, reports, tables, pictures",
		Long: "Fetch the files of a run's workdir into DIR: snapshot, tree, reports, tables, pictures, as they were some seconds ago.\n" +
			"Files of an earlier pull are replaced. autoresearch summary DIR reads them.",
		Example: "  autoresearch run pull lr-search results/",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.onServer(cmd, func(ctx context.Context, s *session) error {
				files, err := s.RunFiles(ctx, spec.RunName(args[0]))
				if err != nil {
					return err
				}
				defer func() { _ = files.Close() }() // it was read
				names, err := registry.Unpack(files, args[1])
				if err == nil {
					put(s.out, fmt.Sprintf("%d files in %s\n", len(names), args[1]))
				}
				return err
			})
		},
	}
	o.addServer(cmd)
	return cmd
}
