package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// led is a coordinator in a process of its own, seen from the parent.
type led struct{ *process }

// LeadArgs say which run to lead.
type LeadArgs struct {
	URL    string
	Run    spec.RunName
	Budget int
	// Load is what is submitted.
	Load load
	// Replenish makes each result add a task, so that the queue keeps its length.
	Replenish bool
}

// lead starts a coordinator process and returns once it leads. The process stands even when that fails.
func (s *site) lead(ctx context.Context, args LeadArgs) (led, error) {
	p, err := spawn(ctx, s.o.ChildCommand, "coordinator")
	if err != nil {
		return led{}, err
	}
	args.URL = s.url
	return led{p}, p.do(ctx, serviceLeader+".Lead", args)
}

// discard ends the process as a crash does: nothing of the run is needed any more.
func (l led) discard() {
	if l.process != nil {
		l.crash()
	}
}

// ask asks the coordinator for something, as call does.
func ask[Reply any](ctx context.Context, l led, method string, args any) (Reply, error) {
	return call[Reply](ctx, l.process, serviceLeader+"."+method, args)
}

// do asks for something that has no reply.
func (l led) do(ctx context.Context, method string, args any) error {
	return l.process.do(ctx, serviceLeader+"."+method, args)
}

func (l led) counts(ctx context.Context) (engine.Counts, error) {
	return ask[engine.Counts](ctx, l, "Counts", None{})
}

// heap returns how many bytes live on the coordinator's heap.
func (l led) heap(ctx context.Context) (int64, error) { return ask[int64](ctx, l, "Heap", None{}) }

// finish waits until so many more tasks have finished and returns how long that took.
func (l led) finish(ctx context.Context, tasks int) (time.Duration, error) {
	return ask[time.Duration](ctx, l, "Finish", tasks)
}

// LeaderService is a coordinator.
type LeaderService struct {
	*child
	leading   *leading
	load      load
	submitted atomic.Int64 // tasks of the load
	replenish bool
}

// Lead starts the coordinator and returns once it leads.
func (s *LeaderService) Lead(args LeadArgs, _ *None) error {
	conn, err := s.connect(args.URL, "bench coordinator")
	if err != nil {
		return err
	}
	s.load, s.replenish = args.Load, args.Replenish
	padding() // before anybody weighs the process
	o := coordinator.Options{Run: args.Run, Workflow: replenisher{service: s}, Name: "bench", MaxConcurrency: args.Budget}
	if s.leading, err = lead(s.ctx, conn, o, s.log); err != nil {
		return err
	}
	s.atEnd(func() error { s.leading.stop(); return nil })
	return nil
}

// replenisher is the workflow of a LeaderService.
type replenisher struct {
	idle
	service *LeaderService
}

// OnResult implements spec.Workflow.
func (r replenisher) OnResult(context.Context, spec.TaskSpec, spec.TaskResult) ([]spec.TaskSpec, error) {
	if !r.service.replenish {
		return nil, nil
	}
	n := int(r.service.submitted.Add(1))
	return r.service.load.specs(n-1, n), nil
}

// Fill submits so many tasks and waits until the mirror has them.
func (s *LeaderService) Fill(tasks int, _ *None) error {
	end := int(s.submitted.Add(int64(tasks)))
	if err := s.leading.submitAll(s.ctx, s.load, end-tasks, end); err != nil {
		return err
	}
	return s.leading.settle(s.ctx)
}

// Pause stops dispatching, and waits until nothing is under way, or resumes it.
func (s *LeaderService) Pause(on bool, _ *None) error {
	if err := s.leading.Pause(s.ctx, "", on); err != nil || !on {
		return err
	}
	return s.leading.until(s.ctx, pollSlow, func() bool {
		c := s.leading.counts()
		return c.Leases()+c.Reported == 0
	})
}

// Finish waits until so many more tasks are completed and replies how long that took.
func (s *LeaderService) Finish(tasks int, took *time.Duration) error {
	began := time.Now()
	end := s.leading.counts().Completed + tasks
	err := s.leading.until(s.ctx, poll, func() bool { return s.leading.counts().Completed >= end })
	*took = time.Since(began)
	return err
}

// Warm has tasks completed, so many at a time, until the process's memory was collected twice.
func (s *LeaderService) Warm(tasks int, _ *None) error {
	for enough := collections() + 2; collections() < enough; {
		var took time.Duration
		if err := s.Finish(tasks, &took); err != nil {
			return err
		}
	}
	return nil
}

// collections counts the garbage collections of the process.
func collections() uint32 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NumGC
}

// Settle waits until the mirror has caught up.
func (s *LeaderService) Settle(None, *None) error { return s.leading.settle(s.ctx) }

// Pack waits until the coordinator has packed what has finished.
func (s *LeaderService) Pack(None, *None) error {
	view, err := s.leading.View()
	if err != nil {
		return err
	}
	return s.leading.until(s.ctx, pollSlow, view.Packed)
}

// Heap replies how many bytes of live memory the process has.
func (s *LeaderService) Heap(_ None, bytes *int64) error {
	runtime.GC()
	runtime.GC() // what the first one's finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	*bytes = int64(m.HeapAlloc)
	return nil
}

// Counts replies the run's counts.
func (s *LeaderService) Counts(_ None, c *engine.Counts) error {
	status, err := s.leading.Status()
	*c = status.Counts
	return err
}

// Epoch replies the leader's term.
func (s *LeaderService) Epoch(_ None, epoch *uint64) error {
	_, *epoch, _ = s.leading.Readiness()
	return nil
}

// ControlArgs say what to do to which tasks: From and every Step-th after it.
type ControlArgs struct {
	Verb              string
	From, Step, Times int
}

// Control makes calls one at a time and replies how long each took.
func (s *LeaderService) Control(args ControlArgs, took *[]time.Duration) error {
	for i := 0; i < args.Times; i++ {
		began := time.Now()
		err := s.control(args.Verb, s.load.spec(args.From+i*args.Step).ID, i)
		if errors.Is(err, engine.ErrFinished) {
			continue // it has run meanwhile
		}
		if err != nil {
			return err
		}
		*took = append(*took, time.Since(began))
	}
	return nil
}

// The verbs of ControlArgs. Pause pauses and resumes in turn.
const (
	verbCancel       = "cancel"
	verbReprioritise = "reprioritise"
	verbPause        = "pause"
)

func (s *LeaderService) control(verb string, id spec.TaskID, i int) (err error) {
	switch verb {
	case verbCancel:
		_, err = s.leading.Cancel(s.ctx, id, false, "bench")
	case verbReprioritise:
		_, err = s.leading.Reprioritise(s.ctx, id, false, float64(i%7))
	case verbPause:
		err = s.leading.Pause(s.ctx, "", i%2 == 0)
	default:
		err = fmt.Errorf("no verb %q", verb)
	}
	return err
}
