package verify

import (
	"slices"

	"autoresearch/pkg/spec"
)

// withdraw takes a task out of what is counted by its state; place puts it in again. A task that draws on an allowance may wait
// for that, so nobody has to wait for it.
func (f *Fold) withdraw(t *task) { f.countLease(t, -1) }

func (f *Fold) place(t *task) {
	f.countLease(t, 1)
	if t.state == spec.StateQueued && f.meta.Rules != nil && !t.limited {
		f.queue(f.meta.Rules.Of(t.kind).Class).push(t)
	}
}

// countLease counts the lease that a task has, if it has one. Those of uncounted kinds are outside of the budget.
func (f *Fold) countLease(t *task, by int) {
	if !t.state.Leased() {
		return
	}
	f.byClass[t.lease.class] += by
	if f.meta.Rules == nil || !f.meta.Rules.Of(t.kind).Uncounted {
		f.leases += by
	}
}

// regroup counts and queues every task again, by other rules.
func (f *Fold) regroup() {
	f.leases = 0
	clear(f.byClass)
	clear(f.ready)
	for _, t := range f.tasks {
		f.place(t)
	}
}

func (f *Fold) queue(class string) *ready {
	q, ok := f.ready[class]
	if !ok {
		q = &ready{}
		f.ready[class] = q
	}
	return q
}

// dispatches holds, at each record that dispatches: the run was to, the budget was kept, and nothing more urgent waited.
func (c *commit) dispatches() {
	f := c.fold
	if len(c.dispatched) == 0 {
		return
	}
	if m := &f.meta; m.Status != spec.StatusRunning || m.Paused || m.Drained || !m.Loaded {
		f.violate(c.at(Budget, c.dispatched[0]), "it was dispatched while the run was %s, loaded %v, paused %v, drained %v",
			m.Status, m.Loaded, m.Paused, m.Drained)
	}
	if f.meta.Rules == nil {
		return // said once, at the end
	}
	c.budget()
	last := make(map[string]*task) // the least urgent that was dispatched, by class
	for _, t := range c.dispatched {
		class := t.lease.class
		if slices.Contains(f.meta.PausedClasses, class) {
			f.violate(c.at(Budget, t), "it was dispatched to class %q, which was paused", class)
		}
		if last[class] == nil || before(last[class], t) {
			last[class] = t
		}
	}
	for class, t := range last {
		if waiting := f.queue(class).top(c.time); waiting != nil && before(waiting, t) {
			f.violate(c.at(InOrder, t), "it was dispatched (priority %v, arrival %d) while %q of its class waited (priority %v, arrival %d)",
				t.priority, t.arrival, waiting.id, waiting.priority, waiting.arrival)
		}
	}
}

// budget holds the caps on leases. A holder that came back may exceed them; then nothing is dispatched.
func (c *commit) budget() {
	f := c.fold
	limit := f.meta.Budget
	if limit == 0 {
		limit = f.meta.Rules.Budget
	}
	counted := func(t *task) bool { return !f.meta.Rules.Of(t.kind).Uncounted }
	if i := slices.IndexFunc(c.dispatched, counted); i >= 0 && f.leases > limit {
		f.violate(c.at(Budget, c.dispatched[i]), "it was dispatched, and then %d leases were held; the budget is %d", f.leases, limit)
	}
	for _, t := range c.dispatched {
		if limit := f.meta.ClassBudgets[t.lease.class]; limit > 0 && f.byClass[t.lease.class] > limit {
			f.violate(c.at(Budget, t), "it was dispatched to class %q, and then %d leases of it were held; its budget is %d",
				t.lease.class, f.byClass[t.lease.class], limit)
			return
		}
	}
}
