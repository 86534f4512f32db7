package engine

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"autoresearch/pkg/spec"
)

// TestRandomEvents feeds an engine with sequences of events, sensible and hostile ones, and crashes in between. After
// every turn the promises are checked, by the witness. In the end honest workers take over, and everything that was
// accepted must come to its one end. The same events must give the same outputs, to the byte.
func TestRandomEvents(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		cfg := drawConfig(rt)
		g := &generator{rt: rt, m: newMachine(cfg)}
		for range rapid.IntRange(10, 40).Draw(rt, "turns") {
			g.take(g.drawTurn())
		}
		g.settle()
		replay(rt, cfg, g)
	})
}

func drawConfig(rt *rapid.T) Config {
	cfg := Config{
		Budget: rapid.IntRange(1, 5).Draw(rt, "budget"),
		Kinds: map[string]spec.KindPolicy{
			"default": {Retries: rapid.IntRange(0, 2).Draw(rt, "retries")},
			"train":   {Class: "gpu", Retries: 1},
			"think":   {Uncounted: true},
		},
		Hooks: rapid.Bool().Draw(rt, "hooks"), MaxLost: 2, MaxPreempted: 2, MaxChildren: 4,
		MaxReported: rapid.IntRange(1, 5).Draw(rt, "max reported"),
		Prices:      spec.Prices{Classes: map[string]spec.Price{"gpu": {SlotHour: 333_333, GPUHour: 2_000_000}}},
		Limits: spec.Limits{
			MaxExperiments: rapid.SampledFrom([]int{0, 0, 0, 5}).Draw(rt, "max experiments"),
			MaxDuration:    rapid.SampledFrom([]time.Duration{0, 0, 0, time.Hour}).Draw(rt, "max duration"),
			MaxGPUTime:     rapid.SampledFrom([]time.Duration{0, 0, 0, time.Minute}).Draw(rt, "max GPU time"),
			MaxCost:        rapid.SampledFrom([]spec.Cost{0, 0, 0, 5_000}).Draw(rt, "max cost"),
		},
	}
	if rapid.IntRange(0, 4).Draw(rt, "strict") == 4 { // the kind "other" cannot run
		cfg.Strict = true
		delete(cfg.Kinds, "default")
	}
	return cfg
}

// replay runs the same turns on a second machine, whose tasks rest whenever they can.
func replay(rt *rapid.T, cfg Config, g *generator) {
	again := newMachine(cfg)
	again.lazy = true
	for _, t := range g.turns {
		if _, err := again.take(t); err != nil {
			rt.Fatal(err)
		}
	}
	if a, b := g.m.log.String(), again.log.String(); a != b {
		rt.Fatalf("the same events gave other outputs:\n%s\n---\n%s", a, b)
	}
}

// generator draws turns for a machine.
type generator struct {
	rt     *rapid.T
	m      *machine
	turns  []turn
	claims spec.ClaimID
}

func (g *generator) take(t turn) *Output {
	g.turns = append(g.turns, t)
	out, err := g.m.take(t)
	if err != nil {
		g.rt.Fatalf("turn %d: %+v\n%v\n%s", len(g.turns), t, err, g.m.log.String())
	}
	return out
}

func pick[T any](g *generator, label string, from ...T) T {
	return rapid.SampledFrom(from).Draw(g.rt, label)
}

// chance is true about once in so many times, and rarer where rapid shrinks.
func (g *generator) chance(label string, oneIn int) bool {
	return rapid.IntRange(0, oneIn-1).Draw(g.rt, label) == oneIn-1
}

func (g *generator) drawTurn() turn {
	t := turn{
		advance: pick(g, "advance", time.Second, 0, 2*time.Second, 6*time.Second, 21*time.Second, time.Hour),
		crash:   g.chance("crash", 8),
	}
	if t.crash && g.chance("other config", 2) {
		cfg := drawConfig(g.rt)
		t.cfg = &cfg
	}
	if len(g.turns) == 0 {
		t.events = append(t.events, Loaded{})
	}
	for range pick(g, "events", 3, 2, 4, 1, 0) {
		t.events = append(t.events, g.drawEvent())
	}
	return t
}

// drawEvent draws one event. Rapid favours what stands first: what keeps a run going.
func (g *generator) drawEvent() Event {
	switch rapid.IntRange(0, 16).Draw(g.rt, "event") {
	case 0, 3, 7:
		return g.drawHeartbeat()
	case 1, 4, 8:
		return g.drawReport()
	case 2, 9:
		return Submit{Ref: 1, Specs: g.drawSpecs(3), Source: pick(g, "source", SourceCaller, SourceFile)}
	case 5, 6:
		return g.drawHookDone()
	case 10:
		return Cancel{Ref: 2, Task: g.drawID(), Subtree: g.chance("subtree", 2)}
	case 11:
		return Reprioritise{Ref: 3, Task: g.drawID(), Subtree: g.chance("subtree", 2), Priority: g.drawPriority()}
	case 12:
		return SetBudget{Ref: 5, Class: pick(g, "class", "", "cpu", "gpu"), Budget: pick(g, "budget", 4, 2, 1, 0, -1)}
	case 16:
		id := g.drawID()
		return SetAllowance{Ref: 7, Task: pick(g, "whose", id, id, ""), Allowance: g.drawAllowance(), Asked: Asked{By: "rapid"}}
	case 13:
		return Pause{Ref: 4, Class: pick(g, "class", "", "cpu", "gpu", "tpu"), On: g.chance("on", 3)}
	case 14:
		return pick[Event](g, "halt", Begin{}, Interrupt{}, Stop{Reason: "a rule"}, Drain{Ref: 6, Asked: Asked{By: "rapid"}}, Begin{Resume: true})
	}
	return pick[Event](g, "again", Begin{}, Loaded{})
}

