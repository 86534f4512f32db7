package bench

import (
	"context"
	"fmt"
	"time"

	"autoresearch/pkg/spec"
)

// Control is how long a person's orders take with a long queue: from the call to its reply, which says that it is
// journaled. The slots are busy meanwhile.
type Control struct {
	Queued       int    `json:"queued"`
	Cancel       Timing `json:"cancel_ms"`
	Reprioritise Timing `json:"reprioritise_ms"`
	Pause        Timing `json:"pause_ms"` // pausing and resuming
	Calls        int    `json:"calls"`    // of each kind a round
	Slots        int    `json:"slots"`
}

func (r *Control) targets() []Target {
	return []Target{
		below("cancel, p99 ms", r.Cancel.P99, 10), below("reprioritise, p99 ms", r.Reprioritise.P99, 10),
		below("pause, p99 ms", r.Pause.P99, 10),
	}
}

func (r *Control) lines(name string) []string {
	return []string{
		fmt.Sprintf("%s: %d tasks queued, %d slots busy with short tasks, %d calls of each kind one at a time; medians of %d rounds (least to most)",
			name, r.Queued, r.Slots, r.Calls, len(r.Cancel.Rounds)),
		r.Cancel.line("cancel"), r.Reprioritise.line("reprioritise"), r.Pause.line("pause, resume"),
	}
}

func measureControl(ctx context.Context, s *site) (Result, error) {
	r := &Control{Queued: s.o.Sizes.Controlled, Calls: s.o.Sizes.Controls, Slots: slotsDefault}
	began := time.Now()
	l, err := s.lead(ctx, LeadArgs{
		Run: "control", Budget: slotsDefault, Replenish: true, Load: load{Name: "task", Payload: payloadDefault, Seed: 1},
	})
	defer l.discard()
	if err != nil {
		return nil, err
	}
	if err := l.do(ctx, "Fill", r.Queued); err != nil {
		return nil, err
	}
	s.say("%d tasks queued in %v", r.Queued, time.Since(began).Round(time.Millisecond))
	w := work(ctx, workerOptions{
		url: s.url, dir: s.path("worker"), slots: map[string]int{spec.ClassDefault: slotsDefault},
		runner: &waiting{task: s.o.Sizes.TurnTask, ramp: slotsDefault, since: time.Now()}, log: s.log,
	})
	defer w.stop()
	return r, r.rounds(ctx, s, l)
}

func (r *Control) rounds(ctx context.Context, s *site, l led) error {
	verbs := []struct {
		verb   string
		timing *Timing
	}{{verbCancel, &r.Cancel}, {verbReprioritise, &r.Reprioritise}, {verbPause, &r.Pause}}
	step := max(1, r.Queued/(len(verbs)*s.o.Rounds*r.Calls)) // so that each call is of a task of its own
	from := 0
	for round := range s.o.Rounds {
		for _, v := range verbs {
			args := ControlArgs{Verb: v.verb, From: from, Step: step, Times: r.Calls}
			took, err := ask[[]time.Duration](ctx, l, "Control", args)
			if err != nil {
				return err
			}
			v.timing.add(took)
			from += r.Calls * step
		}
		s.say("round %d of %d: cancel %.3f ms, reprioritise %.3f ms, pause %.3f ms (p99)", round+1, s.o.Rounds,
			r.Cancel.Rounds[round].P99, r.Reprioritise.Rounds[round].P99, r.Pause.Rounds[round].P99)
	}
	return l.do(ctx, "Pause", false)
}
