package engine

import (
	"math"
	"slices"

	"autoresearch/pkg/spec"
)

// class is a pool of equal slots and the queue of tasks that are ready for it.
type class struct {
	name      string
	number    uint16 // its place in Engine.order, from 1; 0 when it has a higher one
	ready     readyQueue
	leases    int // dispatched and running tasks of the class
	away      int // those of them whose workers offer no slots: leaving, silent, or not heard since the recovery
	unclaimed int // the dispatched ones
	parked    int // queued tasks that are not ready, because a purse does not let them begin
	slots     int // what workers offer this run: the slots of its attempts that they hold (a base's: in any of its classes), and free ones
	total     int // all that workers offer any run
	share     int // how many of them are this run's
	paused    bool
	budget    int // cap on leases; 0: none

	// base is the class whose slots this one uses on workers with the labels that it requires (spec.ClassRequiring); nil for a
	// class of its own. requiring are those that use this one's.
	base      *class
	requiring []*class
}

// held is how many leases of the run use the class's slots: its own, and those of the classes that require labels of it.
func (c *class) held() int {
	n := c.leases
	for _, r := range c.requiring {
		n += r.held()
	}
	return n
}

// taken is how many slots the attempts of held take, of workers that offer any.
func (c *class) taken() int {
	n := c.leases - c.away
	for _, r := range c.requiring {
		n += r.taken()
	}
	return n
}

// room is how many more tasks may be dispatched to the class; it may be negative. What requires labels takes room from its
// base, too.
func (c *class) room() int {
	if c.paused {
		return 0
	}
	room := min(c.slots, c.share) - c.taken()
	if c.budget > 0 {
		room = min(room, c.budget-c.held())
	}
	if c.base != nil {
		room = min(room, c.base.room())
	}
	return room
}

// waiting is how many ready tasks the pauses and budgets of classes would let into the class's slots: of kinds that count
// against the run's budget, and of those that do not.
func (c *class) waiting() (counted, uncounted int) {
	if c.paused {
		return 0, 0
	}
	if n := c.ready.len(); n > 0 && c.ready.first().policy.Uncounted {
		uncounted = n
	} else {
		counted = n
	}
	for _, r := range c.requiring {
		rc, ru := r.waiting()
		counted, uncounted = counted+rc, uncounted+ru
	}
	if c.budget > 0 {
		left := max(0, c.budget-c.held())
		counted = min(counted, left)
		uncounted = min(uncounted, left-counted)
	}
	return counted, uncounted
}

// class returns the named class, new if it is the first time.
func (e *Engine) class(name string) *class {
	c, ok := e.classes[name]
	if !ok {
		c = &class{name: name, share: math.MaxInt, budget: e.meta.ClassBudgets[name], paused: slices.Contains(e.meta.PausedClasses, name)}
		c.ready = newReadyQueue(e.tasks)
		e.classes[name] = c
		e.order = append(e.order, c)
		if len(e.order) <= math.MaxUint16 {
			c.number = uint16(len(e.order))
		}
		e.sharesDue = len(e.others) > 0
		if base := spec.BaseClass(name); base != name {
			c.base = e.class(base)
			c.base.requiring = append(c.base.requiring, c)
		}
	}
	return c
}

// policyOf returns the shared policy of a kind; kinds that are not listed share one.
func (e *Engine) policyOf(kind string) *policy {
	if _, listed := e.cfg.Kinds[kind]; !listed {
		kind = spec.KindDefault
	}
	p, ok := e.policies[kind]
	if !ok {
		p = &policy{}
		var runnable bool
		if p.KindPolicy, runnable = e.cfg.policy(kind); runnable {
			p.class = e.class(p.Class)
		}
		e.policies[kind] = p
	}
	return p
}

// budget is the cap on leases in force.
func (e *Engine) budget() int {
	if e.meta.Budget > 0 {
		return e.meta.Budget
	}
	return e.cfg.Budget
}

// fill dispatches the most urgent ready tasks while the budget, the classes' slots and the limits allow it.
func (e *Engine) fill(now Now) {
	e.checkLimits(now)
	for e.mayDispatch() {
		e.parkFirst(now)
		c := e.mostUrgent()
		if c == nil {
			return
		}
		t := c.ready.first()
		if !e.admit(t) {
			return
		}
		e.dispatch(now, t)
	}
}

func (e *Engine) mayDispatch() bool {
	return e.halting() == "" && !e.meta.Paused && e.meta.Status == spec.StatusRunning && e.meta.Loaded &&
		e.counts.Reported < e.cfg.MaxReported
}

