package engine

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"go.uber.org/goleak"

	"autoresearch/pkg/spec"
)

// TestMain holds that the engine starts no goroutine.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUnknownEvent(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Fatal("an event that the engine does not know was taken")
		}
	}()
	New(Config{}).Step(Now{}, nil)
}

// TestSubmitReply: one error a spec, in their order, and only where a reply is wanted.
func TestSubmitReply(t *testing.T) {
	t.Parallel()
	e := New(Config{})
	specs := []spec.TaskSpec{{ID: "a"}, {}, {ID: "a"}, {ID: "a", Kind: "other"}, {ID: "b", Priority: math.NaN()}, {ID: "c"}}
	e.Step(Now{}, Submit{Specs: specs[:1]})
	e.Step(Now{}, Submit{Ref: 7, Specs: specs})
	out := e.Collect(Now{})
	if len(out.Replies) != 1 || out.Replies[0].Ref != 7 || out.Replies[0].Count != 1 {
		t.Fatalf("replies: %+v", out.Replies)
	}
	want := []error{nil, ErrInvalidSpec, nil, ErrDuplicateID, ErrInvalidSpec, nil}
	for i, err := range out.Replies[0].Errs {
		if !errors.Is(err, want[i]) || (err == nil) != (want[i] == nil) {
			t.Errorf("spec %d: %v, want %v", i, err, want[i])
		}
	}
}

// TestManyOfOneName: a file may hold thousands of specs with one id, since the original does not notice. Each gets a name
// of its own, once, and not at the cost of comparing each with each.
func TestManyOfOneName(t *testing.T) {
	t.Parallel()
	const n = 3000
	specs := make([]spec.TaskSpec, n)
	for i := range specs {
		specs[i] = spec.TaskSpec{ID: "exp", Payload: spec.Payload(fmt.Sprintf(`{"x":%d}`, i))}
	}
	e := New(Config{})
	for range 2 {
		e.Step(Now{}, Submit{Specs: specs, Source: SourceFile})
	}
	out := e.Collect(Now{})
	if len(out.Changes) != n || len(out.Renames) != n-1 || e.Counts().Queued != n || !e.Known("exp~3000") {
		t.Fatalf("%d changes, %d renamed, %+v", len(out.Changes), len(out.Renames), e.Counts())
	}
}

// TestUnlistedKinds: kinds that nobody listed cost no memory of their own.
func TestUnlistedKinds(t *testing.T) {
	t.Parallel()
	e := New(Config{Kinds: map[string]spec.KindPolicy{"train": {}}})
	for _, kind := range []string{"train", "a", "b", "c", "default"} {
		e.Step(Now{}, Submit{Specs: []spec.TaskSpec{{ID: spec.TaskID(kind), Kind: kind}}})
	}
	if len(e.policies) != 2 {
		t.Fatalf("%d policies", len(e.policies))
	}
}

// TestTask: a task is found while it is live, and known for ever.
func TestTask(t *testing.T) {
	t.Parallel()
	e := New(Config{Strict: true, Kinds: map[string]spec.KindPolicy{"train": {}}})
	e.Step(Now{}, Submit{Specs: []spec.TaskSpec{{ID: "live", Kind: "train"}, {ID: "over", Kind: "nobody's"}}})
	e.Collect(Now{})
	e.Reset()
	if task, live := e.Task("live"); !live || task.Spec.ID != "live" || !e.Known("live") {
		t.Errorf("a live task: %+v, %t", task, live)
	}
	if _, live := e.Task("over"); live || !e.Known("over") {
		t.Error("a finished task is live, or not known")
	}
	if _, live := e.Task("ghost"); live || e.Known("ghost") {
		t.Error("a task that was never submitted is known")
	}
}

// TestNeedsAppend: what ends something on a worker, and what changes something, needs a record; what is only said again
// does not.
func TestNeedsAppend(t *testing.T) {
	t.Parallel()
	e := New(Config{})
	collect := func(at spec.EngineTime) (needs, empty bool) {
		out := e.Collect(Now{Engine: at})
		needs, empty = out.NeedsAppend(), isEmpty(out)
		e.Reset()
		return needs, empty
	}
	if needs, empty := collect(0); needs || !empty {
		t.Error("nothing happened")
	}
	e.Step(Now{}, Loaded{})
	e.Step(Now{}, Submit{Specs: []spec.TaskSpec{{ID: "a"}}})
	e.Step(Now{}, Heartbeat{Worker: "w", Full: true, Slots: []spec.ClassSlots{{Class: "cpu", Total: 1, Free: 1}}})
	if needs, empty := collect(0); !needs || empty {
		t.Error("a task was dispatched")
	}
	if needs, empty := collect(OverdueDefault); needs || empty {
		t.Error("the doorbell rings again")
	}
	e.Step(Now{}, Heartbeat{Worker: "w", Running: []spec.Holding{{AttemptRef: spec.AttemptRef{Task: "ghost", Attempt: 1}}}})
	if needs, empty := collect(OverdueDefault); !needs || empty {
		t.Error("an attempt is stopped")
	}
}

// TestBackoff: the delay doubles from the base to the maximum, and lies between half of it and all of it.
func TestBackoff(t *testing.T) {
	t.Parallel()
	cfg := Config{BackoffBase: time.Second, BackoffMax: time.Minute, Seed: 3}
	for failures, full := range []time.Duration{
		1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 6: 32 * time.Second, 7: time.Minute, 2000: time.Minute,
	} {
		if full == 0 {
			continue
		}
		low, high := full, time.Duration(0)
		for seq := range uint64(200) {
			retried := &task{Task: &spec.Task{Seq: seq, Attempt: 1, Failures: uint32(failures)}}
			delay := retried.backoff(cfg.BackoffBase, &cfg)
			if delay != retried.backoff(cfg.BackoffBase, &cfg) {
				t.Fatal("the same failure gave two delays")
			}
			low, high = min(low, delay), max(high, delay)
		}
		if low < full/2 || low > full*6/10 || high > full || high < full*9/10 {
			t.Errorf("after %d failures: delays from %v to %v, want from %v to %v", failures, low, high, full/2, full)
		}
	}
}

// TestBigTurnIsForgotten: one turn that touched everything does not hold memory for ever.
func TestBigTurnIsForgotten(t *testing.T) {
	t.Parallel()
	e := New(Config{})
	specs := make([]spec.TaskSpec, 6_000)
	for i := range specs {
		specs[i] = spec.TaskSpec{ID: spec.TaskID(fmt.Sprintf("t%d", i))}
	}
	e.Step(Now{}, Submit{Specs: specs})
	if out := e.Collect(Now{}); len(out.Changes) != len(specs) {
		t.Fatalf("%d changes", len(out.Changes))
	}
	e.Reset()
	if cap(e.out.Changes) > 5000 || cap(e.dirty) > 5000 {
		t.Fatalf("kept room for %d changes and %d marks", cap(e.out.Changes), cap(e.dirty))
	}
}
