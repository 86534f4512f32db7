package engine

import (
	"fmt"
	"runtime"
	"testing"

	"autoresearch/pkg/spec"
)

// queueOf returns an engine with n queued tasks and one slot that is not offered yet.
func queueOf(n int) *Engine {
	e := New(Config{})
	e.Step(Now{}, Loaded{})
	for i := range n {
		e.Step(Now{}, Submit{Specs: []spec.TaskSpec{benchSpec(i)}})
		if i%1000 == 999 {
			e.Collect(Now{})
			e.Reset()
		}
	}
	e.Collect(Now{})
	e.Reset()
	return e
}

// benchSpec spreads the priorities, so that a task goes anywhere in the queue.
func benchSpec(i int) spec.TaskSpec {
	return spec.TaskSpec{
		ID: spec.TaskID(fmt.Sprintf("task-%08d", i)), Kind: spec.KindDefault, Priority: float64(i * 7919 % 1009),
	}
}

// BenchmarkQueue is one task's whole life at various lengths of the queue, which stays as long as it is: submitted,
// dispatched, claimed and reported.
func BenchmarkQueue(b *testing.B) {
	for _, n := range []int{1_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := queueOf(n)
			e.Step(Now{}, Heartbeat{Worker: "w", Full: true, Slots: []spec.ClassSlots{{Class: "cpu", Total: 1, Free: 1}}})
			next := e.Collect(Now{}).Publish[0].Spec.ID
			e.Reset()
			b.ReportAllocs()
			for i := n; b.Loop(); i++ {
				next = life(e, next, i)
			}
		})
	}
}

// life brings a dispatched task to its end, submits another one and returns what was dispatched.
func life(e *Engine, id spec.TaskID, i int) spec.TaskID {
	ref := spec.AttemptRef{Task: id, Attempt: 1, Claim: spec.ClaimID(i)}
	e.Step(Now{}, Heartbeat{Worker: "w", Running: []spec.Holding{{AttemptRef: ref}}})
	e.Collect(Now{})
	e.Reset()
	e.Step(Now{}, Submit{Specs: []spec.TaskSpec{benchSpec(i)}})
	e.Step(Now{}, Reported{AttemptRef: ref, Worker: "w"})
	next := e.Collect(Now{}).Publish[0].Spec.ID
	e.Reset()
	return next
}

// BenchmarkMemory reports what a queued and a finished task hold, with an id of 13 letters and without a payload.
func BenchmarkMemory(b *testing.B) {
	const n = 200_000
	for b.Loop() {
		before := heap()
		e := queueOf(n)
		b.ReportMetric(float64(heap()-before)/n, "B/queued")
		e.Step(Now{}, SetBudget{Budget: n})
		e.Step(Now{}, Heartbeat{Worker: "w", Full: true, Slots: []spec.ClassSlots{{Class: "cpu", Total: n, Free: n}}})
		for i, id := range published(e) {
			e.Step(Now{}, Reported{AttemptRef: spec.AttemptRef{Task: id, Attempt: 1, Claim: spec.ClaimID(i + 1)}, Worker: "w"})
			if i%1000 == 999 {
				e.Collect(Now{})
				e.Reset()
			}
		}
		if c := e.Counts(); c.Completed != n {
			b.Fatalf("%+v", c)
		}
		b.ReportMetric(float64(heap()-before)/n, "B/finished")
		runtime.KeepAlive(e)
	}
}

func published(e *Engine) (ids []spec.TaskID) {
	for _, t := range e.Collect(Now{}).Publish {
		ids = append(ids, t.Spec.ID)
	}
	e.Reset()
	return ids
}

// heap returns the bytes that are live.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkHeartbeats is one turn of a leader with many workers that all say what they run.
func BenchmarkHeartbeats(b *testing.B) {
	const workers, slots = 1000, 8
	e := queueOf(workers * slots)
	e.Step(Now{}, SetBudget{Budget: workers * slots})
	e.Step(Now{}, Heartbeat{Worker: "w0", Full: true, Slots: []spec.ClassSlots{{Class: "cpu", Total: 1e6, Free: 1e6}}})
	beats := make([]Heartbeat, workers)
	for i, id := range published(e) {
		hb := &beats[i%workers]
		hb.Worker, hb.Full = spec.WorkerID(fmt.Sprintf("w%d", i%workers)), true
		hb.Slots = []spec.ClassSlots{{Class: "cpu", Total: slots}}
		hb.Running = append(hb.Running, spec.Holding{
			AttemptRef: spec.AttemptRef{Task: id, Attempt: 1, Claim: spec.ClaimID(i + 1)},
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, hb := range beats {
			e.Step(Now{}, hb)
		}
		e.Collect(Now{})
		e.Reset()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/workers/slots, "ns/lease")
}

// BenchmarkRecover is the restoring of a run from its fold.
func BenchmarkRecover(b *testing.B) {
	const n = 100_000
	stored := make([]*spec.Task, n)
	for i := range stored {
		stored[i] = &spec.Task{Spec: benchSpec(i), Seq: uint64(i + 1), State: spec.StateQueued}
		if i%2 == 0 {
			stored[i].State, stored[i].Outcome = spec.StateCompleted, &spec.Outcome{Order: uint64(i + 1), Claim: 1}
		}
	}
	for b.Loop() {
		e := New(Config{})
		for _, t := range stored {
			e.Load(t)
		}
		e.Recover(Now{})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/task")
}