// spent reports whether the budget is used up. Leases of uncounted kinds are outside of it: a proposer's thinking takes
// no experiment's place, and only the slots of its class bound it.
func (e *Engine) spent() bool { return e.counts.Leases()-e.counts.Planning >= e.budget() }

// mostUrgent returns the class whose first task is the most urgent of those that have room; nil if none has.
func (e *Engine) mostUrgent() *class {
	var best *class
	spent := e.spent()
	for _, c := range e.order {
		if c.ready.len() == 0 || c.room() <= 0 || spent && !c.ready.first().policy.Uncounted {
			continue
		}
		if best == nil || before(c.ready.top(), best.ready.top()) {
			best = c
		}
	}
	return best
}

// admit counts a task's first dispatch against the limit on experiments; false halts the run's dispatching.
func (e *Engine) admit(t *task) bool {
	if t.begun() || t.policy.Uncounted {
		return true
	}
	if limit := e.run.allowed.Experiments; limit > 0 && e.run.Experiments >= limit {
		e.haltAt(spec.LimitExperiments)
		return false
	}
	for p := t.purse; p != nil; p = p.up {
		p.Experiments++
		e.touchPurse(p)
	}
	return true
}

func (e *Engine) dispatch(now Now, t *task) {
	e.wake(t)
	t.setOut()
	e.leave(now, t)
	t.dispatch(now, e.cfg.LeaseTTL, e.toAvoid(t))
	e.tasks.note(t)
	e.enter(now, t)
	e.out.Publish = append(e.out.Publish, t.hand())
}

// leave takes a task out of every index that its state put it in; enter puts it into those of its new state and notes
// the change. Only between the two does its state change. A lease that ends is settled.
func (e *Engine) leave(now Now, t *task) {
	switch t.State {
	case spec.StateQueued:
		switch {
		case e.tasks.place(t) >= 0:
			e.counts.Queued--
			t.policy.class.ready.remove(e.tasks.place(t))
		case t.parkedIn != nil:
			e.counts.Queued--
			e.unpark(t)
		default:
			e.counts.Delayed--
		}
	case spec.StateDispatched:
		e.counts.Dispatched--
		e.class(t.Lease.Class).unclaimed--
		e.countLease(t, -1)
	case spec.StateRunning:
		e.counts.Running--
		e.countLease(t, -1)
		e.unhold(t)
		e.settle(now, t)
	case spec.StateReported:
		e.counts.Reported--
	}
	e.disarm(t)
}

func (e *Engine) enter(now Now, t *task) {
	e.place(now, t)
	e.touch(t)
}

// place puts a task into the indices of its state.
func (e *Engine) place(now Now, t *task) {
	switch t.State {
	case spec.StateQueued:
		e.placeInQueue(t)
	case spec.StateDispatched:
		e.counts.Dispatched++
		e.class(t.Lease.Class).unclaimed++
		e.countLease(t, 1)
		e.arm(t, min(t.Lease.Until, t.rangAt+e.cfg.Overdue))
	case spec.StateRunning:
		e.counts.Running++
		e.countLease(t, 1)
		e.hold(t, now)
		e.draw(t)
		e.arm(t, t.Lease.Until)
	case spec.StateReported:
		e.counts.Reported++
	}
}

// settle writes down what a lease that ends has spent.
func (e *Engine) settle(now Now, t *task) {
	spent := t.Lease.Spent(now.Engine)
	e.undraw(t)
	e.spend(t, spent)
}

// charge writes down what a result that counts says it has cost.
func (e *Engine) charge(t *task, cost spec.Cost) { e.spend(t, spec.Spent{Cost: cost, Reported: cost}) }

func (e *Engine) spend(t *task, spent spec.Spent) {
	r := t.edit()
	r.Spent = r.Spent.Plus(spent)
	for p := t.purse; p != nil; p = p.up {
		p.settled = p.settled.Plus(spent)
		e.touchPurse(p)
	}
}

// countLease counts a lease that a task takes (1) or gives up (-1).
func (e *Engine) countLease(t *task, by int) {
	e.class(t.Lease.Class).leases += by
	e.sharesDue = e.sharesDue || len(e.others) > 0
	if t.policy.Uncounted {
		e.counts.Planning += by
	}
}

func (e *Engine) placeInQueue(t *task) {
	if t.NotBefore > 0 {
		e.counts.Delayed++
		e.arm(t, t.NotBefore)
		return
	}
	e.counts.Queued++
	t.policy.class.ready.add(t)
}
