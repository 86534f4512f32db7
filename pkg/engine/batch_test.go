package engine

import (
	"fmt"
	"testing"

	"autoresearch/pkg/spec"
)

// batchEngine runs a class "cpu", of which so many tasks are queued.
func batchEngine(t *testing.T, tasks int) *Engine {
	t.Helper()
	e := New(Config{Budget: 1000, Kinds: map[string]spec.KindPolicy{"train": {Class: "cpu"}}})
	var specs []spec.TaskSpec
	for i := range tasks {
		specs = append(specs, spec.TaskSpec{ID: spec.TaskID(fmt.Sprint(i)), Kind: "train"})
	}
	e.Step(Now{}, Submit{Specs: specs})
	e.Step(Now{}, Loaded{})
	return e
}

// TestBatch: what goes out together fits into the free slots of whichever worker takes it.
func TestBatch(t *testing.T) {
	t.Parallel()
	beat := func(worker spec.WorkerID, free int, with ...func(*Heartbeat)) Heartbeat {
		hb := Heartbeat{
			Worker: worker, Boot: 1, Full: true, Batches: true, Slots: []spec.ClassSlots{{Class: "cpu", Total: free, Free: free}},
		}
		for _, change := range with {
			change(&hb)
		}
		return hb
	}
	old := func(hb *Heartbeat) { hb.Batches = false }
	leaving := func(hb *Heartbeat) { hb.Leaving = true }
	for _, test := range []struct {
		name   string
		tasks  int
		events []Event
		want   int
	}{
		{"one worker", 20, []Event{beat("a", 8)}, 8},
		{"few tasks", 3, []Event{beat("a", 8)}, 8},
		{"the smallest of those with free slots", 20, []Event{beat("a", 8), beat("b", 0), beat("c", 3)}, 3},
		{"one that takes no batches", 20, []Event{beat("a", 8), beat("b", 8, old)}, 1},
		{"one that leaves", 20, []Event{beat("a", 8), beat("b", 2, leaving)}, 8},
		{"no worker", 20, nil, 1},
		{"another run wants slots", 20, []Event{
			beat("a", 8), Demand{Run: "other", Weight: 1, Classes: []spec.ClassDemand{{Class: "cpu", Wants: 9}}},
		}, 1},
		{"another run wants no slots any more", 20, []Event{
			beat("a", 8), Demand{Run: "other", Weight: 1, Classes: []spec.ClassDemand{{Class: "cpu", Wants: 9}}},
			Demand{Run: "other", Weight: 1, Classes: []spec.ClassDemand{{Class: "cpu"}}},
		}, 8},
		{"another run wants slots of another class", 20, []Event{
			beat("a", 8), Demand{Run: "other", Weight: 1, Classes: []spec.ClassDemand{{Class: "gpu", Wants: 9}}},
		}, 8},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := batchEngine(t, test.tasks)
			for _, ev := range test.events {
				e.Step(Now{}, ev)
			}
			fresh := len(e.Collect(Now{}).Publish)
			if got := e.Batch("cpu", fresh); got != test.want {
				t.Errorf("%d of %d dispatched go out together, want %d", got, fresh, test.want)
			}
		})
	}
}

// TestBatchLeavesRoomForWhatIsOnItsWay: tasks that went out before and that nobody claimed may be on their way to any worker.
func TestBatchLeavesRoomForWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	e := batchEngine(t, 5)
	beat := Heartbeat{Worker: "a", Boot: 1, Full: true, Batches: true, Slots: []spec.ClassSlots{{Class: "cpu", Total: 8, Free: 8}}}
	e.Step(Now{}, beat)
	out := e.Collect(Now{})
	first := out.Publish[0]
	if got := e.Batch("cpu", len(out.Publish)); got != 8 {
		t.Fatalf("%d go out together, want 8", got)
	}
	e.Reset()
	if got := e.Batch("cpu", 0); got != 3 {
		t.Errorf("beside 5 unclaimed %d go out together, want 3", got)
	}
	// One is claimed, and the worker counts its slot as taken.
	beat.Running = []spec.Holding{{AttemptRef: spec.AttemptRef{Task: first.Spec.ID, Attempt: first.Attempt, Claim: 1}}}
	beat.Slots[0].Free = 7
	e.Step(Now{}, beat)
	e.Collect(Now{})
	if got := e.Batch("cpu", 0); got != 3 {
		t.Errorf("beside 4 unclaimed and one that runs %d go out together, want 3", got)
	}
}
