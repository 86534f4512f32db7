package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/worker"
)

// engineSide is a coordinator and a worker in this process, each with its own connection, on a run of its own. The
// coordinator has no workdir: the journal in JetStream is what keeps the run.
type engineSide struct {
	run         spec.RunName
	up, down    *bus.Conn // the coordinator's and the worker's
	coordinator *coordinator.Coordinator
	workflow    *noop
	before      int // tasks completed by earlier loads

	ended       chan error // how the coordinator or the worker ended by itself
	stopLeading func()
	stopWorking func()
}

// openEngine starts a coordinator and a worker and returns once the coordinator leads.
func openEngine(ctx context.Context, a *arena) (_ side, err error) {
	e := &engineSide{
		run: spec.RunName("bench-" + strconv.Itoa(a.opened)), workflow: &noop{}, ended: make(chan error, 2),
		stopLeading: func() {}, stopWorking: func() {},
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	if e.up, err = a.connect(ctx, "bench coordinator"); err != nil {
		return nil, err
	}
	if e.down, err = a.connect(ctx, "bench worker"); err != nil {
		return nil, err
	}
	if err := e.startCoordinator(ctx, a); err != nil {
		return nil, err
	}
	e.startWorker(ctx, a)
	return e, nil
}

func (e *engineSide) startCoordinator(ctx context.Context, a *arena) (err error) {
	e.coordinator, err = coordinator.New(coordinator.Options{
		Conn: e.up, Run: e.run, Workflow: e.workflow, Name: "bench", MaxConcurrency: a.load.window, Logger: a.log,
	})
	if err != nil {
		return err
	}
	e.stopLeading = start(ctx, e.ended, func(ctx context.Context) error {
		_, err := e.coordinator.Run(ctx)
		return err
	})
	return e.until(ctx, func() bool {
		_, err := e.coordinator.Status() // an error until it leads
		return err == nil
	})
}

func (e *engineSide) startWorker(ctx context.Context, a *arena) {
	e.stopWorking = start(ctx, e.ended, func(ctx context.Context) error {
		return worker.Run(ctx, worker.Options{
			Conn: e.down, Dir: filepath.Join(a.dir, "worker-"+string(e.run)), Logger: a.log,
			Slots:   map[string]int{spec.ClassDefault: a.load.window},
			Runners: map[string]spec.Runner{spec.KindDefault: e.workflow},
		})
	})
}

// start runs f until stop is called, which waits for it. An end before that is told to ended.
func start(ctx context.Context, ended chan<- error, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f(ctx); ctx.Err() == nil {
			ended <- errors.Join(errEndedEarly, err)
		}
	})
	return func() { cancel(); wg.Wait() }
}

// errEndedEarly: the coordinator or the worker returned though nobody had asked it to.
var errEndedEarly = errors.New("coordinator or worker ended by itself")

// poll is how often a count is looked at.
const poll = 200 * time.Microsecond

