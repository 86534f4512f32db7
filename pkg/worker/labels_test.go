package worker

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

func inClass(class string) func(*bus.Dispatch) { return func(d *bus.Dispatch) { d.Class = class } }

// slotsOf returns what the newest heartbeat says of a class.
func (b *bench) slotsOf(class string) (s bus.ClassSlots) {
	for _, s := range b.lastBeat().Slots {
		if s.Class == class {
			return s
		}
	}
	return bus.ClassSlots{}
}

// TestSharedSlots: a worker serves classes whose labels it has, with the slots of their base and no more.
func TestSharedSlots(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	release := make(chan struct{})
	b := startBench(t, func(o *Options) { o.Labels = []string{"zone=a", "disk=nvme"} },
		runners(map[string]spec.RunnerFunc{"train": func(context.Context, spec.Attempt) (spec.TaskResult, error) {
			n := now.Add(1)
			for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
			}
			<-release
			now.Add(-1)
			return spec.TaskResult{}, nil
		}}))
	const here, there = "cpu[zone=a]", "cpu[zone=b]"
	b.tell(bus.Answer{Epoch: 1, Classes: []string{here, there, "gpu[zone=a]", here}})
	b.until("it serves the class", func() bool { return b.slotsOf(here) == bus.ClassSlots{Class: here, Total: 2, Free: 2} })
	if len(b.lastBeat().Slots) != 2 {
		t.Errorf("it serves %+v", b.lastBeat().Slots)
	}
	b.give(dispatch("a", inClass(here)))
	b.awaitStart("a")
	b.until("its slot is taken in both", func() bool { return b.slotsOf(here).Free == 1 && b.slotsOf(testClass).Free == 1 })
	for _, task := range []spec.TaskID{"b", "c", "d", "e"} {
		class := testClass
		if task > "c" {
			class = here
		}
		b.give(dispatch(task, inClass(class)))
	}
	b.until("no slot is free", func() bool { return b.slotsOf(here).Free == 0 && b.slotsOf(testClass).Free == 0 })
	close(release)
	for _, task := range []spec.TaskID{"a", "b", "c", "d", "e"} {
		if report, _ := b.report(task, 1); report.Failure != nil && report.Failure.Cause() != spec.CauseDeclined {
			t.Errorf("%s: %+v", task, report.Failure)
		}
	}
	if most.Load() > 2 {
		t.Errorf("%d attempts ran in 2 slots", most.Load())
	}
	if !slices.Equal(b.lastBeat().Labels, []string{"zone=a", "disk=nvme"}) {
		t.Errorf("its labels are %q", b.lastBeat().Labels)
	}
}
