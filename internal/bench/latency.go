package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
)

// Latency is how long it takes until a task starts.
type Latency struct {
	// SubmitStart is from the call that submits one task to an idle system until its runner is called.
	SubmitStart Timing `json:"submit_start_ms"`
	// Turnaround is from the return of a runner until the next one is called on its slot, with all slots busy.
	Turnaround Timing `json:"turnaround_ms"`

	Submissions int     `json:"submissions"` // a round
	Turns       int     `json:"turns"`       // a round
	Slots       int     `json:"slots"`
	TaskMS      float64 `json:"task_ms"` // of turnaround, on average
}

func (r *Latency) targets() []Target {
	return []Target{
		below("submit to start, p50 ms", r.SubmitStart.P50, 0.5),
		below("submit to start, p99 ms", r.SubmitStart.P99, 3),
		below("turnaround, p99 ms", r.Turnaround.P99, 5),
	}
}

func (r *Latency) lines(name string) []string {
	return []string{
		fmt.Sprintf("%s: %d submissions one at a time; %d turns of %d slots with tasks of %.0f ms; medians of %d rounds (least to most)",
			name, r.Submissions, r.Turns, r.Slots, r.TaskMS, len(r.SubmitStart.Rounds)),
		r.SubmitStart.line("submit to start"),
		r.Turnaround.line("result to next start"),
	}
}

// measureLatency has coordinator and worker in this process, so that one clock times both; they speak over TCP.
func measureLatency(ctx context.Context, s *site) (_ Result, err error) {
	conn, err := s.connect(ctx, "bench coordinator")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	o := coordinator.Options{Run: "latency", Workflow: idle{}, Name: "bench", MaxConcurrency: slotsDefault}
	l, err := lead(ctx, conn, o, s.log)
	if err != nil {
		return nil, err
	}
	defer l.stop()
	c := &clocked{began: make(chan time.Time, 1)}
	w := work(ctx, workerOptions{
		url: s.url, dir: s.path("worker"), slots: map[string]int{spec.ClassDefault: slotsDefault}, runner: c, log: s.log,
	})
	defer w.stop()
	sizes := s.o.Sizes
	r := &Latency{
		Submissions: sizes.Starts, Turns: sizes.Turnarounds, Slots: slotsDefault,
		TaskMS: float64(sizes.TurnTask) / float64(time.Millisecond),
	}
	return r, r.rounds(ctx, s, l, c)
}

func (r *Latency) rounds(ctx context.Context, s *site, l *leading, c *clocked) error {
	if _, err := c.starts(ctx, l, load{Name: "warm", Payload: payloadDefault}, s.o.Sizes.Starts/10+1); err != nil {
		return err
	}
	for round := range s.o.Rounds {
		took, err := c.starts(ctx, l, load{Name: s.fresh("start"), Payload: payloadDefault}, s.o.Sizes.Starts)
		if err != nil {
			return err
		}
		r.SubmitStart.add(took)
		took, err = c.turns(ctx, l, load{Name: s.fresh("turn"), Payload: payloadDefault}, s.o.Sizes)
		if err != nil {
			return err
		}
		r.Turnaround.add(took)
		s.say("round %d of %d: submit to start %.3f ms, turnaround %.3f ms (p50)", round+1, s.o.Rounds,
			r.SubmitStart.Rounds[round].P50, r.Turnaround.Rounds[round].P50)
	}
	return nil
}

// clocked is a runner that notes when it is called and when it returns.
type clocked struct {
	began chan time.Time // each call, unless a task takes time

	mu          sync.Mutex
	task        time.Duration // how long a task takes on average; 0: no time
	calls, ends []time.Time
}

// Run implements spec.Runner.
func (c *clocked) Run(ctx context.Context, _ spec.Attempt) (spec.TaskResult, error) {
	now := time.Now()
	c.mu.Lock()
	task := c.task
	if task > 0 {
		c.calls = append(c.calls, now)
	}
	c.mu.Unlock()
	if task == 0 {
		c.began <- now
		return spec.TaskResult{}, nil
	}
	err := rest(ctx, task/2+rand.N(task))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends = append(c.ends, time.Now())
	return spec.TaskResult{}, err
}

// rest waits for d, or until ctx is done.
func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// starts submits n tasks, each when the one before is finished, and returns how long each took to start.
func (c *clocked) starts(ctx context.Context, l *leading, of load, n int) ([]time.Duration, error) {
	c.mu.Lock()
	c.task = 0
	c.mu.Unlock()
	of.Tasks = n
	took := make([]time.Duration, 0, n)
	for i := range n {
		specs, before := of.specs(i, i+1), l.counts().Completed
		submitted := time.Now()
		if err := l.submit(ctx, specs); err != nil {
			return nil, err
		}
		select {
		case began := <-c.began:
			took = append(took, began.Sub(submitted))
		case err := <-l.ended:
			return nil, err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if err := l.until(ctx, poll, func() bool { return l.counts().Completed > before }); err != nil {
			return nil, err
		}
	}
	return took, nil
}

// turns keeps all slots busy and returns how long slots stood free: from each return of a runner to the call that took
// its place, which is the first that no earlier return made room for.
func (c *clocked) turns(ctx context.Context, l *leading, of load, sizes Sizes) ([]time.Duration, error) {
	c.mu.Lock()
	c.task, c.calls, c.ends = sizes.TurnTask, nil, nil
	c.mu.Unlock()
	of.Tasks = sizes.Turnarounds + 2*slotsDefault
	before := l.counts().Completed
	if err := l.submitAll(ctx, of, 0, of.Tasks); err != nil {
		return nil, err
	}
	if err := l.until(ctx, pollSlow, func() bool { return l.counts().Completed >= before+of.Tasks }); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortFunc(c.calls, time.Time.Compare)
	slices.SortFunc(c.ends, time.Time.Compare)
	took := make([]time.Duration, sizes.Turnarounds)
	for i := range took {
		took[i] = c.calls[i+slotsDefault].Sub(c.ends[i])
	}
	return took, nil
}
