package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"autoresearch/internal/cli"
	"autoresearch/internal/web"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/notify"
	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/worker"
)

// engineOptions are the flags of the engine command.
type engineOptions struct {
	workflow, workdir, run string
	maxConcurrency         int
	adopt, ignore          bool
	http                   web.Flags
	nats                   cli.NATSFlags
	limits                 cli.LimitFlags
	retention              cli.RetentionFlags
	log                    cli.LogFlags
	argv                   []string
}

func engineCommand() *cobra.Command {
	var o engineOptions
	cmd := &cobra.Command{
		Use:   "engine --workdir DIR [--workflow FILE] [flags] [-- ARGS]",
		Short: "Run a search on this machine",
		Long: `Run a search on this machine: an embedded NATS server, a coordinator and local workers in one process.

The workdir keeps everything: the same command again goes on where it was, whatever ended it, and then --workdir alone is
enough. ARGS after -- are handed to the workflow; for a workflow file they are changes as key=value.

SIGINT or SIGTERM once: running experiments are stopped and go back to the queue, the state says interrupted, and the exit
code is 130 or 143. Twice: at once. The exit code is 0 when the run stopped, 1 on an error, 3 when the breaker stopped it: the
last 10 tasks all failed in the same way, so that something else than they must be wrong.`,
		Example: `  autoresearch engine --workflow examples/charlm/workflow.yaml --workdir runs/demo
  autoresearch engine --workdir runs/demo                              # go on
  autoresearch engine --workdir runs/demo -- stop.max_experiments=100  # go on, further
  autoresearch engine --workflow w.yaml --workdir runs/a --nats nats://host:4222 --run a`,
		Args: cobra.ArbitraryArgs,
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
			return runEngine(cmd.Context(), &o)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.workflow, "workflow", "", "workflow `FILE`, or a registered name; needed the first time")
	fs.StringVar(&o.workdir, "workdir", "", "`DIR` that keeps the run (required)")
	fs.IntVar(&o.maxConcurrency, "max-concurrency", 0, "run at most `N` experiments at once (default: what the workflow says)")
	fs.StringVar(&o.run, "run", "", "`NAME` of the run (default: the workdir's, else the workflow's)")
	o.http.Add(fs)
	fs.BoolVar(&o.adopt, "adopt-edits", false, "take an engine_state.json that was edited while the engine was stopped")
	fs.BoolVar(&o.ignore, "ignore-edits", false, "drop such an edit")
	o.nats.Add(fs)
	o.limits.Add(fs)
	o.retention.Add(fs)
	o.log.Add(fs)
	must(cmd.MarkFlagRequired("workdir"))
	return cmd
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// runEngine runs a search in this process and returns an error that carries the exit code.
func runEngine(parent context.Context, o *engineOptions) error {
	if err := o.retention.Check(); err != nil {
		return err
	}
	ctx, signals := cli.NotifySignals(parent)
	defer signals.Stop()
	worked := make(chan struct{})
	return signals.UntilKilled(func() error { return search(ctx, o, signals, worked) }, worked)
}

// search brings an engine up, runs it, and takes it down. It closes worked when no experiment runs any more.
func search(ctx context.Context, o *engineOptions, signals *cli.Signals, worked chan<- struct{}) error {
	e, err := newEngine(ctx, o)
	if err != nil {
		if code := signals.Code(); code != 0 {
			return cli.Exit(code, nil)
		}
		return err
	}
	status, err := e.run(ctx, signals, worked)
	if closeErr := e.close(); err == nil {
		err = closeErr
	}
	switch code := signals.Code(); {
	case err != nil && !errors.Is(err, worker.ErrKilled):
		return err
	case code != 0:
		e.display.say("%s; the same command goes on", describe(status))
		return cli.Exit(code, nil)
	case status.Tripped():
		return cli.Exit(cli.ExitBreaker, fmt.Errorf("%s; see %s; once it is mended the same command goes on",
			status.Reason, filepath.Join(o.workdir, "report.md")))
	}
	e.display.say("%s; see %s", describe(status), filepath.Join(o.workdir, "report.md"))
	return nil
}

// engine is the search of one process: everything that must be brought up, and taken down in reverse.
type engine struct {
	o           *engineOptions
	log         *slog.Logger
	display     *display
	coordinator *coordinator.Coordinator
	notify      notify.Options
	conn        *bus.Conn
	site        *web.Site
	registry    *prometheus.Registry
	slots       map[string]int
	teardown    []func() error
}

func newEngine(ctx context.Context, o *engineOptions) (_ *engine, err error) {
	e := &engine{o: o, registry: prometheus.NewRegistry()}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	lock, err := e.openWorkdir()
	if err != nil {
		return nil, err
	}
	chosen, err := cli.ChooseWorkflow(ctx, cli.Registry(), o.workflow, o.argvWithConcurrency(), o.workdir)
	if err != nil {
		return nil, err
	}
	if err := e.connect(ctx); err != nil {
		return nil, err
	}
	budget := max(1, chosen.Spec.MaxConcurrency())
	if o.maxConcurrency > 0 {
		budget = o.maxConcurrency
	}
	e.slots = slotsFor(chosen.Workflow, budget)
	e.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if e.site, err = web.Open(ctx, o.http, o.workdir, e.log); err != nil {
		return nil, err
	}
	e.teardown = append(e.teardown, e.site.Close)
	e.coordinator, err = coordinator.New(coordinator.Options{
		Conn: e.conn, Run: cli.RunName(o.run, o.workdir, chosen.Name), Workflow: chosen.Workflow, Name: chosen.Name, MaxConcurrency: budget,
		Limits: o.limits.Limits, MaxLost: o.limits.MaxLost, Breaker: o.limits.Breaker(), PurgeJournalAbove: o.limits.PurgeJournalAbove, Workdir: o.workdir,
		WorkdirLock: lock, AdoptEdits: o.adopt, IgnoreEdits: o.ignore, ExitWhenStopped: true, HTTP: e.site.URL(), Logger: e.log,
		Registerer: e.registry, Streams: o.retention.Streams(bus.StreamOptions{}), KeepCheckpoints: o.retention.Checkpoints(), KeepCode: o.retention.Code(),
	})
	e.notify = notify.Options{
		Coordinator: e.coordinator, Marks: kv.NewNotices(e.conn, 0), Targets: notify.Targets(chosen.Workflow), Name: chosen.Name,
		Logger: e.log, Registerer: e.registry,
	}
	return e, err
}

// argvWithConcurrency hands the budget of the command line to a workflow file too, whose proposer looks at it.
func (o *engineOptions) argvWithConcurrency() []string {
	if o.maxConcurrency > 0 && filepath.Ext(o.workflow) != "" {
		return append([]string{"max_concurrency=" + strconv.Itoa(o.maxConcurrency)}, o.argv...)
	}
	return o.argv
}

// openWorkdir locks the workdir for this process and begins to log into it.
func (e *engine) openWorkdir() (*snapshot.WorkdirLock, error) {
	logs := filepath.Join(e.o.workdir, "logs")
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return nil, fmt.Errorf("workdir: %w", err)
	}
	lock, err := snapshot.Lock(e.o.workdir)
	if err != nil {
		return nil, err
	}
	e.teardown = append(e.teardown, lock.Unlock)
	file, err := os.OpenFile(filepath.Join(logs, "engine.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("workdir: %w", err)
	}
	e.teardown = append(e.teardown, file.Close)
	e.display = newDisplay(os.Stderr)
	if e.log, err = e.o.log.Logger(io.MultiWriter(file, e.display.logs())); err != nil {
		return nil, err
	}
	return lock, nil
}

// connect reaches the server of --nats, or starts one of our own under the workdir that syncs before it acknowledges.
func (e *engine) connect(ctx context.Context) (err error) {
	if e.o.nats.URL != "" {
		e.conn, err = bus.Connect(ctx, e.o.nats.Options("autoresearch engine", e.log))
	} else {
		var server *bus.Embedded
		server, err = bus.StartEmbedded(bus.EmbeddedOptions{
			StoreDir: filepath.Join(e.o.workdir, "engine", "nats"), Port: -1, SyncAlways: true, Logger: e.log,
		})
		if err != nil {
			return err
		}
		e.teardown = append(e.teardown, server.Shutdown)
		e.conn, err = server.Connect(ctx, "autoresearch engine")
	}
	if err == nil {
		e.teardown = append(e.teardown, e.conn.Close)
	}
	return err
}

// slotsFor gives every class of the workflow's kinds as many local slots as the budget may fill, and one more where a
// proposer thinks, so that thinking never holds an experiment's slot.
func slotsFor(w spec.Workflow, budget int) map[string]int {
	slots := map[string]int{spec.ClassDefault: budget}
	scheduler, ok := w.(spec.Scheduler)
	if !ok {
		return slots
	}
	policies, _ := scheduler.Policies()
	for _, p := range policies {
		if p.Class != "" {
			slots[p.Class] = budget
		}
	}
	for _, p := range policies {
		if p.Uncounted && p.Class != "" {
			slots[p.Class]++
		}
	}
	return slots
}

// run leads the search until it stops or a signal comes.
func (e *engine) run(ctx context.Context, signals *cli.Signals, worked chan<- struct{}) (coordinator.Status, error) {
	e.site.Register(e.coordinator, e.coordinator.Handler(e.registry))
	leading, endLeading := context.WithCancel(context.WithoutCancel(ctx))
	working, endWorking := context.WithCancel(context.WithoutCancel(ctx))
	defer endLeading()
	defer endWorking()
	var g errgroup.Group
	var status coordinator.Status
	g.Go(func() error {
		defer endLeading()
		return notify.Beside(leading, e.notify, func() (err error) {
			defer endWorking() // before the last notices
			status, err = e.coordinator.Run(leading)
			return err
		})
	})
	g.Go(func() error {
		defer endLeading()
		err := e.work(working, signals.Kill)
		close(worked)
		return err
	})
	g.Go(func() error {
		e.display.follow(leading, e.coordinator)
		return nil
	})
	g.Go(func() error {
		select {
		case <-ctx.Done():
			e.interrupt(leading)
			endWorking()
		case <-leading.Done():
		}
		return nil
	})
	err := g.Wait() // which sets status
	return status, err
}

// interruptTimeout bounds how long a graceful end waits for the journal.
const interruptTimeout = 10 * time.Second

// interrupt marks the run as interrupted. What runs is then stopped by the worker and goes back to the queue.
func (e *engine) interrupt(ctx context.Context) {
	e.display.say("interrupted: stopping what runs; once more to stop at once")
	ctx, cancel := context.WithTimeout(ctx, interruptTimeout)
	defer cancel()
	if err := e.coordinator.Interrupt(ctx); err != nil && ctx.Err() == nil {
		e.log.Warn("mark the run as interrupted", "err", err)
	}
}

// work runs the local workers until ctx ends, and waits a moment for their last results to be taken.
func (e *engine) work(ctx context.Context, kill <-chan struct{}) error {
	workdir, err := filepath.Abs(e.o.workdir)
	if err != nil {
		return err
	}
	err = worker.Run(ctx, worker.Options{
		Conn: e.conn, Dir: filepath.Join(workdir, "engine", "worker"), Slots: e.slots, Heartbeat: localHeartbeat, Kill: kill,
		Breaker: -1, // the run's own counts the same tasks
		AttemptDir: func(_ spec.RunName, task spec.TaskID, attempt uint32) string {
			return filepath.Join(workdir, "runs", spec.EncodeName(string(task)), strconv.FormatUint(uint64(attempt), 10))
		},
		Logger: e.log, Registerer: e.registry,
	})
	if err != nil {
		return err
	}
	idle, cancel := context.WithTimeout(context.WithoutCancel(ctx), idleTimeout)
	defer cancel()
	if err := e.coordinator.Idle(idle); err != nil && !errors.Is(err, coordinator.ErrNotLeader) {
		e.log.Warn("not every running experiment was handed back in time; it runs again the next time", "err", err)
	}
	return nil
}

// Times of the local worker: a heartbeat costs nothing in one process.
const (
	localHeartbeat = time.Second
	idleTimeout    = 5 * time.Second
)

// close takes everything down in reverse. It is idempotent.
func (e *engine) close() error {
	var errs []error
	for i := len(e.teardown) - 1; i >= 0; i-- {
		errs = append(errs, e.teardown[i]())
	}
	e.teardown = nil
	return errors.Join(errs...)
}
