package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// Recovery is how long a run stands still when its coordinator is killed, at several sizes of the run.
type Recovery []*RecoveryOf

// RecoveryOf is one size.
type RecoveryOf struct {
	Tasks int `json:"tasks"` // at the first kill; it grows by what is finished from then on
	// Seconds are from kill -9 of the coordinator, and the start of another, to the first task that the new one dispatches.
	Seconds  float64   `json:"seconds"`
	MinMax   MinMax    `json:"min_max"`
	Rounds   []float64 `json:"rounds"`
	Finished int       `json:"finished"` // tasks of the run that were finished at the last kill
}

// recoveryTargets are by tasks.
var recoveryTargets = map[int]float64{100_000: 1, 1_000_000: 8}

func (r Recovery) targets() []Target {
	var targets []Target
	for _, of := range r {
		if limit, ok := recoveryTargets[of.Tasks]; ok {
			targets = append(targets, below(fmt.Sprintf("seconds with %d tasks", of.Tasks), of.Seconds, limit))
		}
	}
	return targets
}

func (r Recovery) lines(name string) []string {
	lines := []string{fmt.Sprintf("%s: kill -9 of the coordinator at work, another started at once, until it dispatches; medians of %d rounds (least to most)",
		name, len(r[0].Rounds))}
	for _, of := range r {
		lines = append(lines, fmt.Sprintf("  %8d tasks, %d of them finished: %6.3f s  (%.3f to %.3f)", of.Tasks, of.Finished, of.Seconds,
			of.MinMax[0], of.MinMax[1]))
	}
	return lines
}

func measureRecovery(ctx context.Context, s *site) (_ Result, err error) {
	stop, err := s.work(ctx, slotsDefault)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	conn, err := s.connect(ctx, "bench observer")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	var r Recovery
	for _, tasks := range s.o.Sizes.Recovered {
		v := victim{site: s, conn: conn, result: &RecoveryOf{Tasks: tasks}}
		if err := v.measure(ctx); err != nil {
			return nil, err
		}
		r = append(r, v.result)
	}
	return r, nil
}

// victim is a run whose coordinator is killed again and again.
type victim struct {
	*site
	conn   *bus.Conn // the observer's
	args   LeadArgs
	led    led
	result *RecoveryOf
}

func (v *victim) measure(ctx context.Context) error {
	v.args = LeadArgs{Run: spec.RunName(v.fresh("victim")), Budget: slotsDefault, Replenish: true}
	defer func() { v.led.discard() }()
	if err := v.start(ctx); err != nil {
		return err
	}
	if err := v.prepare(ctx); err != nil {
		return err
	}
	for round := range v.o.Rounds {
		took, err := v.round(ctx)
		if err != nil {
			return err
		}
		v.say("round %d of %d, %d tasks: %.3f s", round+1, v.o.Rounds, v.result.Tasks, took.Seconds())
		v.result.Rounds = append(v.result.Rounds, took.Seconds())
	}
	v.result.Seconds, v.result.MinMax = median(v.result.Rounds, func(s float64) float64 { return s })
	if err := v.led.do(ctx, "Pause", true); err != nil {
		return err
	}
	return v.check(ctx)
}

// start starts a coordinator and returns once it leads. What it submits has names of its own.
func (v *victim) start(ctx context.Context) (err error) {
	v.args.Load = load{Name: v.fresh("task"), Payload: payloadDefault, Seed: 1}
	v.led, err = v.lead(ctx, v.args)
	return err
}

// queued is how long the queue is: what the run holds, less the tenth that is finished before the first kill.
func (v *victim) queued() int { return v.result.Tasks - v.result.Tasks/10 }

// prepare fills the run and finishes a tenth of it.
func (v *victim) prepare(ctx context.Context) error {
	began := time.Now()
	if err := v.led.do(ctx, "Pause", true); err != nil {
		return err
	}
	if err := v.led.do(ctx, "Fill", v.queued()); err != nil {
		return err
	}
	if err := v.led.do(ctx, "Pause", false); err != nil {
		return err
	}
	if _, err := v.led.finish(ctx, v.result.Tasks/10); err != nil {
		return err
	}
	v.say("%d tasks, a tenth of them finished, in %v", v.result.Tasks, time.Since(began).Round(time.Millisecond))
	return nil
}

// round kills the coordinator while the worker is busy and waits for the first task that another one dispatches.
func (v *victim) round(ctx context.Context) (time.Duration, error) {
	if _, err := v.led.finish(ctx, v.result.Tasks/50+1); err != nil {
		return 0, err
	}
	c, err := v.led.counts(ctx)
	if err != nil {
		return 0, err
	}
	v.result.Finished = c.Completed
	epoch, err := ask[uint64](ctx, v.led, "Epoch", None{})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	v.led.crash()
	dispatched, unsubscribe, err := v.watch(epoch)
	if err != nil {
		return 0, err
	}
	if err := v.start(ctx); err != nil {
		return 0, errors.Join(err, unsubscribe())
	}
	select {
	case at := <-dispatched:
		return at.Sub(began), unsubscribe()
	case <-ctx.Done():
		return 0, errors.Join(context.Cause(ctx), unsubscribe())
	}
}

// watch tells when the first task is dispatched in a term after the one given.
func (v *victim) watch(epoch uint64) (<-chan time.Time, func() error, error) {
	dispatched := make(chan time.Time, 1)
	subscription, err := v.conn.NATS().Subscribe(bus.TaskClassSubject(spec.ClassDefault), func(m *nats.Msg) {
		if d, err := bus.DecodeDispatches(m.Data); err == nil && d[0].Run == v.args.Run && d[0].Epoch > epoch {
			select {
			case dispatched <- time.Now():
			default:
			}
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("watch tasks: %w", err)
	}
	return dispatched, subscription.Unsubscribe, nil
}

// check makes sure that no task was lost or doubled: each that is finished added one, so the queue has its length.
func (v *victim) check(ctx context.Context) error {
	c, err := v.led.counts(ctx)
	if err == nil && c.Live() != v.queued() {
		err = fmt.Errorf("%d tasks should be queued after the kills, and the counts are %+v", v.queued(), c)
	}
	return err
}