func (g *generator) drawID() spec.TaskID {
	return spec.TaskID(fmt.Sprintf("t%d", rapid.IntRange(0, 11).Draw(g.rt, "id")))
}

func (g *generator) drawPriority() float64 {
	return pick(g, "priority", 0, 0, 0, -1, 1, 2.5, math.Inf(1), math.Inf(-1), math.NaN())
}

func (g *generator) drawSpecs(atMost int) []spec.TaskSpec {
	specs := make([]spec.TaskSpec, rapid.IntRange(0, atMost).Draw(g.rt, "specs"))
	for i := range specs {
		specs[i] = spec.TaskSpec{
			ID: g.drawID(), Priority: g.drawPriority(), Kind: pick(g, "kind", "default", "train", "think", "other"),
			Payload: spec.Payload(pick(g, "payload", `{"x":1}`, `{"x":2}`)),
		}
		if g.chance("parent", 3) {
			specs[i].Parent = g.drawID()
		}
		if g.chance("allowance", 4) {
			specs[i].Extra = []spec.Field{g.drawAllowance().Field()}
		}
	}
	return specs
}

func (g *generator) drawAllowance() spec.Allowance {
	return spec.Allowance{
		Experiments: pick(g, "experiments", 0, 1, 3), GPUTime: pick(g, "gpu time", 0, time.Minute, time.Second),
		Cost: pick(g, "cost", spec.Cost(0), 1000, 1_000_000),
	}
}

// drawRef draws what some live task's lease says, or an earlier attempt of it, or anything at all.
func (g *generator) drawRef() spec.AttemptRef {
	leases := g.leases()
	if len(leases) == 0 || g.chance("hostile", 8) {
		return spec.AttemptRef{
			Task: g.drawID(), Attempt: uint32(rapid.IntRange(0, 4).Draw(g.rt, "attempt")),
			Claim: spec.ClaimID(rapid.IntRange(0, int(g.claims)).Draw(g.rt, "claim")),
		}
	}
	t := rapid.SampledFrom(leases).Draw(g.rt, "lease")
	ref := spec.AttemptRef{Task: t.Spec.ID, Attempt: t.Lease.Attempt, Claim: t.Lease.Claim}
	if g.chance("earlier", 6) {
		ref.Attempt--
	}
	if ref.Claim == 0 || g.chance("other claim", 6) {
		g.claims++
		ref.Claim = g.claims
	}
	return ref
}

// leases returns every live task that has, or last had, a lease, in order of arrival.
func (g *generator) leases() []*spec.Task {
	var leases []*spec.Task
	for _, t := range g.m.engine.live() {
		if t.Lease != nil {
			leases = append(leases, t.Task)
		}
	}
	slices.SortFunc(leases, func(a, b *spec.Task) int { return int(a.Seq) - int(b.Seq) })
	return leases
}

func (g *generator) drawWorker() spec.WorkerID {
	return pick(g, "worker", spec.WorkerID("w1"), "w2", "w3")
}

func (g *generator) drawHeartbeat() Heartbeat {
	hb := Heartbeat{
		Worker: g.drawWorker(), Boot: pick(g, "boot", uint64(1), 1, 1, 1, 2, 3), Full: !g.chance("notice", 3),
		Leaving: g.chance("leaving", 8),
	}
	for range pick(g, "running", 1, 2, 0, 3) {
		hb.Running = append(hb.Running, spec.Holding{AttemptRef: g.drawRef(), GPUs: pick(g, "gpus", 0, 1, 8, spec.GPUsMax)})
	}
	for range pick(g, "finished", 0, 0, 1, 2) {
		hb.Finished = append(hb.Finished, g.drawRef())
	}
	for _, class := range pick(g, "classes", []string{"cpu", "gpu"}, []string{"cpu"}, []string{"cpu", "tpu", "cpu"}) {
		hb.Slots = append(hb.Slots, spec.ClassSlots{
			Class: class, Free: pick(g, "free", 2, 3, 1, 0, -1), Total: pick(g, "total", 5, 3, 2, 1, 0, -1),
		})
	}
	return hb
}

