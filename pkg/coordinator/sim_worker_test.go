package coordinator

import (
	"fmt"
	"strings"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// simWorker is a model of package worker: slots, claims, a spool that survives crashes, boots, the heartbeat exchange. It
// keeps that package's contract and none of its code.
type simWorker struct {
	w       *simulation
	id      spec.WorkerID
	classes []spec.ClassSlots // Total of each
	batches bool              // it takes several tasks at once

	boot     uint64
	life     int // raised by a crash: what the former process had planned is void
	up       bool
	paused   bool
	cut      bool
	leaving  bool
	epoch    uint64
	pulled   map[string]int // on their way from the doorbell, by class
	attempts []*simAttempt
	spool    []*simResult // on disk
	held     []func()     // what came due while it was paused
}

// simAttempt is an attempt that this process runs, until its result was sent for the first time.
type simAttempt struct {
	ref    spec.AttemptRef
	class  string
	task   spec.TaskSpec
	busy   bool // takes a slot
	stop   string
	result *simResult
}

// gpus is how many the attempt has to itself.
func (a *simAttempt) gpus() int {
	if a.class == "gpu" {
		return int(a.ref.Claim % 3)
	}
	return 0
}

// simResult is a result on disk.
type simResult struct {
	ref    spec.AttemptRef
	report bus.Report
	large  []byte // the body, where it goes through the object store
	sent   bool   // a publish was tried: it is listed as finished
	gone   bool   // receipted
}

func (k *simWorker) start() {
	k.boot++
	k.up, k.paused, k.leaving, k.epoch = true, false, false, 0
	k.pulled = make(map[string]int)
	k.w.tracef("%s starts, boot %d, %d results on disk", k.id, k.boot, len(k.spool))
	for _, r := range k.spool {
		r.sent = true
		k.publish(r)
	}
	k.heartbeat()
	for _, c := range k.classes {
		k.poll(c.Class)
	}
}

// after plans what this process does; a pause holds it up, a crash voids it.
func (k *simWorker) after(d time.Duration, do func()) {
	life := k.life
	k.w.sched.After(d, func() {
		switch {
		case life != k.life:
		case k.paused:
			k.held = append(k.held, func() {
				if life == k.life {
					do()
				}
			})
		default:
			do()
		}
	})
}

func (k *simWorker) crash() {
	if !k.up {
		return
	}
	k.w.tracef("%s dies", k.id)
	k.life++
	k.up, k.attempts, k.held = false, nil, nil
	for _, r := range k.spool {
		r.gone = false
	}
	k.w.sched.After(k.w.upTo(6*time.Second), k.start)
}

func (k *simWorker) pause() {
	if !k.up || k.paused {
		return
	}
	k.paused = true
	d := k.w.upTo(2 * k.w.leaseTTL)
	k.w.tracef("%s is paused for %v", k.id, d)
	life := k.life
	k.w.sched.After(d, func() {
		if life == k.life {
			k.resume()
		}
	})
}

func (k *simWorker) resume() {
	k.paused = false
	held := k.held
	k.held = nil
	for _, do := range held {
		do()
	}
}

// drain gives up what runs and leaves; another process starts later.
func (k *simWorker) drain() {
	if !k.up || k.leaving {
		return
	}
	k.w.tracef("%s drains", k.id)
	k.leaving = true
	for _, a := range k.attempts {
		k.stop(a, spec.CausePreempted)
	}
	k.heartbeat()
	life := k.life
	k.w.sched.After(2*time.Second+k.w.upTo(3*time.Second), func() {
		if life == k.life {
			k.crash() // what is on disk stays there
		}
	})
}

// reaches reports whether the worker can speak to the server.
func (k *simWorker) reaches() bool { return k.up && !k.cut && !k.w.server.IsDown() }

// crashPoint is one of the places at which a worker dies, now and then.
func (k *simWorker) crashPoint() (dead bool) {
	if k.w.chance(k.w.plan.workerCrash) {
		k.crash()
		return true
	}
	return false
}

func (k *simWorker) busy(class string) (n int) {
	for _, a := range k.attempts {
		if a.class == class && a.busy {
			n++
		}
	}
	return n + k.pulled[class]
}

func (k *simWorker) slots(class string) int {
	for _, c := range k.classes {
		if c.Class == class {
			return c.Total
		}
	}
	return 0
}

// poll pulls now and then, whatever rings.
func (k *simWorker) poll(class string) {
	k.pull(class)
	k.after(time.Second+k.w.upTo(time.Second), func() { k.poll(class) })
}

func (k *simWorker) pull(class string) {
	free := k.slots(class) - k.busy(class)
	if free <= 0 || k.leaving || k.paused || !k.reaches() {
		return
	}
	dispatches, err := k.w.server.Pull(class, k.w.chance(k.w.plan.twice))
	if err != nil || len(dispatches) == 0 {
		return // the leader makes the doorbell, or it will ring
	}
	for _, d := range dispatches {
		k.pulled[class]++
		k.after(k.w.latency(), func() {
			k.pulled[class]--
			if !k.crashPoint() {
				k.begin(d)
			}
		})
	}
	k.after(k.w.latency(), func() { k.pull(class) })
}

// begin claims a dispatch and runs it.
func (k *simWorker) begin(d *bus.Dispatch) {
	for _, a := range k.attempts {
		if a.ref.Task == d.Task.ID && a.ref.Attempt == d.Attempt {
			return
		}
	}
	for _, r := range k.spool {
		if r.ref.Task == d.Task.ID && r.ref.Attempt == d.Attempt {
			return
		}
	}
	ref := spec.AttemptRef{Run: d.Run, Task: d.Task.ID, Attempt: d.Attempt, Claim: k.w.newClaim()}
	a := &simAttempt{ref: ref, class: d.Class, task: d.Task, busy: true}
	k.attempts = append(k.attempts, a)
	k.w.check.began(ref)
	k.w.tracef("%s begins %s", k.id, refName(ref))
	k.after(k.w.upTo(5*time.Millisecond), func() { k.notice(a) })
	k.fetch(a)
	switch {
	case k.busy(a.class) > k.slots(a.class):
		k.stop(a, spec.CauseDeclined)
	case k.leaving:
		k.stop(a, spec.CausePreempted)
	}
}

// execute runs an attempt that has its payload.
func (k *simWorker) execute(a *simAttempt) {
	k.after(k.w.duration(), func() { k.end(a, k.w.verdict(a.task)) })
}

// notice announces what has just started.
func (k *simWorker) notice(a *simAttempt) {
	if a.result == nil && !k.crashPoint() {
		k.say(bus.Uplink{Running: []bus.Holding{{AttemptRef: a.ref, GPUs: a.gpus()}}})
	}
}

// stop ends an attempt from outside, a little later.
func (k *simWorker) stop(a *simAttempt, cause string) {
	if a.stop != "" || a.result != nil {
		return
	}
	a.stop = cause
	k.after(k.w.upTo(300*time.Millisecond), func() {
		failure := &spec.FailureRecord{
			Kind: spec.Interrupted, Phase: spec.PhaseRunner, Message: cause, Details: map[string]any{"cause": cause},
		}
		k.end(a, failure)
	})
}

// end files the outcome of an attempt, the first time it is called.
func (k *simWorker) end(a *simAttempt, failure *spec.FailureRecord) {
	if a.result != nil || !k.holds(a) {
		return
	}
	if a.stop == engineSuperseded && failure != nil {
		k.drop(a)
		return
	}
	handedBack := a.stop == spec.CausePreempted || a.stop == spec.CauseDeclined
	preempted := handedBack && failure != nil && failure.Cause() == a.stop
	body, err := bus.EncodeResult(spec.TaskResult{
		Attempt: a.ref.Attempt, Worker: k.id, Failure: failure, Metrics: map[string]float64{"claim": float64(a.ref.Claim % 1000)},
		Output: k.w.output(failure),
	})
	if err != nil {
		panic(err)
	}
	if k.w.chance(k.w.plan.rubbish) {
		k.w.check.rubbish[a.ref.Claim], body = true, []byte("rubbish")
	}
	a.result = &simResult{ref: a.ref, report: bus.Report{AttemptRef: a.ref, Failure: failure, Preempted: preempted, Cost: spec.Cost(a.ref.Claim % 3), Body: body}}
	if len(body) > simInlineMax {
		a.result.large, a.result.report.Body, a.result.report.Stored = body, nil, spec.BlobOf(body)
	}
	k.w.check.produced(k.id, &a.result.report)
	if k.crashPoint() {
		return
	}
	k.after(k.w.latency(), func() { k.store(a) })
}

const engineSuperseded = "superseded"

func (k *simWorker) holds(a *simAttempt) bool {
	for _, other := range k.attempts {
		if other == a {
			return true
		}
	}
	return false
}

func (k *simWorker) drop(a *simAttempt) {
	for i := range k.attempts {
		if k.attempts[i] == a {
			k.attempts = append(k.attempts[:i:i], k.attempts[i+1:]...)
			break
		}
	}
	k.pull(a.class)
}

// store puts the result on disk, which frees the slot.
func (k *simWorker) store(a *simAttempt) {
	a.busy = false
	if a.result.gone { // receipted while it was being written
		k.drop(a)
		return
	}
	k.spool = append(k.spool, a.result)
	k.w.tracef("%s has %s on disk", k.id, refName(a.ref))
	if k.crashPoint() {
		return
	}
	k.publish(a.result)
	k.pull(a.class)
}

// publish sends a result until the server says that it has it.
func (k *simWorker) publish(r *simResult) {
	k.after(k.w.latency(), func() {
		if r.gone {
			return
		}
		err := k.upload(r)
		if k.crashPoint() {
			return
		}
		switch {
		case err != nil:
		case !k.reaches() || k.w.chance(k.w.plan.lost):
			err = errSilence
		case k.w.chance(k.w.plan.garbled):
			err = k.garble(r)
		default:
			err = k.w.server.PublishResult(simRun, &bus.ResultMessage{
				Version: bus.MessageVersion, Worker: k.id, Boot: k.boot, Reports: []bus.Report{r.report},
			})
		}
		if err == nil && k.w.chance(k.w.plan.unheard) {
			err = errSilence
		}
		if k.crashPoint() {
			return
		}
		k.tried(r)
		if err != nil {
			k.after(100*time.Millisecond+k.w.upTo(2*time.Second), func() { k.publish(r) })
		}
	})
}

// tried lists the result as finished.
func (k *simWorker) tried(r *simResult) {
	r.sent = true
	for _, a := range k.attempts {
		if a.result == r {
			k.drop(a)
			return
		}
	}
}

// heartbeat says all, and again a little later.
func (k *simWorker) heartbeat() {
	k.sayAll()
	life := k.life
	k.after(k.w.beat/2+k.w.upTo(k.w.beat), func() {
		if life == k.life {
			k.heartbeat()
		}
	})
}

func (k *simWorker) sayAll() {
	u := bus.Uplink{Full: true, Leaving: k.leaving, Batches: k.batches, GPUs: k.gpus()}
	for _, c := range k.classes {
		free := max(0, c.Total-k.busy(c.Class))
		if k.leaving {
			free = 0
		}
		u.Slots = append(u.Slots, bus.ClassSlots{Class: c.Class, Total: c.Total, Free: free})
	}
	for _, a := range k.attempts {
		u.Running = append(u.Running, bus.Holding{AttemptRef: a.ref, GPUs: a.gpus()})
	}
	for _, r := range k.spool {
		if r.sent {
			u.Finished = append(u.Finished, r.ref)
		}
	}
	k.say(u)
}

// gpus are those of the worker in some histories: two that come and go, without an order. Of which nothing is drawn, so that
// the other histories stay as they are.
func (k *simWorker) gpus() (list []spec.GPUStatus) {
	if k.w.seed%16 != 12 || k.w.smallRecords() {
		return nil
	}
	states := []string{spec.GPUFree, spec.GPUQuarantined, spec.GPUChecking, spec.GPUQuarantined, spec.GPUBusy}
	for i, uuid := range []string{"GPU-1", "GPU-2"} {
		turn := int(k.w.sched.Now().Unix()/3) + 2*i + len(k.attempts)
		list = append(list, spec.GPUStatus{UUID: uuid, Class: spec.ClassDefault, State: states[turn%len(states)], Reason: "sick"})
	}
	return list
}

func (k *simWorker) say(u bus.Uplink) {
	u.Version, u.Worker, u.Boot = bus.MessageVersion, k.id, k.boot
	data, err := bus.EncodeUplink(&u)
	if err != nil {
		panic(err)
	}
	if !k.reaches() || k.w.chance(k.w.plan.lost) {
		return
	}
	k.w.network(func() {
		if err := k.w.server.SendUplink(data); err != nil {
			panic(err)
		}
	})
}

// hear takes an answer off the network.
func (k *simWorker) hear(a bus.Answer) {
	if !k.reaches() || k.w.chance(k.w.plan.lost) {
		return
	}
	k.after(k.w.latency(), func() { k.obey(a) })
}

func (k *simWorker) obey(a bus.Answer) {
	if a.Epoch < k.epoch {
		return
	}
	k.epoch = a.Epoch
	if a.Hello {
		k.sayAll()
	}
	for _, order := range a.Stop {
		for _, t := range k.attempts {
			if t.ref == order.AttemptRef {
				k.w.tracef("%s stops %s: %s", k.id, refName(t.ref), order.Reason)
				k.stop(t, order.Reason)
			}
		}
	}
	for _, ref := range a.Receipt {
		k.receipted(ref)
	}
	for _, ref := range a.SendAgain {
		for _, r := range k.spool {
			if r.ref == ref {
				k.publish(r)
			}
		}
	}
}

func (k *simWorker) receipted(ref spec.AttemptRef) {
	for i, r := range k.spool {
		if r.ref == ref {
			r.gone = true
			k.spool = append(k.spool[:i:i], k.spool[i+1:]...)
			k.tried(r)
			return
		}
	}
	for _, a := range k.attempts {
		if a.ref == ref && a.result != nil {
			a.result.gone = true
		}
	}
}

// idle reports whether the worker holds nothing.
func (k *simWorker) idle() bool { return len(k.attempts) == 0 && len(k.spool) == 0 }

func refName(r spec.AttemptRef) string { return fmt.Sprintf("%s/%d#%d", r.Task, r.Attempt, r.Claim) }

func refs(list []spec.AttemptRef) string {
	var names []string
	for _, r := range list {
		names = append(names, refName(r))
	}
	return strings.Join(names, ",")
}
