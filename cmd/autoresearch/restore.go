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
	"autoresearch/pkg/restore"
	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
)

// restoreOptions are the flags of the restore command.
type restoreOptions struct {
	kept        cli.KeptFlags
	from        string
	replicas    int
	yes, dryRun bool
	output      string
}

func restoreCommand() *cobra.Command {
	var o restoreOptions
	cmd := &cobra.Command{
		Use:   "restore --from FILE [--nats URL] (--dry-run | --yes)",
		Short: "Begin a run's journal anew after it was lost",
		Long: `Begin a run's journal anew after it was lost or damaged: what a coordinator says by an alarm, and by 503 on /readyz.

FILE is the engine_state.json of a coordinator's workdir, or of a copy of one. What is known of the run is put together from
the mirror, if NATS still has it, from FILE, and from engine/tree.json beside it. What has ended stays ended; what waits goes on
waiting; who runs an attempt keeps it, and sends the results again that were not receipted. What happened after the newest of
the sources is lost: those tasks run again. --dry-run says what would come of it.

Without --nats the run is kept in the workdir, as by the engine command. A coordinator that raised the alarm notices by itself;
an engine is started again with the same command. A journal that is whole is left alone.`,
		Example: `  autoresearch restore --from runs/demo/engine_state.json --dry-run
  autoresearch restore --from runs/demo/engine_state.json --yes
  autoresearch restore --from /var/lib/autoresearch/engine_state.json --nats nats://host:4222 --replicas 3 --yes
  autoresearch restore --from backup/engine_state.json --nats nats://new:4222 --yes     # NATS is lost, a copy of the workdir is left`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.restore(cmd.Context(), cmd.OutOrStdout()) },
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return cli.Exit(cli.ExitUsage, err) })
	fs := cmd.Flags()
	fs.StringVar(&o.from, "from", "", "engine_state.json `FILE` to start from (required)")
	fs.BoolVar(&o.dryRun, "dry-run", false, "say what would be done, and do nothing")
	fs.BoolVar(&o.yes, "yes", false, "do it: a damaged journal is deleted")
	fs.IntVar(&o.replicas, "replicas", 1, "keep the streams that are made anew on `N` servers: 3 in a cluster")
	o.kept.Add(fs)
	fs.StringVarP(&o.output, "output", "o", "text", "output `FORMAT`: text or json")
	return cmd
}

// check refuses flags that do not go together.
func (o *restoreOptions) check() error {
	switch {
	case o.from == "":
		return cli.Exit(cli.ExitUsage, errors.New("--from is missing: name the engine_state.json of a workdir"))
	case o.yes == o.dryRun:
		return cli.Exit(cli.ExitUsage, errors.New("say either --dry-run or --yes: with --yes the journal is begun anew"))
	case o.output != "text" && o.output != "json":
		return cli.Exit(cli.ExitUsage, fmt.Errorf("--output %q: it must be text or json", o.output))
	case o.replicas < 1:
		return cli.Exit(cli.ExitUsage, fmt.Errorf("--replicas %d: it must be at least 1", o.replicas))
	}
	return nil
}

// restore plans, carries the plan out if it is told to, and prints it.
func (o *restoreOptions) restore(ctx context.Context, out io.Writer) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	conn, run, stop, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	streams := bus.StreamOptions{Replicas: o.replicas}
	sources := restore.Sources{Run: run, File: o.from}
	if conn != nil {
		if err := nobodyLeads(ctx, conn, run); err != nil {
			return err
		}
		sources.Journal, sources.Mirror = bus.NewJournal(conn, run, streams), kv.NewMirror(conn, run, streams)
	}
	plan, err := restore.Read(ctx, sources)
	if err != nil {
		return err
	}
	if o.yes {
		err = plan.Apply(ctx, restore.Target{
			Journal: sources.Journal, Mirror: sources.Mirror, Objects: bus.NewObjects(conn, run, streams), PayloadMax: conn.MaxPayload(),
			Begin: func(ctx context.Context, first uint64) error { return bus.BeginJournal(ctx, conn, run, streams, first) },
		})
	}
	if err != nil {
		return err
	}
	if o.output == "json" {
		return writeJSON(out, struct {
			*restore.Plan
			Lost uint64 `json:"lost"`
			Done bool   `json:"done"`
		}{plan, plan.Lost(), o.yes})
	}
	return writePlan(out, plan, o.yes)
}

// nobodyLeads refuses a run that has a leader: its journal is there.
func nobodyLeads(ctx context.Context, conn *bus.Conn, run spec.RunName) error {
	ctx, cancel := context.WithTimeout(ctx, leadsTimeout)
	defer cancel()
	switch err := bus.NewUplinks(conn).Ping(ctx, run); {
	case errors.Is(err, bus.ErrNoLeader):
		return nil
	case err != nil:
		return fmt.Errorf("run %q: ask whether a coordinator leads it: %w", run, err)
	}
	return fmt.Errorf("run %q: a coordinator leads it: its journal is there, and there is nothing to restore", run)
}

const leadsTimeout = 5 * time.Second

// open connects to what keeps the run, or is to keep it. Without a server, and where none was, a dry run has no connection.
func (o *restoreOptions) open(ctx context.Context) (*bus.Conn, spec.RunName, func() error, error) {
	workdir := filepath.Dir(o.from)
	record, err := snapshot.ReadRun(workdir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil, fmt.Errorf("%s has no %s: no run was led there; an engine that is started on it takes its queue over",
			workdir, snapshot.RunFile)
	}
	if err != nil {
		return nil, "", nil, err
	}
	kept := o.kept
	if kept.Run == "" {
		kept.Run = string(record.Run)
	}
	if kept.NATS.URL != "" {
		return kept.Open(ctx, "", slog.New(slog.DiscardHandler))
	}
	store := filepath.Join(workdir, snapshot.EngineDir, "nats")
	if _, err := os.Stat(store); errors.Is(err, fs.ErrNotExist) {
		if o.dryRun {
			return nil, spec.RunName(kept.Run), func() error { return nil }, nil
		}
		if err := os.MkdirAll(store, 0o755); err != nil {
			return nil, "", nil, fmt.Errorf("restore: %w", err)
		}
	}
	return kept.Open(ctx, workdir, slog.New(slog.DiscardHandler))
}