func (g *generator) drawReport() Reported {
	r := Reported{AttemptRef: g.drawRef(), Worker: g.drawWorker(), Children: g.drawSpecs(5), Body: []byte("body"), Cost: pick(g, "cost", spec.Cost(0), 7, 1_000_000)}
	switch pick(g, "result", "ok", "ok", "retryable", "preempted", "failed") {
	case "failed":
		r.Failure = &spec.FailureRecord{Kind: spec.JobFailed, Phase: spec.PhaseJob}
	case "retryable":
		r.Failure = &spec.FailureRecord{Kind: spec.JobFailed, Phase: spec.PhaseJob, Retryable: true}
	case "preempted":
		r.Preempted = true
	}
	return r
}

func (g *generator) drawHookDone() HookDone {
	ev := HookDone{Task: g.drawID(), Order: uint64(rapid.IntRange(0, 9).Draw(g.rt, "order")), Children: g.drawSpecs(5)}
	var reported []*spec.Task
	for _, t := range g.m.engine.live() {
		if t.Outcome != nil {
			reported = append(reported, t.Task)
		}
	}
	slices.SortFunc(reported, func(a, b *spec.Task) int { return int(a.Seq) - int(b.Seq) })
	if len(reported) > 0 && !g.chance("hostile", 8) {
		t := rapid.SampledFrom(reported).Draw(g.rt, "reported")
		ev.Task, ev.Order = t.Spec.ID, t.Outcome.Order
	}
	if g.chance("hook fails", 4) {
		ev.Failure = &spec.FailureRecord{Kind: spec.PlanningFailed, Phase: spec.PhasePlanning}
	}
	if g.chance("stop", 10) {
		ev.StopReason = "a rule of the hook"
	}
	return ev
}

// settle lets an honest worker, an honest hook and a patient person end whatever is left, in bounded time.
func (g *generator) settle() {
	unlimited := g.m.cfg
	unlimited.Limits = spec.Limits{}
	events := []Event{
		Loaded{}, Begin{}, Pause{}, Pause{Class: "cpu"}, Pause{Class: "gpu"}, SetBudget{}, SetBudget{Class: "cpu"},
		SetBudget{Class: "gpu"}, SetAllowance{},
	}
	for _, id := range slices.Sorted(maps.Keys(g.m.fold.tasks)) { // it is refused of those without an allowance
		events = append(events, SetAllowance{
			Task: id, Allowance: spec.Allowance{Experiments: math.MaxInt32, GPUTime: math.MaxInt64, Cost: spec.CostMax},
		})
	}
	out := g.take(turn{crash: true, cfg: &unlimited, events: events})
	w := &honest{g: g, held: make(map[spec.AttemptRef]bool)}
	for range 100 {
		out = w.round(out)
		if g.m.engine.Counts().Live() == 0 {
			break
		}
	}
	w.round(out) // the last hooks may have been answered in the last round
	c := g.m.engine.Counts()
	status, _ := g.m.engine.Status()
	if c.Live() > 0 || status != spec.StatusStopped || c.Completed+c.Failed+c.Cancelled != len(g.m.fold.tasks) {
		g.rt.Fatalf("after all: %s, %+v, %d tasks\n%s\n%s",
			status, c, len(g.m.fold.tasks), describeLive(g.m.engine), g.m.log.String())
	}
}

// honest is a worker without faults, with a hook that wants nothing more.
type honest struct {
	g    *generator
	held map[spec.AttemptRef]bool
}

// round obeys an output: it hears two seconds later what has become of it.
func (w *honest) round(out *Output) *Output {
	t := turn{advance: 2 * time.Second}
	for _, task := range out.Hooks {
		t.events = append(t.events, HookDone{Task: task.Spec.ID, Order: task.Outcome.Order})
	}
	for _, s := range out.Stops {
		if s.Worker == "honest" {
			delete(w.held, s.AttemptRef)
		}
	}
	for _, ref := range w.sorted() { // the attempts of the round before are done
		t.events = append(t.events, Reported{AttemptRef: ref, Worker: "honest"})
		delete(w.held, ref)
	}
	for _, task := range out.Publish {
		w.g.claims++
		w.held[spec.AttemptRef{Task: task.Spec.ID, Attempt: task.Attempt, Claim: w.g.claims}] = true
	}
	hb := Heartbeat{Worker: "honest", Boot: 1, Full: true}
	for _, ref := range w.sorted() {
		hb.Running = append(hb.Running, spec.Holding{AttemptRef: ref})
	}
	for _, class := range []string{"cpu", "gpu"} {
		hb.Slots = append(hb.Slots, spec.ClassSlots{Class: class, Free: 4, Total: 50})
	}
	t.events = append(t.events, hb)
	return w.g.take(t)
}

func (w *honest) sorted() []spec.AttemptRef {
	var refs []spec.AttemptRef
	for ref := range w.held {
		refs = append(refs, ref)
	}
	slices.SortFunc(refs, func(a, b spec.AttemptRef) int { return int(a.Claim) - int(b.Claim) })
	return refs
}
