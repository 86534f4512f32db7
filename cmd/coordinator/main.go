// Command coordinator leads a run, or stands by for it, over a NATS server.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"autoresearch/internal/cli"
	"autoresearch/internal/web"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/notify"
	"autoresearch/pkg/snapshot"
)

func main() { os.Exit(cli.Main(command())) }

// options are the command's flags.
type options struct {
	workflow, workdir, run   string
	listen                   cli.ListenFlags
	many                     bool // lead every run that is registered
	maxConcurrency, replicas int
	adopt, ignore, exit      bool
	http                     web.Flags
	nats                     cli.NATSFlags
	limits                   cli.LimitFlags
	retention                cli.RetentionFlags
	log                      cli.LogFlags
	argv                     []string
}

func command() *cobra.Command {
	o := options{http: web.Flags{Address: "127.0.0.1:8080"}, nats: cli.NATSFlags{URL: bus.URLDefault}}
	cmd := &cobra.Command{
		Use:   "coordinator [--workflow FILE --workdir DIR] [flags] [-- ARGS]",
		Short: "Lead runs, or stand by for them",
		Long: `Lead a run, or stand by for it: of several coordinators of a run one leads, and another takes over when it is gone.
Without --workflow, and without a workdir that remembers one, every run that is registered with the NATS server is led or stood by
for: autoresearch run create registers one, and it is taken up at once. Start two, and each stands by for what the other leads.

Workers on any machine that reach the same NATS server run the experiments. SIGTERM hands over: what runs goes on; twice: at once. Each
coordinator needs a workdir of its own, in which each of many runs has one; without --workdir that of many runs is temporary. With --listen it brings its own NATS server, kept in the workdir.`,
		Example: `  nats-server -js -sd /var/lib/nats &
  coordinator --workflow w.yaml --workdir runs/a --nats nats://127.0.0.1:4222
  coordinator --nats nats://127.0.0.1:4222                          # all runs that are registered
  worker --nats nats://127.0.0.1:4222 --dir /scratch/w1 --slots 4     # on each machine

  coordinator --workflow w.yaml --workdir runs/a --listen 10.0.0.5:4222 --listen-auth auth`,
		Version: cli.Version(),
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); dash > 0 || dash < 0 && len(args) > 0 {
				return cli.Exit(cli.ExitUsage, fmt.Errorf("unexpected argument %q; arguments for the workflow go after --", args[0]))
			}
			if err := cli.Concurrency(o.maxConcurrency); err != nil {
				return err
			}
			if err := o.http.Check(); err != nil {
				return err
			}
			o.argv = args
			if err := o.check(); err != nil {
				return err
			}
			ctx, signals := cli.NotifySignals(cmd.Context())
			defer signals.Stop()
			return signals.UntilKilled(func() error { return o.start(ctx) }, nil)
		},
	}
	o.add(cmd)
	return cmd
}

func (o *options) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&o.workflow, "workflow", "", "workflow `FILE`, or a registered name; needed the first time")
	fs.StringVar(&o.workdir, "workdir", "", "`DIR` for snapshots and reports; needed with --workflow")
	fs.IntVar(&o.maxConcurrency, "max-concurrency", 0, "run at most `N` experiments at once (default: what the workflow says)")
	fs.StringVar(&o.run, "run", "", "`NAME` of the run (default: the workflow's)")
	o.http.Add(fs)
	o.listen.Add(fs)
	fs.IntVar(&o.replicas, "replicas", 1, "keep each stream on `N` servers: 3 in a cluster")
	fs.BoolVar(&o.exit, "exit-when-stopped", false, "end when the run has stopped, instead of waiting for more tasks")
	fs.BoolVar(&o.adopt, "adopt-edits", false, "take an engine_state.json that was edited while no coordinator ran")
	fs.BoolVar(&o.ignore, "ignore-edits", false, "drop such an edit")
	o.nats.Add(fs)
	o.limits.Add(fs)
	o.retention.Add(fs)
	o.log.Add(fs)
}

func run(ctx context.Context, o *options) (err error) {
	log, err := o.log.Logger(os.Stderr)
	if err != nil {
		return err
	}
	lock, err := snapshot.Lock(o.workdir) // before anything is written to it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	chosen, err := cli.ChooseWorkflow(ctx, cli.Registry(), o.workflow, o.argv, o.workdir)
	if err != nil {
		return err
	}
	return o.within(ctx, log, func(s *shell) error { return o.lead(ctx, s, chosen, lock) })
}

// lead leads the run of one workflow, or stands by for it, until it is told to end.
func (o *options) lead(ctx context.Context, s *shell, chosen *cli.Chosen, lock *snapshot.WorkdirLock) error {
	c, err := coordinator.New(o.options(s, chosen, lock))
	if err != nil {
		return err
	}
	s.site.Register(c, c.Handler(s.registry))
	var status coordinator.Status
	err = notify.Beside(ctx, notify.Options{
		Coordinator: c, Marks: kv.NewNotices(s.conn, o.replicas), Targets: notify.Targets(chosen.Workflow), Name: chosen.Name, Logger: s.log,
		Registerer: s.registry,
	}, func() (err error) { status, err = c.Run(ctx); return err })
	if err != nil {
		return err
	}
	s.log.Info("ended", "status", status.Status, "reason", status.Reason, "completed", status.Counts.Completed,
		"failed", status.Counts.Failed, "queued", status.Counts.Queued)
	if status.Tripped() {
		return cli.Exit(cli.ExitBreaker, errors.New(status.Reason))
	}
	return nil
}

// options are those of a coordinator of one run.
func (o *options) options(s *shell, chosen *cli.Chosen, lock *snapshot.WorkdirLock) coordinator.Options {
	c := o.common(s)
	c.MaxConcurrency, c.Name = chosen.Spec.MaxConcurrency(), cmp.Or(o.run, chosen.Name)
	if o.maxConcurrency > 0 {
		c.MaxConcurrency = o.maxConcurrency
	}
	c.Run, c.Workflow = cli.RunName(o.run, o.workdir, chosen.Name), chosen.Workflow
	c.Workdir, c.WorkdirLock, c.AdoptEdits, c.IgnoreEdits, c.ExitWhenStopped = o.workdir, lock, o.adopt, o.ignore, o.exit
	return c
}
