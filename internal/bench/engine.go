package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
)

// engineSide is a coordinator in this process and a worker in another, on a run of its own.
type engineSide struct {
	run      spec.RunName
	conn     *bus.Conn
	leading  *leading
	worker   *process
	workflow *noop
	before   int // tasks completed by earlier loads
}

// openEngine starts a coordinator and a worker and returns once the coordinator leads.
func openEngine(ctx context.Context, a *arena) (_ side, err error) {
	e := &engineSide{run: spec.RunName(a.fresh("run")), workflow: &noop{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close())
		}
	}()
	if e.conn, err = a.connect(ctx, "bench coordinator"); err != nil {
		return nil, err
	}
	o := coordinator.Options{Run: e.run, Workflow: e.workflow, Name: "bench", MaxConcurrency: a.load.Window}
	if e.leading, err = lead(ctx, e.conn, o, a.log); err != nil {
		return nil, err
	}
	if e.worker, err = spawn(ctx, a.o.ChildCommand, "worker"); err != nil {
		return nil, err
	}
	args := WorkArgs{URL: a.url, Dir: a.path("worker"), Slots: a.load.Window, Load: a.load}
	if a.o.CPUProfile != "" {
		args.CPUProfile = a.o.CPUProfile + ".worker"
	}
	return e, e.worker.do(ctx, serviceWorker+".Start", args)
}

// do implements side: from the first submission to the last task whose completion is journaled.
func (e *engineSide) do(ctx context.Context, l load) error {
	j := newJob(l)
	e.workflow.job.Store(j)
	if err := e.leading.submitAll(ctx, l, 0, l.roots()); err != nil {
		return err
	}
	select {
	case <-j.last:
	case err := <-e.leading.ended:
		return err
	case <-e.worker.ended:
		return fmt.Errorf("worker: %w", errChildEnded)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return e.leading.until(ctx, poll, func() bool { return e.finished() >= l.Tasks })
}

// check implements side: every task completed and was seen by the hook, and there is no other.
func (e *engineSide) check(context.Context) error {
	j := e.workflow.job.Load()
	c := e.leading.counts()
	if c.Completed-e.before != j.load.Tasks || c.Failed+c.Cancelled+c.Live() != 0 {
		return fmt.Errorf("%d tasks should have completed, but the counts are %+v", j.load.Tasks, c)
	}
	e.before = c.Completed
	return j.trouble()
}

func (e *engineSide) finished() int { return e.leading.counts().Completed - e.before }

func (e *engineSide) pids() []int { return []int{e.worker.pid()} }

// close stops worker and coordinator, and removes the run.
func (e *engineSide) close() error {
	var errs []error
	if e.worker != nil {
		errs = append(errs, e.worker.stop())
	}
	if e.leading != nil {
		e.leading.stop()
		errs = append(errs, forget(e.conn, e.run))
	}
	if e.conn != nil {
		errs = append(errs, e.conn.Close())
	}
	return errors.Join(errs...)
}

// noop is the workflow whose hook does nothing but return the children.
type noop struct {
	idle
	job atomic.Pointer[job]
}

// OnResult implements spec.Workflow.
func (n *noop) OnResult(_ context.Context, t spec.TaskSpec, r spec.TaskResult) ([]spec.TaskSpec, error) {
	n.job.Load().hook(t, r)
	return r.Children, nil
}

// idle is a workflow that adds nothing.
type idle struct{}

// Load implements spec.Workflow.
func (idle) Load(context.Context) ([]spec.TaskSpec, error) { return nil, nil }

// Checkpoint implements spec.Workflow.
func (idle) Checkpoint(context.Context, []spec.TaskSpec, []spec.TaskSpec, spec.Status) error {
	return nil
}

// OnResult implements spec.Workflow.
func (idle) OnResult(context.Context, spec.TaskSpec, spec.TaskResult) ([]spec.TaskSpec, error) {
	return nil, nil
}

// Summarize implements spec.Workflow.
func (idle) Summarize(context.Context, string) (string, error) { return "", nil }

// job is one load under way.
type job struct {
	load load
	last chan struct{} // closed when the hook has seen every task

	mu     sync.Mutex
	hooked tally
	err    error // the first
}

func newJob(l load) *job { return &job{load: l, last: make(chan struct{}), hooked: newTally(l.Tasks)} }

func (j *job) trouble() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

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
