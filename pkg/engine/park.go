package engine

import (
	"cmp"
	"fmt"

	"autoresearch/pkg/spec"
)

// A task that is the most urgent of its class and whose purse is spent is parked: it is queued still, but takes nobody's
// turn. That is found when the task comes up, so that no step walks a subtree, and is in no record: whoever recovers finds
// it again.

// purseOf returns the purse of a task, new if it is not known.
func (e *Engine) purseOf(root spec.TaskID) *purse {
	if root == "" {
		return &e.run
	}
	p, known := e.purses[root]
	if !known {
		p = &purse{root: root, up: &e.run, level: 1}
		e.purses[root] = p
	}
	return p
}

// purseBelow returns the purse on which the children of a task draw: the run's if there is no task.
func (e *Engine) purseBelow(above known) *purse { return cmp.Or(above.purse(), &e.run) }

// open returns the purse on which a task draws first: its own, where its spec has an allowance, as a part of the one above; else
// that one.
func (e *Engine) open(ts *spec.TaskSpec, above *purse) *purse {
	allowed, err := ts.Allowance()
	if err != nil || allowed.IsZero() {
		return above // what is no allowance was refused when it came
	}
	p := e.purseOf(ts.ID)
	if above == p {
		above = &e.run // which only damage makes
	}
	p.base, p.up, p.level = allowed, above, above.level+1
	p.allowed = e.meta.Allowances[ts.ID].Or(allowed)
	e.touchPurse(p)
	return p
}

// blocking returns the nearest purse, but for the run's, that does not let a task begin, and the limit that is reached; nil
// when there is none.
func (e *Engine) blocking(t *task, now spec.EngineTime) (*purse, spec.Limit) {
	for p := t.purse; p.up != nil; p = p.up {
		if l := p.Reached(p.allowed, !t.begun() && !t.policy.Uncounted, now); l != "" {
			return p, l
		}
	}
	return nil, ""
}

// parkFirst parks the tasks at the head of each class that may not begin.
func (e *Engine) parkFirst(now Now) {
	if len(e.purses) == 0 {
		return
	}
	for _, c := range e.order {
		for c.ready.len() > 0 {
			t := c.ready.first()
			p, _ := e.blocking(t, now.Engine)
			if p == nil {
				break
			}
			e.wake(t)
			c.ready.remove(0)
			e.park(t, p)
		}
	}
}

func (e *Engine) park(t *task, p *purse) {
	t.parkedIn, t.parkedPos = p, int32(len(p.parked))
	p.parked = append(p.parked, t)
	t.policy.class.parked++
	e.parked++
	e.parkedBy = p
}

// unpark takes a task out of its purse's list.
func (e *Engine) unpark(t *task) {
	p := t.parkedIn
	last := len(p.parked) - 1
	moved := p.parked[last]
	p.parked[t.parkedPos], moved.parkedPos = moved, t.parkedPos
	p.parked[last] = nil
	p.parked = p.parked[:last]
	t.parkedIn = nil
	t.policy.class.parked--
	e.parked--
}

// Parked counts, by class, the queued tasks that what they draw on does not let begin; nil when there are none.
func (e *Engine) Parked() map[string]int {
	if e.parked == 0 {
		return nil
	}
	parked := make(map[string]int)
	for _, c := range e.order {
		if c.parked > 0 {
			parked[c.name] = c.parked
		}
	}
	return parked
}

// allParked says why a run goes no further whose tasks are all parked; "" when they are not.
func (e *Engine) allParked(now Now) string {
	if e.parked == 0 || e.parked < e.counts.Live() {
		return ""
	}
	p := e.parkedBy
	if len(p.parked) == 0 {
		return reasonParked
	}
	_, l := e.blocking(p.parked[0], now.Engine)
	return fmt.Sprintf("%s: %s of task %s and what is below it is reached", reasonParked, l, p.root)
}

const reasonParked = "what is left has spent its allowance"

// draw has a task's purses hold or release its lease.
func (e *Engine) draw(t *task) {
	for p := t.purse; p != nil; p = p.up {
		p.hold(t.Lease)
		e.touchPurse(p)
		if p.held++; p.held == 1 && p.up != nil {
			p.heldPos = len(e.spenders)
			e.spenders = append(e.spenders, p)
		}
	}
}

func (e *Engine) undraw(t *task) {
	for p := t.purse; p != nil; p = p.up {
		p.release(t.Lease)
		e.touchPurse(p)
		if p.held--; p.held == 0 && p.up != nil {
			last := len(e.spenders) - 1
			moved := e.spenders[last]
			e.spenders[p.heldPos], moved.heldPos = moved, p.heldPos
			e.spenders[last] = nil
			e.spenders = e.spenders[:last]
		}
	}
}

// touchPurse has a purse that is not the run's looked at when the turn ends.
func (e *Engine) touchPurse(p *purse) {
	if p.up != nil && !p.dirty {
		p.dirty = true
		e.touched = append(e.touched, p)
	}
}

// Purses returns how the purses stand but for the run's, in no particular order. It costs as much as there are: for those who
// begin to look on; what changes is in every Output.
func (e *Engine) Purses() []PurseState {
	states := make([]PurseState, 0, len(e.purses))
	for _, p := range e.purses {
		states = append(states, p.state())
	}
	return states
}

func (p *purse) state() PurseState {
	return PurseState{Root: p.root, Spending: p.Spending, Allowed: p.allowed}
}
