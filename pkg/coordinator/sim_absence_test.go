package coordinator

import (
	"context"
	"time"

	"autoresearch/internal/model"
	"autoresearch/pkg/spec"
)

// simAbsence is a time for which the server is away while all else is well: in some histories a minute, in a few an hour.
// Experiments run on, callers ask in vain. Nothing may pile up, nobody may give up, and no lease may lapse.
type simAbsence struct {
	w      *simulation
	length time.Duration // 0: there is none
	over   bool

	procs    map[*simNode]*model.Proc
	lost     int
	backlogs map[*simNode]int
}

func (w *simulation) drawAbsence() *simAbsence {
	a := &simAbsence{w: w, procs: make(map[*simNode]*model.Proc), backlogs: make(map[*simNode]int)}
	switch n := w.number(300); {
	case n == 0:
		a.length = time.Hour
	case n < 30:
		a.length = time.Minute
	}
	return a
}

// pending reports whether it is still to come.
func (a *simAbsence) pending() bool { return a.length > 0 && !a.over }

// How an absence goes: before it everything that earlier faults have left behind must be over; absenceNoted after its
// beginning everything that it causes at once has happened.
const (
	absenceNoted = 38 * time.Second
	callEvery    = 20 * time.Second
	callPatience = 5 * time.Second
	absenceSlack = 2 // the turn that cannot end may begin after the first count, with what a caller asked in it
)

// plan lets it happen.
func (a *simAbsence) plan() {
	if a.pending() {
		a.w.sched.After(2*a.w.leaseTTL+10*time.Second, a.await)
	}
}

// await gives the run something to do, and takes the server away while an experiment runs.
func (a *simAbsence) await() {
	if t := a.w.leader(); t != nil && a.w.check.meta.Status != spec.StatusInterrupted {
		for _, k := range a.w.workers {
			if k.up && !k.leaving && len(k.attempts) > 0 {
				a.begin()
				return
			}
		}
		a.w.callFor(callPatience)
	}
	a.w.sched.After(time.Second, a.await)
}

func (a *simAbsence) begin() {
	w := a.w
	w.tracef("the server is away for %v", a.length)
	w.check.seen["absences"]++
	for _, n := range w.nodes {
		a.procs[n] = n.p
	}
	a.lost = w.check.losses()
	w.server.Down()
	w.downSince = w.sched.Now()
	for at := callEvery / 2; at < a.length; at += callEvery {
		w.sched.After(at, func() { w.callFor(callPatience) })
	}
	w.sched.After(absenceNoted, a.note)
	w.sched.After(a.length, a.end)
}

func (a *simAbsence) note() {
	for _, n := range a.w.nodes {
		a.backlogs[n] = n.backlog()
	}
}

func (a *simAbsence) end() {
	for _, n := range a.w.nodes {
		if before, now := a.backlogs[n], n.backlog(); now > before+absenceSlack {
			a.w.check.fail("%s: %d things waited %v after the server went away, %d after %v", n.name, before, absenceNoted, now, a.length)
		}
	}
	a.w.serverUp()
	a.w.quietSince, a.over = a.w.sched.Now(), true
}

// judge looks, when the run is over, what the absence has cost.
func (a *simAbsence) judge() {
	if a.length == 0 {
		return
	}
	for n, p := range a.procs {
		if n.p != p {
			a.w.check.fail("%s did not outlast the absence of the server", n.name)
		}
	}
	// A lease that is shorter than what passes before an outage is noticed has no claim to outlast it.
	if lost := a.w.check.losses(); lost != a.lost && a.w.leaseTTL > deafAfter+2*a.w.beat {
		a.w.check.fail("%d leases lapsed because the server was away", lost-a.lost)
	}
}

// losses counts the leases that lapsed, as tasks remember them.
func (c *checker) losses() (n int) {
	for _, t := range c.tasks {
		n += int(t.Lost)
	}
	return n
}

// callFor lets somebody submit tasks who waits so long for the answer and then goes away.
func (w *simulation) callFor(d time.Duration) {
	for _, n := range w.nodes {
		if n.leads() == nil || !n.p.Alive() {
			continue
		}
		c, p := n.c, n.p
		p.Go(func() {
			ctx, cancel := p.Within(context.Background(), d)
			defer cancel()
			w.submit(ctx, c)
		})
		return
	}
}

// backlog counts what waits in a process: goroutines, and the entries of every queue. What the mirror lacks is at most one
// entry a task, and in flight now and then.
func (n *simNode) backlog() int {
	count := n.p.Goroutines()
	t := n.leads()
	if t == nil {
		return count
	}
	l := t.leader
	return count + len(t.inbox.items) + len(l.refs) + len(l.courier.waiting) + len(l.sweeper.waiting) + len(l.rejects.waiting) +
		len(l.hooks.calls) + t.events.size
}
