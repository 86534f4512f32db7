package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"autoresearch/pkg/spec"
)

// TestSimulatedFaults runs an engine against workers that crash, restart, leave and are cut off, over a network that
// loses, delays and repeats, under a coordinator that crashes before and after its journal record. When the faults end,
// everything accepted must end, every worker must become idle with nothing left to receipt, and the run must stop, all
// within bounded engine time.
func TestSimulatedFaults(t *testing.T) {
	t.Parallel()
	seeds := 15
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			newSimulation(t, uint64(seed)).run()
		})
	}
}

const (
	tick       = 500 * time.Millisecond
	faultyTime = 150 * time.Second // of faults
	quietTime  = 900 * time.Second // within which all must end afterwards
	settleTime = 40 * time.Second  // after the last fault: then nothing published may wait any more
)

// simulation is the world around one engine.
type simulation struct {
	t       *testing.T
	rng     *rand.Rand
	m       *machine
	workers []*simWorker
	bell    []bell    // the doorbell: published and not pulled
	mail    []simMail // on their way
	inbox   []Event   // arrived at the coordinator, for its next turn
	crashed bool      // the coordinator is to be restored in its next turn
	next    int       // the number of the next task
	claim   spec.ClaimID
	faulty  bool
	struck  spec.EngineTime // when the last fault struck
}

// bell is a doorbell message.
type bell struct {
	class   string
	task    spec.TaskID
	attempt uint32
}

// simMail is something that happens later.
type simMail struct {
	at spec.EngineTime
	do func()
}

// simWorker is one worker: what it runs dies with its process, what it has finished does not.
type simWorker struct {
	id       spec.WorkerID
	class    string
	slots    int
	boot     uint64
	down     spec.EngineTime // its process is dead until then
	cut      spec.EngineTime // it is cut off from the network until then
	running  []simAttempt
	finished []Reported // not receipted yet
}

// simAttempt is one that runs until its time comes.
type simAttempt struct {
	ref  spec.AttemptRef
	ends spec.EngineTime
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	s := &simulation{t: t, rng: rand.New(rand.NewPCG(seed, 1)), faulty: true, struck: faultyTime}
	s.m = newMachine(Config{
		Budget: 4 + s.rng.IntN(8), Hooks: s.rng.IntN(4) > 0, MaxLost: 3, BackoffMax: 10 * time.Second, Seed: seed,
		MaxReported: 3,
		Kinds:       map[string]spec.KindPolicy{"default": {Retries: 2}, "train": {Class: "gpu", Retries: 1}},
	})
	s.m.lazy = seed%2 == 0
	for i, class := range []string{"cpu", "cpu", "gpu", "gpu"} {
		s.workers = append(s.workers, &simWorker{
			id: spec.WorkerID(fmt.Sprintf("w%d", i)), class: class, slots: 1 + s.rng.IntN(3), boot: 1,
		})
	}
	s.inbox = append(s.inbox, Loaded{}, s.submission(8))
	return s
}

// run lets the faults have their time, and then everything come to its end.
func (s *simulation) run() {
	for s.m.now.Engine < faultyTime {
		s.misfortune()
		s.tick()
	}
	s.faulty = false
	s.inbox = append(s.inbox, Begin{}, Pause{})
	for s.m.now.Engine < faultyTime+quietTime && !s.over() {
		s.tick()
	}
	if !s.over() {
		s.fail("it is not over")
	}
	if c := s.m.engine.Counts(); c.Completed+c.Failed+c.Cancelled != len(s.m.fold.tasks) || c.Completed == 0 {
		s.fail("%d tasks were journaled", len(s.m.fold.tasks))
	}
}

func (s *simulation) fail(format string, args ...any) {
	s.t.Helper()
	status, reason := s.m.engine.Status()
	for _, w := range s.workers {
		s.t.Logf("worker %+v", *w)
	}
	s.t.Logf("%v: %s %s %s\n%s", s.m.now.Engine, status, reason, describeCounts(s.m.engine.Counts()), describeLive(s.m.engine))
	s.t.Fatalf(format, args...)
}

// over reports whether the run has ended, and everybody knows.
func (s *simulation) over() bool {
	status, _ := s.m.engine.Status()
	for _, w := range s.workers {
		if len(w.running) > 0 || len(w.finished) > 0 {
			return false
		}
	}
	return status == spec.StatusStopped && len(s.bell) == 0
}

func (s *simulation) chance(oneIn int) bool { return s.faulty && s.rng.IntN(oneIn) == 0 }

