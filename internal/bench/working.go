package bench

import (
	"context"
	"log/slog"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/worker"
)

// working is a worker in this process with a connection of its own.
type working struct {
	ended chan error // how it ended by itself
	stop  func()     // ends it and waits
}

// workerOptions say which worker to start.
type workerOptions struct {
	url, dir  string
	id        spec.WorkerID // "": one is drawn
	slots     map[string]int
	heartbeat time.Duration // 0: the default
	runner    spec.Runner   // of all kinds; nil: their commands run
	log       *slog.Logger
}

func work(ctx context.Context, o workerOptions) *working {
	w := &working{ended: make(chan error, 1)}
	options := worker.Options{
		Bus: bus.Options{URL: o.url, Name: "bench worker", Logger: o.log}, Dir: o.dir, ID: o.id, Slots: o.slots,
		Heartbeat: o.heartbeat, Logger: o.log,
	}
	if o.runner != nil {
		options.Runners = map[string]spec.Runner{spec.KindDefault: o.runner}
	}
	w.stop = start(ctx, w.ended, func(ctx context.Context) error { return worker.Run(ctx, options) })
	return w
}

// WorkerService is a worker whose runner does nothing but name a task's children.
type WorkerService struct{ *child }

// WorkArgs say for whom it works.
type WorkArgs struct {
	URL, Dir   string
	Slots      int
	Load       load
	CPUProfile string // unless empty, a file for a CPU profile of the process
}

// Start starts the worker.
func (s *WorkerService) Start(args WorkArgs, _ *None) error {
	if args.CPUProfile != "" {
		stop, err := profileCPU(args.CPUProfile)
		if err != nil {
			return err
		}
		s.atEnd(stop)
	}
	w := work(s.ctx, workerOptions{
		url: args.URL, dir: args.Dir, slots: map[string]int{spec.ClassDefault: args.Slots},
		runner: noopRunner{args.Load}, log: s.log,
	})
	s.atEnd(func() error {
		w.stop()
		select {
		case err := <-w.ended:
			return err
		default:
			return nil
		}
	})
	return nil
}

// noopRunner does nothing but name a task's children.
type noopRunner struct{ load load }

// Run implements spec.Runner.
func (n noopRunner) Run(_ context.Context, a spec.Attempt) (spec.TaskResult, error) {
	if n.load.Fan == 0 {
		return spec.TaskResult{}, nil
	}
	l := n.load
	i, err := l.number(a.Task.ID)
	if err != nil {
		l = l.warmup()
		i, err = l.number(a.Task.ID)
	}
	return spec.TaskResult{Children: l.specs(l.children(i))}, err
}
