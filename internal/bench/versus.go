package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"time"
)

// arena is a site where the two sides of a comparison meet.
type arena struct {
	*site
	load load
}

// side is one of the two that are compared. It is opened for each round, and closed with all it made on the server.
type side interface {
	// do does a load and returns when its last task is finished: what the clock runs over.
	do(ctx context.Context, l load) error
	// check makes sure, off the clock, that the load was really done.
	check(ctx context.Context) error
	// finished is how many tasks of the load are finished. It is called from another goroutine, from before do until it
	// returns.
	finished() int
	// pids are the processes that do the side's work beside this one and the server.
	pids() []int
	close() error
}

type openFunc func(ctx context.Context, a *arena) (side, error)

// sample is one side's part of a round. The CPU times are 0 where the kernel does not tell them.
type sample struct {
	tasks              int
	wall               time.Duration
	clientCPU, natsCPU time.Duration // of this process and the worker's, of the server's
}

func (s sample) perSecond() float64 { return float64(s.tasks) / s.wall.Seconds() }

// cpu is what one task costs.
func (s sample) cpu() CPU {
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(s.tasks) }
	return CPU{Clients: each(s.clientCPU), Server: each(s.natsCPU)}
}

// versus compares the engine with raw JetStream in rounds. Which of the two goes first alternates.
func versus(l load, targets ...func(*Versus) Target) measureFunc {
	return func(ctx context.Context, s *site) (Result, error) {
		l := l // rows may be measured at the same time
		l.Tasks, l.Window = s.o.Sizes.Tasks, cmp.Or(s.o.Slots, l.Window)
		r := &Versus{Tasks: l.Tasks, PayloadBytes: l.Payload, InFlight: l.Window}
		if err := (&arena{site: s, load: l}).rounds(ctx, r); err != nil {
			return nil, err
		}
		for _, target := range targets {
			r.met = append(r.met, target(r))
		}
		return r, nil
	}
}

// rounds measures both sides in turn.
func (a *arena) rounds(ctx context.Context, r *Versus) error {
	sides := []struct {
		name string
		open openFunc
	}{{"raw JetStream", openRaw}, {"engine", openEngine}}
	for n := range a.o.Rounds {
		var took [2]sample
		for i := range sides {
			i = (i + n) % 2
			what := fmt.Sprintf("%s, round %d of %d, %s", a.row, n+1, a.o.Rounds, sides[i].name)
			var err error
			if took[i], err = a.measure(ctx, what, sides[i].open); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
		r.add(took[1], took[0])
	}
	return nil
}

// measure opens a side, warms it up, and times the load.
func (a *arena) measure(ctx context.Context, what string, open openFunc) (took sample, err error) {
	s, err := open(ctx, a)
	if err != nil {
		return sample{}, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if _, err := a.time(ctx, what+", warming up", s, a.load.warmup()); err != nil {
		return sample{}, err
	}
	if _, ok := s.(*engineSide); ok && a.o.CPUProfile != "" {
		stop, profileErr := profileCPU(a.o.CPUProfile)
		if profileErr != nil {
			return sample{}, profileErr
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	if took, err = a.time(ctx, what, s, a.load); err == nil {
		a.o.say("%s: %.0f tasks/s", what, took.perSecond())
	}
	return took, err
}

// time runs the clock over one load, and has it checked.
func (a *arena) time(ctx context.Context, what string, s side, l load) (sample, error) {
	watched, stop := a.watch(ctx, what, s, l)
	defer stop()
	runtime.GC() // each side pays for its own garbage only
	clients := append(s.pids(), os.Getpid())
	clientsBefore, serverBefore := cpuTime(clients...), cpuTime(a.server.pid())
	began := time.Now()
	if err := s.do(watched, l); err != nil {
		return sample{}, err
	}
	took := sample{tasks: l.Tasks, wall: time.Since(began)}
	took.clientCPU, took.natsCPU = cpuTime(clients...)-clientsBefore, cpuTime(a.server.pid())-serverBefore
	stop()
	ctx, cancel := context.WithTimeoutCause(ctx, stuckAfter, errStuck)
	defer cancel()
	return took, s.check(ctx)
}

// Times of watching a load.
const (
	watchInterval = time.Second
	stuckAfter    = time.Minute
)

// errStuck ends a load that goes on no more.
var errStuck = fmt.Errorf("nothing was finished for %v", stuckAfter)

// watch follows a load until stop is called, which waits and may be called again. The context ends when it is stuck.
func (a *arena) watch(ctx context.Context, what string, s side, l load) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if a.follow(ctx, what, s, l) {
			cancel(errStuck)
		}
	}()
	return ctx, func() { cancel(nil); <-done }
}

// follow says every second how far a load is, until ctx is done or it is stuck.
func (a *arena) follow(ctx context.Context, what string, s side, l load) (stuck bool) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	last, moved := 0, time.Now()
	for time.Since(moved) < stuckAfter {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		if n := s.finished(); n != last {
			last, moved = n, time.Now()
		}
		a.o.say("%s: %d of %d tasks", what, last, l.Tasks)
	}
	return true
}

// profileCPU writes a CPU profile of this process to path until stop is called.
func profileCPU(path string) (stop func() error, err error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("write the CPU profile: %w", err)
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(fmt.Errorf("write the CPU profile: %w", err), file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}
