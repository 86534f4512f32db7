package coordinator

import (
	"bytes"
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// hostile is a worker that says what a test wants.
type hostile struct {
	w    *world
	id   spec.WorkerID
	told chan bus.Answer
}

func (w *world) hostile(id spec.WorkerID) *hostile {
	w.t.Helper()
	h := &hostile{w: w, id: id, told: make(chan bus.Answer, 1000)}
	stop, err := w.conn.ListenControl(id, func(a bus.Answer) { h.told <- a })
	if err != nil {
		w.t.Fatal(err)
	}
	w.cancel = append(w.cancel, stop)
	return h
}

// claim takes the next task of the default class and says that it has started.
func (h *hostile) claim() bus.AttemptRef {
	h.w.t.Helper()
	h.say(bus.Uplink{Full: true, Slots: []bus.ClassSlots{{Class: spec.ClassDefault, Total: 1, Free: 1}}})
	puller := bus.NewPuller(h.w.conn, spec.ClassDefault, nil)
	var got []*bus.Dispatch
	eventually(h.w.t, "a task is dispatched", func() bool {
		var err error
		got, err = puller.Pull(h.w.t.Context(), 200*time.Millisecond)
		return err == nil && len(got) > 0
	})
	ref := bus.AttemptRef{Run: h.w.run, Task: got[0].Task.ID, Attempt: got[0].Attempt, Claim: 77}
	h.say(bus.Uplink{Running: []bus.Holding{{AttemptRef: ref}}})
	return ref
}

func (h *hostile) say(u bus.Uplink) {
	h.w.t.Helper()
	u.Version, u.Worker, u.Boot = bus.MessageVersion, h.id, 1
	if err := h.w.conn.SendUplink(&u); err != nil {
		h.w.t.Fatal(err)
	}
}

// raw publishes any bytes as a result.
func (h *hostile) raw(data []byte) {
	h.w.t.Helper()
	if err := h.w.conn.NATS().Publish(bus.ResultSubject(h.w.run, h.id), data); err != nil {
		h.w.t.Fatal(err)
	}
}

// report publishes reports.
func (h *hostile) report(reports ...bus.Report) []byte {
	h.w.t.Helper()
	data, err := bus.EncodeResultMessage(&bus.ResultMessage{Version: 1, Worker: h.id, Boot: 1, Reports: reports})
	if err != nil {
		h.w.t.Fatal(err)
	}
	h.raw(data)
	return data
}

// hears waits for an answer that fits.
func (h *hostile) hears(what string, fits func(bus.Answer) bool) {
	h.w.t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case a := <-h.told:
			if fits(a) {
				return
			}
		case <-timeout:
			h.w.t.Fatalf("it never heard %s", what)
		}
	}
}

func contains(refs []bus.AttemptRef, ref bus.AttemptRef) bool {
	for _, r := range refs {
		if r == ref {
			return true
		}
	}
	return false
}

func (h *hostile) receipted(ref bus.AttemptRef) {
	h.w.t.Helper()
	h.hears("a receipt", func(a bus.Answer) bool { return contains(a.Receipt, ref) })
}

// kept waits until so many rejections are kept and returns them.
func (w *world) kept(n int) (all []*bus.Rejected) {
	w.t.Helper()
	store := bus.NewRejects(w.conn, w.run, bus.StreamOptions{})
	eventually(w.t, "rejections are kept", func() bool {
		all = nil
		err := store.List(w.t.Context(), func(_ uint64, r *bus.Rejected) error {
			all = append(all, r)
			return nil
		})
		return err == nil && len(all) >= n
	})
	return all
}

// lead starts a coordinator of one task and waits until it leads.
func (w *world) lead(wf spec.Workflow) *served {
	w.t.Helper()
	c := w.coordinate(wf, func(o *Options) { o.ExitWhenStopped = false })
	eventually(w.t, "it leads", func() bool { role, _, _ := c.Readiness(); return role == RoleLeader })
	return c
}

// failure waits until a task has failed and returns why.
func (s *served) failure(t *testing.T, id spec.TaskID) *spec.FailureRecord {
	t.Helper()
	var f *spec.FailureRecord
	eventually(t, "the task fails", func() bool {
		task, ok := s.current.ledger.task(id)
		if ok && task.State == spec.StateFailed {
			f = task.Outcome.Failure
		}
		return f != nil
	})
	return f
}

