package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"autoresearch/pkg/spec"
)

// Workers is a coordinator with many workers.
type Workers struct {
	Workers     int     `json:"workers"`
	Slots       int     `json:"slots"`
	TaskS       float64 `json:"task_s"`
	HeartbeatS  float64 `json:"heartbeat_s"`
	SteadyS     float64 `json:"steady_s"` // how long they were watched
	Coordinator float64 `json:"coordinator_cores"`
	Server      float64 `json:"server_cores"`
	LeasesLost  uint64  `json:"leases_lost"`
	Busy        float64 `json:"busy"` // share of the slots' time
	TasksPerS   float64 `json:"tasks_per_s"`

	CoordinatorMinMax MinMax          `json:"coordinator_cores_min_max"`
	BusyMinMax        MinMax          `json:"busy_min_max"`
	Rounds            []WorkersInPart `json:"rounds"`
}

// WorkersInPart is what was seen in one part of the time.
type WorkersInPart struct {
	Coordinator float64 `json:"coordinator_cores"`
	Server      float64 `json:"server_cores"`
	Busy        float64 `json:"busy"`
	TasksPerS   float64 `json:"tasks_per_s"`
}

func (w *Workers) targets() []Target {
	return []Target{
		below("cores taken by the coordinator", w.Coordinator, 0.5),
		atMost("leases lost", float64(w.LeasesLost), 0),
		atLeast("share of the slots that is busy", w.Busy, 0.95),
	}
}

func (w *Workers) lines(name string) []string {
	return []string{
		fmt.Sprintf("%s: %d workers with %d slots in all, tasks of %g s, a heartbeat every %g s, %g s in steady state in %d parts (least to most)",
			name, w.Workers, w.Slots, w.TaskS, w.HeartbeatS, w.SteadyS, len(w.Rounds)),
		fmt.Sprintf("  coordinator %.3f cores (%.3f to %.3f), server %.3f", w.Coordinator, w.CoordinatorMinMax[0],
			w.CoordinatorMinMax[1], w.Server),
		fmt.Sprintf("  slots busy  %.4f (%.4f to %.4f), %.0f tasks/s, %d leases lost", w.Busy, w.BusyMinMax[0], w.BusyMinMax[1],
			w.TasksPerS, w.LeasesLost),
	}
}

// measureWorkers has the coordinator in a process of its own and all workers in this one, each with its own connection,
// directory and spool.
func measureWorkers(ctx context.Context, s *site) (_ Result, err error) {
	o := s.o.Sizes
	w := &Workers{
		Workers: o.Workers, Slots: o.Workers * o.SlotsEach, TaskS: o.WorkersTask.Seconds(), HeartbeatS: o.WorkersBeat.Seconds(),
		SteadyS: (time.Duration(s.o.Rounds) * o.WorkersRound).Seconds(),
	}
	l, err := s.lead(ctx, LeadArgs{
		Run: "workers", Budget: w.Slots, Replenish: true, Load: load{Name: "task", Payload: payloadDefault},
	})
	defer l.discard()
	if err != nil {
		return nil, err
	}
	if err := l.do(ctx, "Fill", 2*w.Slots); err != nil {
		return nil, err
	}
	waiting := &waiting{task: o.WorkersTask, ramp: w.Slots, since: time.Now()}
	stop := s.crew(ctx, waiting)
	defer func() { err = errors.Join(err, stop()) }()
	if err := waiting.ramped(ctx, s); err != nil {
		return nil, err
	}
	return w, w.watch(ctx, s, l, waiting)
}

// crew starts all workers.
func (s *site) crew(ctx context.Context, runner spec.Runner) (stop func() error) {
	crew := make([]*working, s.o.Sizes.Workers)
	for i := range crew {
		crew[i] = work(ctx, workerOptions{
			url: s.url, dir: s.path("worker"), slots: map[string]int{spec.ClassDefault: s.o.Sizes.SlotsEach},
			heartbeat: s.o.Sizes.WorkersBeat, runner: runner, log: s.log,
		})
	}
	return func() error {
		var wait sync.WaitGroup
		errs := make([]error, len(crew))
		for i, w := range crew {
			wait.Go(func() {
				w.stop()
				select {
				case errs[i] = <-w.ended:
				default:
				}
			})
		}
		wait.Wait()
		return errors.Join(errs...)
	}
}