// misfortune strikes at random.
func (s *simulation) misfortune() {
	w := s.workers[s.rng.IntN(len(s.workers))]
	switch {
	case s.chance(25):
		w.crash(s.m.now.Engine + time.Duration(s.rng.IntN(40))*time.Second)
	case s.chance(25):
		w.cut = s.m.now.Engine + time.Duration(s.rng.IntN(60))*time.Second
	case s.chance(40):
		s.crashed = true
	case s.chance(60):
		s.inbox = append(s.inbox, Interrupt{})
		s.mailIn(time.Duration(s.rng.IntN(10))*time.Second, func() { s.crashed = true })
		s.mailIn(time.Duration(10+s.rng.IntN(5))*time.Second, func() { s.inbox = append(s.inbox, Begin{}) })
	case s.chance(60):
		s.inbox = append(s.inbox, Pause{On: s.rng.IntN(3) == 0})
	}
	switch {
	case s.chance(12) && s.next < 60:
		s.inbox = append(s.inbox, s.submission(1+s.rng.IntN(3)))
	case s.chance(20):
		s.inbox = append(s.inbox, Cancel{Task: s.anyTask(), Subtree: s.rng.IntN(2) == 0})
	case s.chance(20):
		s.inbox = append(s.inbox, Reprioritise{Task: s.anyTask(), Priority: float64(s.rng.IntN(5)) - 2})
	}
}

func (s *simulation) anyTask() spec.TaskID {
	return spec.TaskID(fmt.Sprintf("t%d", s.rng.IntN(s.next+1)))
}

func (s *simulation) submission(n int) Submit { return Submit{Specs: s.specs(n)} }

// specs makes new tasks. One in sixteen kills its worker whenever it runs.
func (s *simulation) specs(n int) []spec.TaskSpec {
	specs := make([]spec.TaskSpec, n)
	for i := range specs {
		kind := "default"
		if s.rng.IntN(3) == 0 {
			kind = "train"
		}
		specs[i] = spec.TaskSpec{ID: spec.TaskID(fmt.Sprintf("t%d", s.next)), Kind: kind, Priority: float64(s.rng.IntN(3))}
		s.next++
	}
	return specs
}

func poisonous(id spec.TaskID) bool { return len(id)%2 == 0 && id[len(id)-1] == '7' }

// mailIn lets something happen after a delay.
func (s *simulation) mailIn(delay time.Duration, do func()) {
	s.mail = append(s.mail, simMail{s.m.now.Engine + delay, do})
}

// post sends a message over the network: while there are faults it may be lost, repeated or late.
func (s *simulation) post(do func()) {
	for s.chance(10) {
		s.mailIn(time.Duration(s.rng.IntN(20))*tick, do)
	}
	if !s.chance(8) {
		s.mailIn(tick, do)
	}
}

func (s *simulation) deliver() {
	due := slices.Clone(s.mail)
	s.mail = s.mail[:0]
	for _, m := range due {
		if m.at <= s.m.now.Engine {
			m.do()
		} else {
			s.mail = append(s.mail, m)
		}
	}
}

// tick is one turn of everybody.
func (s *simulation) tick() {
	s.deliver()
	for _, w := range s.workers {
		w.act(s)
	}
	if s.m.now.Engine > s.struck+settleTime && len(s.bell) > 0 {
		s.fail("%d published tasks wait for a slot: %+v", len(s.bell), s.bell)
	}
	arrived := s.inbox
	s.inbox = nil
	switch {
	case s.crashed: // before the record: what came by the results stream, or by a patient caller, comes again
		s.inbox = slices.DeleteFunc(arrived, func(ev Event) bool { _, lossy := ev.(Heartbeat); return lossy })
		s.crashed = false
		s.perform(s.take(turn{advance: tick, crash: true}))
	case s.chance(60): // after the record, before anything is done
		s.take(turn{advance: tick, events: arrived})
		s.perform(s.take(turn{crash: true}))
	default:
		s.perform(s.take(turn{advance: tick, events: arrived}))
	}
}

func (s *simulation) take(t turn) *Output {
	if t.crash { // the hooks that were under way end with the process
		s.inbox = slices.DeleteFunc(s.inbox, func(ev Event) bool { _, hook := ev.(HookDone); return hook })
	}
	out, err := s.m.take(t)
	if err != nil {
		s.fail("%v", err)
	}
	return out
}

// perform does what the engine asks, over the network.
func (s *simulation) perform(out *Output) {
	for _, t := range out.Publish {
		b := bell{class: t.Lease.Class, task: t.Spec.ID, attempt: t.Attempt}
		if !s.chance(10) && !slices.Contains(s.bell, b) {
			s.bell = append(s.bell, b)
		}
	}
	for _, p := range out.Purge {
		if !s.chance(10) {
			s.bell = slices.DeleteFunc(s.bell, func(b bell) bool { return b == bell{p.Class, p.Task, p.Attempt} })
		}
	}
	for _, stop := range out.Stops {
		s.post(func() { s.worker(stop.Worker).stop(s, stop) })
	}
	for _, r := range out.Receipts {
		s.post(func() { s.worker(r.Worker).receipted(s, r.AttemptRef) })
	}
	for _, r := range out.SendAgain {
		s.post(func() { s.worker(r.Worker).sendAgain(s, r.AttemptRef) })
	}
	for _, t := range out.Hooks {
		s.hook(t)
	}
}

// hook answers at once or after a while; a few of them want a child or two.
func (s *simulation) hook(t *spec.Task) {
	ev := HookDone{Task: t.Spec.ID, Order: t.Outcome.Order}
	if s.faulty && s.next < 60 {
		ev.Children = s.specs(s.rng.IntN(2))
	}
	s.mailIn(time.Duration(s.rng.IntN(6))*tick, func() { s.inbox = append(s.inbox, ev) })
}

