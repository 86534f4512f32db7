package engine

import (
	"cmp"
	"maps"
	"slices"

	"autoresearch/pkg/spec"
)

// Restore begins the recovery of a run from the fold of its journal: call it once on a new engine with the run-level
// state and about how many tasks there are, then Load for every task in any order, then Recover.
func (e *Engine) Restore(meta spec.Meta, tasks int) {
	e.meta = meta
	*e.tasks = *newRoll(tasks)
	e.meta.NextSeq = max(1, meta.NextSeq)
	e.meta.NextOrder = max(1, meta.NextOrder)
	e.status = meta.Status
	e.run.allowed = meta.Allowances[""].Or(e.run.base)
}

// Load takes one task of the fold, best in order of arrival, which must not change any more; the engine does not change it either. Of a finished one
// it keeps only what it needs.
func (e *Engine) Load(stored *spec.Task) {
	number := e.tasks.add(stored.Spec.ID)
	e.tasks.adopt(stored.Parent, number)
	policy, p := e.policyOf(stored.Spec.Kind), e.open(&stored.Spec, e.purseOf(stored.Purse))
	if stored.Attempt > 0 && !policy.Uncounted {
		p.Experiments++
	}
	p.settled = p.settled.Plus(stored.Spent)
	e.meta.NextSeq = max(e.meta.NextSeq, stored.Seq+1)
	if stored.Outcome != nil {
		e.meta.NextOrder = max(e.meta.NextOrder, stored.Outcome.Order+1)
	}
	if stored.State.Terminal() {
		e.countDone(stored)
		*e.tasks.at(number) = known{done: doneOf(stored, policy, e.depthBelow(stored.Parent), p)}
		return
	}
	t := &task{
		Task: stored, handed: true, policy: policy, purse: p, number: number, timerPos: -1, depth: e.depthBelow(stored.Parent),
	}
	if t.begun() {
		t.setOut()
	}
	e.tasks.at(number).live = t
	e.loading = append(e.loading, t)
}

// depthBelow returns how deep a child of parent stands; 0 if that was not loaded yet, to be measured in the end.
func (e *Engine) depthBelow(parent spec.TaskID) int32 {
	if parent == "" {
		return 1
	}
	if above := e.tasks.of(parent).depth(); above > 0 {
		return above + 1
	}
	e.unmeasured = true
	return 0
}

// Recover ends the recovery: leases last anew from now, since nobody could extend them while nobody led; outcomes that
// wait for their hook are handed out again; dispatched tasks will be published again unless a claim comes first.
func (e *Engine) Recover(now Now) {
	live := bySeq(e.loading)
	e.loading = nil
	if e.unmeasured {
		e.measure()
	}
	smaller := e.addUp()
	e.handOut(now, live)
	for _, t := range live {
		e.resume(now, t)
	}
	for _, p := range smaller {
		p.warned = p.mostSpent(now.Engine) != "" // it was noticed when it was: the last record is of now
	}
	for _, q := range e.meta.Quarantined {
		e.worker(q.Worker, 0, now) // to be forgotten with it, should it not be heard
	}
}

// addUp adds to each purse what those spent that are a part of it, of which each is a level lower, and returns all but the
// run's.
func (e *Engine) addUp() []*purse {
	smaller := slices.Collect(maps.Values(e.purses))
	for _, p := range smaller {
		p.level = 0
		for up := p; up.up != nil; up = up.up {
			if p.level++; p.level > len(smaller) { // a circle, which only damage makes
				p.up, p.level = &e.run, 1
				break
			}
		}
	}
	slices.SortFunc(smaller, func(a, b *purse) int { return cmp.Or(cmp.Compare(b.level, a.level), cmp.Compare(a.root, b.root)) })
	for _, p := range smaller {
		p.up.settled = p.up.settled.Plus(p.settled)
		p.up.Experiments += p.Experiments
	}
	return smaller
}

// measure finds how deep those tasks stand that were loaded before their parents.
func (e *Engine) measure() {
	for _, last := range e.tasks.orphans {
		e.measureBelow(0, slices.Collect(e.tasks.circle(last)))
	}
	all := int32(e.tasks.len())
	for number := range all {
		if depth := e.tasks.at(number).depth(); depth > 0 {
			e.measureBelow(depth, slices.Collect(e.tasks.kids(number)))
		}
	}
	for number := range all {
		if e.tasks.at(number).depth() == 0 { // in a circle, which only damage makes, or below one
			e.measureBelow(0, []int32{number})
		}
	}
}

// measureBelow gives kids that were not measured their depth below a task, and theirs.
func (e *Engine) measureBelow(above int32, kids []int32) {
	for ; len(kids) > 0; above++ {
		var next []int32
		for _, kid := range kids {
			if k := e.tasks.at(kid); k.depth() == 0 {
				k.setDepth(above + 1)
				next = slices.AppendSeq(next, e.tasks.kids(kid))
			}
		}
		kids = next
	}
}

// handOut gives the outcomes that wait to their hooks, in order.
func (e *Engine) handOut(now Now, live []*task) {
	waiting := slices.DeleteFunc(slices.Clone(live), func(t *task) bool { return t.State != spec.StateReported })
	slices.SortFunc(waiting, func(a, b *task) int { return cmp.Compare(a.Outcome.Order, b.Outcome.Order) })
	for _, t := range waiting {
		e.place(now, t)
		if e.cfg.Hooks {
			e.out.Hooks = append(e.out.Hooks, t.hand())
		} else {
			e.apply(now, t, nil)
		}
	}
}

// resume puts a task without an outcome into the indices.
func (e *Engine) resume(now Now, t *task) {
	switch {
	case t.State == spec.StateReported || t.State.Terminal():
		return // handed out
	case t.policy.class == nil:
		e.unring(t, 0)
		t.edit().State = 0 // in no index
		e.conclude(now, t, verdict{failure: unknownKind(t.Spec.Kind)})
		return
	case t.State.Leased():
		t.extend(now.Engine + e.cfg.LeaseTTL)
		t.rangAt, t.repeated = now.Engine, true
	}
	if t.NotBefore != 0 && t.NotBefore <= now.Engine {
		t.edit().NotBefore = 0
	}
	e.place(now, t)
}