// watch measures round by round.
func (w *Workers) watch(ctx context.Context, s *site, l led, running *waiting) error {
	before, err := l.counts(ctx)
	if err != nil {
		return err
	}
	running.take()
	for round := range s.o.Rounds {
		began, coordinator, server, completed := time.Now(), cpuTime(l.pid()), cpuTime(s.server.pid()), before.Completed
		if err := rest(ctx, s.o.Sizes.WorkersRound); err != nil {
			return err
		}
		lost := before.Lost
		if before, err = l.counts(ctx); err != nil {
			return err
		}
		wall := time.Since(began).Seconds()
		part := WorkersInPart{
			Coordinator: (cpuTime(l.pid()) - coordinator).Seconds() / wall,
			Server:      (cpuTime(s.server.pid()) - server).Seconds() / wall,
			Busy:        running.take() / float64(w.Slots),
			TasksPerS:   float64(before.Completed-completed) / wall,
		}
		w.LeasesLost += before.Lost - lost
		w.Rounds = append(w.Rounds, part)
		s.say("part %d of %d: coordinator %.3f cores, busy %.4f", round+1, s.o.Rounds, part.Coordinator, part.Busy)
	}
	w.Coordinator, w.CoordinatorMinMax = median(w.Rounds, func(p WorkersInPart) float64 { return p.Coordinator })
	w.Busy, w.BusyMinMax = median(w.Rounds, func(p WorkersInPart) float64 { return p.Busy })
	w.Server, _ = median(w.Rounds, func(p WorkersInPart) float64 { return p.Server })
	w.TasksPerS, _ = median(w.Rounds, func(p WorkersInPart) float64 { return p.TasksPerS })
	return nil
}

// waiting is a runner that waits, and knows how many of it do. The first calls wait for a random part of the time, so
// that results come evenly from then on.
type waiting struct {
	task time.Duration
	ramp int // so many calls are the first

	mu      sync.Mutex
	calls   int
	running int
	since   time.Time // of running
	busy    time.Duration
	taken   time.Time
}

// Run implements spec.Runner.
func (w *waiting) Run(ctx context.Context, _ spec.Attempt) (spec.TaskResult, error) {
	task := w.task
	if w.count(1) <= w.ramp {
		task = rand.N(task)
	}
	err := rest(ctx, task)
	w.count(-1)
	return spec.TaskResult{}, err
}

// count adds to what is running and returns how many calls there have been.
func (w *waiting) count(by int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance()
	w.running += by
	w.calls += max(0, by)
	return w.calls
}

// advance brings busy up to now. The lock is held.
func (w *waiting) advance() {
	now := time.Now()
	w.busy += time.Duration(w.running) * now.Sub(w.since)
	w.since = now
}

// take returns how many ran on average since it was called last.
func (w *waiting) take() float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance()
	average := float64(w.busy) / float64(max(1, w.since.Sub(w.taken)))
	w.busy, w.taken = 0, w.since
	return average
}

// ramped waits until every slot is in its second task or later.
func (w *waiting) ramped(ctx context.Context, s *site) error {
	began := time.Now()
	for {
		w.mu.Lock()
		calls, running := w.calls, w.running
		w.mu.Unlock()
		if calls >= 2*w.ramp {
			s.say("steady after %v", time.Since(began).Round(time.Millisecond))
			return nil
		}
		if time.Since(began) > stuckAfter+3*w.task {
			return fmt.Errorf("only %d of %d slots are busy, %d tasks started: %w", running, w.ramp, calls, errStuck)
		}
		if err := rest(ctx, pollSlow); err != nil {
			return err
		}
	}
}