// Forged and broken results are kept with a reason and whose they are, and the run goes on as if they had never come.
func TestPoisonFromOutside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wf := newTree(2, 2)
	c := w.lead(wf)
	eventually(t, "the task is known", func() bool { _, known := c.current.ledger.task("r"); return known })
	h := w.hostile("evil")
	ref := bus.AttemptRef{Run: w.run, Task: "r", Attempt: 1, Claim: 1}
	with := func(change func(*bus.AttemptRef)) bus.Report {
		forged := ref
		change(&forged)
		return bus.Report{AttemptRef: forged, Body: []byte("forged")}
	}
	garbage := bytes.Repeat([]byte{0xc1}, 1000)
	h.raw(garbage)
	h.raw(nil)
	h.report(with(func(r *bus.AttemptRef) { r.Attempt = 99 }))
	h.report(with(func(r *bus.AttemptRef) { r.Run = "another" }))
	h.report(with(func(r *bus.AttemptRef) { r.Task = "nobody" }))
	all := w.kept(5)
	want := []spec.Rule{
		spec.RuleMalformed, spec.RuleMalformed, spec.RuleForgedAttempt, spec.RuleAnotherRun, spec.RuleUnknownTask,
	}
	rules := map[spec.Rule]int{}
	for _, r := range all {
		rules[r.Rule]++
		if r.Worker != "evil" || r.Reason == "" || r.At == 0 {
			t.Errorf("kept %+v", r)
		}
	}
	for _, rule := range want {
		if rules[rule]--; rules[rule] < 0 {
			t.Errorf("nothing is kept of %s: %v", rule, all)
		}
	}
	if !bytes.Equal(all[0].Data, garbage) || all[0].Size != 1000 {
		t.Errorf("kept %d bytes of %d", len(all[0].Data), all[0].Size)
	}
	w.work(4, wf.grow)
	eventually(t, "the run goes on", func() bool {
		s, err := c.Status()
		return err == nil && s.Counts.Completed == wf.size()
	})
}

// What the holder of the lease reports and cannot be used fails its attempt, with the evidence, and is receipted.
func TestPoisonFromTheHolder(t *testing.T) {
	t.Parallel()
	children := make([]spec.TaskSpec, 10_001)
	for i := range children {
		children[i].ID = "c"
	}
	many, err := bus.EncodeResult(spec.TaskResult{Children: children})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		body   []byte
		stored spec.Blob
		rule   spec.Rule
		kind   spec.FailureKind
		says   string
	}{
		"bad body":          {body: []byte("no msgpack"), rule: spec.RuleBadResult, kind: spec.MetricsCollectionFailed, says: "cannot be read"},
		"too many children": {body: many, rule: spec.RuleTooManyChildren, kind: spec.PlanningFailed, says: "limits.children"},
		"blob is missing": {
			stored: spec.BlobOf([]byte("nobody has it")), rule: spec.RuleBlobMissing, kind: spec.MetricsCollectionFailed, says: "cannot be had",
		},
		"blob is too large": {
			stored: spec.Blob{Size: MaxResultDefault + 1}, rule: spec.RuleResultTooLarge, kind: spec.MetricsCollectionFailed, says: "limits.result",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c, h := w.lead(newTree(0, 0)), w.hostile("holder")
			report := bus.Report{AttemptRef: h.claim(), Body: test.body, Stored: test.stored}
			for range faultsMax { // as often as it is asked for it
				h.report(report)
			}
			f := c.failure(t, "r")
			if f.Kind != test.kind || !strings.Contains(f.Message, test.says) {
				t.Errorf("filed as %+v", f)
			}
			h.receipted(report.AttemptRef)
			if r := w.kept(1)[0]; r.Rule != test.rule || r.Worker != "holder" || r.AttemptRef != report.AttemptRef {
				t.Errorf("kept %+v", r)
			}
		})
	}
}