func (s *simulation) worker(id spec.WorkerID) *simWorker {
	return s.workers[slices.IndexFunc(s.workers, func(w *simWorker) bool { return w.id == id })]
}

// crash ends the process until then, with all that it runs.
func (w *simWorker) crash(until spec.EngineTime) {
	w.running, w.down = nil, until
	w.boot++
}

func (w *simWorker) deaf(s *simulation) bool {
	return s.faulty && (s.m.now.Engine < w.cut || s.m.now.Engine < w.down)
}

// act ends what is due, pulls for the free slots, and says so.
func (w *simWorker) act(s *simulation) {
	now := s.m.now.Engine
	if now < w.down {
		return
	}
	for _, a := range slices.Clone(w.running) {
		if now < a.ends {
			continue
		}
		if poisonous(a.ref.Task) {
			s.struck = max(s.struck, now)
			w.crash(now + 3*time.Second)
			return
		}
		w.end(s, a.ref, s.outcome())
	}
	if w.deaf(s) {
		return
	}
	w.pull(s)
	if now%(2*time.Second) == 0 {
		w.heartbeat(s)
	}
}

// duration draws how long an attempt takes: one in six outlives a lease.
func (s *simulation) duration() time.Duration {
	if s.rng.IntN(6) == 0 {
		return time.Duration(50+s.rng.IntN(50)) * tick
	}
	return time.Duration(1+s.rng.IntN(20)) * tick
}

// outcome draws how an attempt ends.
func (s *simulation) outcome() Reported {
	switch s.rng.IntN(10) {
	case 0:
		return Reported{Failure: &spec.FailureRecord{Kind: spec.JobFailed, Phase: spec.PhaseJob}}
	case 1, 2:
		return Reported{Failure: &spec.FailureRecord{Kind: spec.JobFailed, Phase: spec.PhaseJob, Retryable: true}}
	case 3:
		return Reported{Preempted: true}
	}
	return Reported{}
}

// end keeps and sends the result of an attempt.
func (w *simWorker) end(s *simulation, ref spec.AttemptRef, r Reported) {
	w.drop(ref)
	r.AttemptRef, r.Worker = ref, w.id
	w.finished = append(w.finished, r)
	w.send(s, r)
}

func (w *simWorker) drop(ref spec.AttemptRef) {
	w.running = slices.DeleteFunc(w.running, func(a simAttempt) bool { return a.ref == ref })
}

func (w *simWorker) send(s *simulation, r Reported) {
	if !w.deaf(s) {
		s.post(func() { s.inbox = append(s.inbox, r) })
	}
}

// pull starts what the doorbell has for the free slots. A start notice may be lost.
func (w *simWorker) pull(s *simulation) {
	for i := 0; i < len(s.bell) && len(w.running) < w.slots; i++ {
		b := s.bell[i]
		if b.class != w.class {
			continue
		}
		s.bell = slices.Delete(s.bell, i, i+1)
		i--
		if s.chance(20) {
			continue // pulled, and never started
		}
		s.claim++
		ref := spec.AttemptRef{Task: b.task, Attempt: b.attempt, Claim: s.claim}
		w.running = append(w.running, simAttempt{ref, s.m.now.Engine + s.duration()})
		w.uplink(s, Heartbeat{Worker: w.id, Boot: w.boot, Running: []spec.Holding{{AttemptRef: ref}}})
	}
}

func (w *simWorker) heartbeat(s *simulation) {
	hb := Heartbeat{
		Worker: w.id, Boot: w.boot, Full: true,
		Slots: []spec.ClassSlots{{Class: w.class, Total: w.slots, Free: w.slots - len(w.running)}},
	}
	for _, a := range w.running {
		hb.Running = append(hb.Running, spec.Holding{AttemptRef: a.ref})
	}
	for _, r := range w.finished {
		hb.Finished = append(hb.Finished, r.AttemptRef)
	}
	w.uplink(s, hb)
}

func (w *simWorker) uplink(s *simulation, hb Heartbeat) {
	s.post(func() { s.inbox = append(s.inbox, hb) })
}

// stop obeys an order: of a superseded attempt nothing is wanted, of a cancelled one its end.
func (w *simWorker) stop(s *simulation, order StopOrder) {
	running := slices.ContainsFunc(w.running, func(a simAttempt) bool { return a.ref == order.AttemptRef })
	if !running || w.deaf(s) {
		return
	}
	if order.Reason == spec.StopSuperseded {
		w.drop(order.AttemptRef)
		return
	}
	w.end(s, order.AttemptRef, Reported{Failure: cancelledFailure("stopped")})
}

func (w *simWorker) receipted(s *simulation, ref spec.AttemptRef) {
	if !w.deaf(s) {
		w.finished = slices.DeleteFunc(w.finished, func(r Reported) bool { return r.AttemptRef == ref })
	}
}

func (w *simWorker) sendAgain(s *simulation, ref spec.AttemptRef) {
	for _, r := range w.finished {
		if r.AttemptRef == ref {
			w.send(s, r)
		}
	}
}