// until polls until ok.
func (e *engineSide) until(ctx context.Context, ok func() bool) error {
	tick := time.NewTicker(poll)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case err := <-e.ended:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// do implements side: from the first submission to the last task whose completion is journaled.
func (e *engineSide) do(ctx context.Context, l load) error {
	j := newJob(l)
	e.workflow.job.Store(j)
	for first := 0; first < l.roots(); first += submitChunk {
		if err := e.submit(ctx, l.specs(first, min(l.roots(), first+submitChunk))); err != nil {
			return err
		}
	}
	select {
	case <-j.last:
	case err := <-e.ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return e.until(ctx, func() bool { return e.finished() >= l.tasks })
}

// submitChunk is how many tasks one submission holds.
const submitChunk = 1000

func (e *engineSide) submit(ctx context.Context, specs []spec.TaskSpec) error {
	errs, added, err := e.coordinator.Submit(ctx, specs)
	if err = errors.Join(append(errs, err)...); err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	if added != len(specs) {
		return fmt.Errorf("submit: %d of %d tasks were new", added, len(specs))
	}
	return nil
}

// check implements side: every task ran, completed and was seen by the hook, and there is no other.
func (e *engineSide) check(context.Context) error {
	j := e.workflow.job.Load()
	status, err := e.coordinator.Status()
	if err != nil {
		return err
	}
	c := status.Counts
	if c.Completed-e.before != j.load.tasks || c.Failed+c.Cancelled+c.Live() != 0 {
		return fmt.Errorf("%d tasks should have completed, but the counts are %+v", j.load.tasks, c)
	}
	if ran := int(j.ran.Load()); ran < j.load.tasks {
		return fmt.Errorf("%d tasks completed, but only %d ran", j.load.tasks, ran)
	}
	e.before = c.Completed
	return j.trouble()
}

func (e *engineSide) finished() int {
	status, err := e.coordinator.Status()
	if err != nil {
		return 0
	}
	return status.Counts.Completed - e.before
}

// close stops worker and coordinator, and removes the run's streams so that the next side starts as this one did.
func (e *engineSide) close() error {
	e.stopWorking()
	e.stopLeading()
	var errs []error
	if e.coordinator != nil {
		streams := []string{bus.JournalStream(e.run), bus.ResultsStream(e.run), "KV_" + bus.StateBucket(e.run)}
		errs = append(errs, removeStreams(e.up, streams...))
	}
	for _, c := range []*bus.Conn{e.down, e.up} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// removeTimeout bounds the removal of a side's streams.
const removeTimeout = 10 * time.Second

// removeStreams removes streams, those that were never made left aside.
func removeStreams(c *bus.Conn, names ...string) error {
	js, err := jetstream.New(c.NATS())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	for _, name := range names {
		if err := js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("remove stream %s: %w", name, err)
		}
	}
	return nil
}

// noop is the workflow whose hook does nothing but return the children, and the runner that does nothing but name them.
type noop struct{ job atomic.Pointer[job] }

// job is one load under way.
type job struct {
	load load
	ran  atomic.Int64
	last chan struct{} // closed when the hook has seen every task

	mu     sync.Mutex
	hooked tally
	err    error // the first
}

func newJob(l load) *job { return &job{load: l, last: make(chan struct{}), hooked: newTally(l.tasks)} }

func (j *job) trouble() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// Run implements spec.Runner.
func (n *noop) Run(_ context.Context, a spec.Attempt) (spec.TaskResult, error) {
	j := n.job.Load()
	j.ran.Add(1)
	i, err := j.load.number(a.Task.ID)
	if err != nil || j.load.fan == 0 {
		return spec.TaskResult{}, err
	}
	return spec.TaskResult{Children: j.load.specs(j.load.children(i))}, nil
}

// Load implements spec.Workflow.
func (*noop) Load(context.Context) ([]spec.TaskSpec, error) { return nil, nil }

// Checkpoint implements spec.Workflow.
func (*noop) Checkpoint(context.Context, []spec.TaskSpec, []spec.TaskSpec, spec.Status) error {
	return nil
}

// OnResult implements spec.Workflow.
func (n *noop) OnResult(_ context.Context, t spec.TaskSpec, r spec.TaskResult) ([]spec.TaskSpec, error) {
	n.job.Load().hook(t, r)
	return r.Children, nil
}

// Summarize implements spec.Workflow.
func (*noop) Summarize(context.Context, string) (string, error) { return "", nil }

// hook counts an outcome.
func (j *job) hook(t spec.TaskSpec, r spec.TaskResult) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i, err := j.load.number(t.ID)
	if err == nil && r.Failure != nil {
		err = fmt.Errorf("task %q failed: %s", t.ID, r.Failure.Message)
	}
	if err != nil {
		j.err = errors.Join(j.err, err)
		return
	}
	if j.hooked.finish(i) && j.hooked.left == 0 {
		close(j.last)
	}
}
