package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"autoresearch/pkg/spec"
)

// Scale is the engine at several lengths of its queue, the shortest first.
type Scale []*ScaleAt

// ScaleAt is one length.
type ScaleAt struct {
	Queued    int     `json:"queued"`
	TasksPerS float64 `json:"tasks_per_s"`
	// BytesPerTask is the coordinator's live memory for each queued task beyond its payload, BytesPerFinished for each finished
	// one, likewise, once they are packed; 0 where it was not looked at.
	BytesPerTask     float64   `json:"bytes_per_task"`
	BytesPerFinished float64   `json:"bytes_per_finished_task,omitempty"`
	MinMax           MinMax    `json:"min_max"`
	Rounds           []float64 `json:"rounds"`
	Tasks            int       `json:"tasks"` // a round

	led   led
	empty int64 // the live memory before there were tasks
	warm  bool  // it has used its memory once
}

func (r Scale) targets() []Target {
	short, long := r[0], r[len(r)-1]
	return []Target{
		atLeast(fmt.Sprintf("rate at %d / rate at %d", long.Queued, short.Queued), long.TasksPerS/short.TasksPerS, 0.9),
		below("bytes a queued task beyond its payload", long.BytesPerTask, 400),
		below("bytes a finished task beyond its payload", short.BytesPerFinished, 250),
	}
}

func (r Scale) lines(name string) []string {
	lines := []string{fmt.Sprintf("%s: %d tasks of %d bytes at each length of the queue, which they keep; medians of %d rounds (least to most)",
		name, r[0].Tasks, payloadDefault, len(r[0].Rounds))}
	for _, at := range r {
		line := fmt.Sprintf("  %8d queued %8.0f tasks/s  (%.0f to %.0f), %.0f bytes a queued task beyond its payload", at.Queued, at.TasksPerS,
			at.MinMax[0], at.MinMax[1], at.BytesPerTask)
		if at.BytesPerFinished > 0 {
			line += fmt.Sprintf(", %.0f a finished one", at.BytesPerFinished)
		}
		lines = append(lines, line)
	}
	return lines
}

// measureScale has a coordinator process for each length, so that a round goes through all lengths in turn, and one
// worker process for all.
func measureScale(ctx context.Context, s *site) (_ Result, err error) {
	r := make(Scale, len(s.o.Sizes.Queued))
	defer r.close()
	for i, queued := range s.o.Sizes.Queued {
		r[i] = &ScaleAt{Queued: queued, Tasks: s.o.Sizes.Tasks}
		if err := r[i].fill(ctx, s); err != nil {
			return nil, err
		}
	}
	for _, at := range r { // they packed their tasks beside each other
		if err := at.weighQueue(ctx); err != nil {
			return nil, err
		}
		s.say("%d tasks queued, %.0f bytes each beyond the payload", at.Queued, at.BytesPerTask)
	}
	stop, err := s.work(ctx, slotsDefault)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := r.rounds(ctx, s); err != nil {
		return nil, err
	}
	return r, r[0].weigh(ctx)
}

// work starts a worker process with a runner that does nothing.
func (s *site) work(ctx context.Context, slots int) (stop func() error, err error) {
	p, err := spawn(ctx, s.o.ChildCommand, "worker")
	if err != nil {
		return nil, err
	}
	args := WorkArgs{URL: s.url, Dir: s.path("worker"), Slots: slots}
	if err := p.do(ctx, serviceWorker+".Start", args); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p.stop, nil
}

func (r Scale) close() {
	for _, at := range r {
		if at != nil {
			at.led.discard()
		}
	}
}

// fill starts a paused coordinator and queues its tasks.
func (at *ScaleAt) fill(ctx context.Context, s *site) (err error) {
	began := time.Now()
	args := LeadArgs{
		Run: spec.RunName(s.fresh("scale")), Budget: slotsDefault, Replenish: true,
		Load: load{Name: "task", Payload: payloadDefault, Seed: 1},
	}
	if at.led, err = s.lead(ctx, args); err != nil {
		return err
	}
	if err := at.led.do(ctx, "Pause", true); err != nil {
		return err
	}
	if at.empty, err = at.led.heap(ctx); err != nil {
		return err
	}
	if err := at.led.do(ctx, "Fill", at.Queued); err != nil {
		return err
	}
	s.say("%d tasks queued in %v", at.Queued, time.Since(began).Round(time.Millisecond))
	return nil
}

// weighQueue finds what a queued task takes, once all are packed.
func (at *ScaleAt) weighQueue(ctx context.Context) error {
	full, _, err := at.packed(ctx)
	at.BytesPerTask = float64(full-at.empty)/float64(at.Queued) - payloadDefault
	return err
}

// rounds goes through the lengths, forwards and backwards in turn.
func (r Scale) rounds(ctx context.Context, s *site) error {
	for round := range s.o.Rounds {
		for i := range r {
			if round%2 == 1 {
				i = len(r) - 1 - i
			}
			rate, err := r[i].run(ctx)
			if err != nil {
				return err
			}
			s.say("round %d of %d, %d queued: %.0f tasks/s", round+1, s.o.Rounds, r[i].Queued, rate)
			r[i].Rounds = append(r[i].Rounds, rate)
			r[i].TasksPerS, r[i].MinMax = median(r[i].Rounds, func(rate float64) float64 { return rate })
		}
	}
	return nil
}

// run lets the coordinator go on until so many tasks are finished, after a few to warm up: the first time until its memory has been
// used once, since memory that is touched for the first time comes from the machine, and that is slow.
func (at *ScaleAt) run(ctx context.Context) (rate float64, err error) {
	if err := at.led.do(ctx, "Pause", false); err != nil {
		return 0, err
	}
	if !at.warm {
		if err := at.led.do(ctx, "Warm", at.Tasks); err != nil {
			return 0, err
		}
		at.warm = true
	}
	var took time.Duration
	for _, tasks := range []int{at.Tasks/10 + 1, at.Tasks} {
		if took, err = at.led.finish(ctx, tasks); err != nil {
			return 0, err
		}
	}
	if err := at.led.do(ctx, "Pause", true); err != nil {
		return 0, err
	}
	return float64(at.Tasks) / took.Seconds(), at.led.do(ctx, "Settle", None{})
}

// weigh finds what a finished task takes: beside what finishes between two weighings, nothing has become more. The queue has
// its old length, and what the coordinator keeps so much of and no more, as the newest events, was full before. As many finish as
// have before: maps grow in steps, by as much as they have, and of two weighings that are nearer one might fall on a step or not.
func (at *ScaleAt) weigh(ctx context.Context) error {
	heap, completed, err := at.packed(ctx)
	if err != nil {
		return err
	}
	for finished := 0; finished < completed; finished += at.Tasks {
		if _, err := at.run(ctx); err != nil {
			return err
		}
	}
	full, all, err := at.packed(ctx)
	if err == nil && all > completed {
		at.BytesPerFinished = float64(full-heap)/float64(all-completed) - payloadDefault
	}
	return err
}

// packed waits until what has finished is packed, and returns the live memory and how much that is.
func (at *ScaleAt) packed(ctx context.Context) (heap int64, completed int, err error) {
	if err := at.led.do(ctx, "Pack", None{}); err != nil {
		return 0, 0, err
	}
	if heap, err = at.led.heap(ctx); err != nil {
		return 0, 0, err
	}
	c, err := at.led.counts(ctx)
	return heap, c.Completed, err
}
