package engine

import (
	"testing"
	"unsafe"

	"autoresearch/pkg/spec"
)

// records returns the records of tasks as they were handed out.
func records(e *Engine, ids ...spec.TaskID) (list []*spec.Task) {
	for _, id := range ids {
		list = append(list, e.tasks.of(id).live.hand())
	}
	return list
}

// TestRest: the engine lets go of what waits in the queue and has never begun, and of nothing that is under way, was parked, has
// changed since, or is another's record.
func TestRest(t *testing.T) {
	t.Parallel()
	e := New(Config{Budget: 1})
	e.Step(Now{}, Loaded{})
	parked := spec.TaskSpec{ID: "parked", Priority: -2, Extra: []spec.Field{{Name: spec.KeyAllowance, Value: []byte(`{"max_experiments":1}`)}}}
	below := spec.TaskSpec{ID: "below", Priority: -1, Parent: "parked"}
	e.Step(Now{}, Submit{Specs: []spec.TaskSpec{{ID: "a", Priority: 1}, {ID: "b", Priority: 2}, parked, below}})
	e.Step(Now{}, Heartbeat{Worker: "w", Boot: 1, Full: true, Slots: []spec.ClassSlots{{Class: spec.ClassDefault, Total: 2, Free: 2}}})
	e.Collect(Now{})
	e.Reset()
	e.Step(Now{}, SetBudget{Budget: 2})
	e.Collect(Now{})
	e.Reset()

	kept := make(shelf)
	all := records(e, "a", "b", "parked", "below")
	for _, r := range all {
		kept[r.Seq] = r
	}
	stale := clone(all[1])
	if n := e.Rest([]*spec.Task{stale}, kept); n != 0 {
		t.Errorf("it let go of %d records that it does not hold", n)
	}
	e.Step(Now{}, Reprioritise{Task: "b", Priority: 3})
	if n := e.Rest(all, kept); n != 0 {
		t.Errorf("it let go of %d records: two are dispatched, one is parked, one has changed", n)
	}
	e.Collect(Now{})
	e.Reset()
	changed := records(e, "b")
	kept[changed[0].Seq] = changed[0]
	if n := e.Rest(changed, kept); n != 1 || !e.tasks.of("b").live.rests() {
		t.Fatalf("it let go of %d records", n)
	}
	if got, ok := e.Task("b"); !ok || got.Priority != 3 || e.tasks.of("b").live.rests() {
		t.Errorf("woken, it is %+v", got)
	}
}

// TestSizes holds what a run of millions pays for each task that waits.
func TestSizes(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(task{}); size > 64 {
		t.Errorf("a live task takes %d bytes", size)
	}
	if size := unsafe.Sizeof(done{}); size > 32 {
		t.Errorf("a finished one takes %d bytes", size)
	}
}
