package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"autoresearch/internal/cli"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/verify"
)

// verifyOptions are the flags of the verify command.
type verifyOptions struct {
	kept       cli.KeptFlags
	workerDirs []string
	output     string
}

func verifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify (DIR | [DIR] --nats URL --run NAME)",
		Short: "Check after the fact that a run kept its promises",
		Long: `Check after the fact that a run kept its promises: nothing lost, every result applied once, no silent drop, nothing of a
deposed leader, the budget, and one truth in journal, mirror, tree and snapshot. It reads what the run left behind, changes
nothing of it, and judges by rules of its own, not by the engine's.

DIR is a workdir. It may be in use: what is in flight is told apart from what is broken. The logs of workers on other
machines, copied here, are named with --worker-dir; the engine's own are found.

The exit code is 0 when no promise was broken, 1 when one was or something could not be read, 2 on wrong usage.`,
		Example: `  autoresearch verify runs/demo
  autoresearch verify runs/demo -o json
  autoresearch verify --nats nats://host:4222 --run demo --worker-dir /scratch/w1 --worker-dir /scratch/w2
  autoresearch verify runs/demo --nats nats://host:4222      # a coordinator's workdir and its server`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return cli.Exit(cli.ExitUsage, fmt.Errorf("one workdir, not %d", len(args)))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.verify(cmd.Context(), first(args), cmd.OutOrStdout())
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return cli.Exit(cli.ExitUsage, err) })
	fs := cmd.Flags()
	o.kept.Add(fs)
	fs.StringArrayVar(&o.workerDirs, "worker-dir", nil, "`DIR` of a worker whose log is read too; may be repeated")
	fs.StringVarP(&o.output, "output", "o", "text", "output `FORMAT`: text or json")
	return cmd
}

// verify checks a run and prints the report. Its error carries the exit code.
func (o *verifyOptions) verify(ctx context.Context, workdir string, out io.Writer) (err error) {
	if o.output != "text" && o.output != "json" {
		return cli.Exit(cli.ExitUsage, fmt.Errorf("--output %q: it must be text or json", o.output))
	}
	dirs, err := o.workers(workdir)
	if err != nil {
		return err
	}
	conn, run, stop, err := o.open(ctx, workdir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	report, err := verify.Run(ctx, verify.Sources{
		Run: run, Journal: bus.NewJournal(conn, run, bus.StreamOptions{}), Mirror: kv.NewMirror(conn, run, bus.StreamOptions{}),
		Rejects: bus.NewRejects(conn, run, bus.StreamOptions{}), Workdir: workdir, WorkerDirs: dirs,
		Results: func(ctx context.Context, fn func(uint64, []byte) error) (time.Time, error) {
			return conn.ReadResults(ctx, run, fn)
		},
	})
	if err != nil {
		return err
	}
	if o.output == "json" {
		err = writeJSON(out, report)
	} else {
		err = writeVerdict(out, report)
	}
	if err == nil && !report.Sound() {
		err = cli.Exit(cli.ExitError, nil)
	}
	return err
}

// open connects to what keeps the run. A workdir beside --nats is that of a coordinator on that server, and names the run.
func (o *verifyOptions) open(ctx context.Context, workdir string) (*bus.Conn, spec.RunName, func() error, error) {
	if workdir != "" {
		if info, err := os.Stat(workdir); err != nil || !info.IsDir() {
			return nil, "", nil, fmt.Errorf("workdir %s: there is no such folder", workdir)
		}
	}
	kept := o.kept
	if kept.NATS.URL != "" && workdir != "" {
		if kept.Run == "" {
			record, err := snapshot.ReadRun(workdir)
			if err != nil {
				return nil, "", nil, fmt.Errorf("workdir %s names no run: name it with --run: %w", workdir, err)
			}
			kept.Run = string(record.Run)
		}
		workdir = ""
	}
	return kept.Open(ctx, workdir, slog.New(slog.DiscardHandler))
}

// workers returns the directories of --worker-dir, and the one of the engine's own worker.
func (o *verifyOptions) workers(workdir string) ([]string, error) {
	for _, dir := range o.workerDirs {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return nil, cli.Exit(cli.ExitUsage, fmt.Errorf("--worker-dir %s: there is no such folder", dir))
		}
	}
	if workdir == "" {
		return o.workerDirs, nil
	}
	own := filepath.Join(workdir, snapshot.EngineDir, "worker")
	if _, err := os.Stat(own); errors.Is(err, fs.ErrNotExist) {
		return o.workerDirs, nil
	}
	return append([]string{own}, o.workerDirs...), nil
}