// A message that is malformed is asked for again; when it stays so the attempt fails, and the worker is released from it.
func TestMalformedAgainAndAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, h := w.lead(newTree(0, 0)), w.hostile("holder")
	ref := h.claim()
	data, err := bus.EncodeResultMessage(&bus.ResultMessage{
		Version: 1, Worker: h.id, Boot: 1, Reports: []bus.Report{{AttemptRef: ref, Body: bytes.Repeat([]byte("x"), 100)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for range faultsMax - 1 {
		h.raw(data[:len(data)-10])
		h.hears("that it is asked again", func(a bus.Answer) bool { return contains(a.SendAgain, ref) })
	}
	h.raw(data[:len(data)-10])
	if f := c.failure(t, "r"); f.Cause() != spec.CauseBadResult || !strings.Contains(f.Message, "malformed") {
		t.Errorf("filed as %+v", f)
	}
	h.receipted(ref)
}

// A success that could not be read at first and comes whole when it is asked for counts.
func TestMalformedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, h := w.lead(newTree(0, 0)), w.hostile("holder")
	body, err := bus.EncodeResult(spec.TaskResult{Metrics: map[string]float64{"loss": 1}})
	if err != nil {
		t.Fatal(err)
	}
	report := bus.Report{AttemptRef: h.claim(), Body: body}
	data, err := bus.EncodeResultMessage(&bus.ResultMessage{Version: 1, Worker: h.id, Boot: 1, Reports: []bus.Report{report}})
	if err != nil {
		t.Fatal(err)
	}
	h.raw(data[:len(data)-1])
	h.hears("that it is asked again", func(a bus.Answer) bool { return contains(a.SendAgain, report.AttemptRef) })
	h.report(report)
	eventually(t, "it completes", func() bool {
		s, err := c.Status()
		return err == nil && s.Counts.Completed == 1
	})
}

// A task whose worker dies with every attempt fails in the end, and names them.
func TestTaskThatKillsItsWorkers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.coordinate(newTree(0, 0), func(o *Options) { o.ExitWhenStopped, o.MaxLost = false, 1 })
	eventually(t, "it leads", func() bool { role, _, _ := c.Readiness(); return role == RoleLeader })
	for _, id := range []spec.WorkerID{"first", "second"} {
		h := w.hostile(id)
		ref := h.claim()
		h.say(bus.Uplink{Full: true, Running: []bus.Holding{{AttemptRef: ref, Progress: "step 3"}}})
		eventually(t, "it runs", func() bool {
			task, _ := c.current.ledger.task("r")
			return task.State == spec.StateRunning
		})
		u := bus.Uplink{Version: 1, Worker: id, Boot: 2, Full: true} // its next process: the one that ran it is dead
		if err := w.conn.SendUplink(&u); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is lost", func() bool {
			task, _ := c.current.ledger.task("r")
			return task.State != spec.StateRunning
		})
	}
	f := c.failure(t, "r")
	losses, _ := f.Details["losses"].([]any)
	if f.Cause() != spec.CauseLost || len(losses) != 2 || !strings.Contains(f.Message, "--max-lost") {
		t.Fatalf("filed as %+v", f)
	}
	for i, worker := range []string{"first", "second"} {
		loss := losses[i].(map[string]any)
		if loss["worker"] != worker || loss["progress"] != "step 3" || loss["last_heartbeat"] == nil || loss["lost_at"] == nil {
			t.Errorf("loss %d: %v", i, loss)
		}
	}
}

// A result that was made to fill the memory costs little more than its own bytes.
func TestBombCostsLittle(t *testing.T) {
	w := newWorld(t)
	c := w.lead(newTree(0, 0))
	children := make([]spec.TaskSpec, 100_000)
	for i := range children {
		children[i].ID = "c"
	}
	body, err := bus.EncodeResult(spec.TaskResult{Children: children})
	if err != nil {
		t.Fatal(err)
	}
	h := w.hostile("holder")
	report := bus.Report{AttemptRef: h.claim(), Body: body}
	in := c.current.intake
	m := &bus.ResultMessage{Worker: h.id, Boot: 1, Reports: []bus.Report{report}}
	eventually(t, "it runs", func() bool { return in.wanted(report.AttemptRef) })
	const bombs = 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range bombs {
		if in.event(context.Background(), m, &m.Reports[0]) == nil {
			t.Error("it says nothing to the engine")
		}
	}
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / bombs; each > 1<<20 {
		t.Errorf("a bomb of %d bytes costs %d", len(body), each)
	}
}
