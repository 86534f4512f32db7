package coordinator

import (
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// take notes how purses stand. The lock is held, or nobody else looks yet.
func (g *ledger) take(purses []engine.PurseState) {
	for _, p := range purses {
		g.purses[p.Root] = p
	}
}

// Allowance returns what the run may spend.
func (v *View) Allowance() spec.Allowance { return v.t.allowance() }

func (t *term) allowance() spec.Allowance {
	return t.ledger.meta().Allowances[""].Or(t.cfg.Limits.Allowance())
}

// Purse returns what a task with an allowance and all its descendants spend and may spend; ok is false for a task without one.
func (v *View) Purse(id spec.TaskID) (p engine.PurseState, ok bool) {
	g := v.t.ledger
	g.mu.RLock()
	defer g.mu.RUnlock()
	p, ok = g.purses[id]
	return p, ok
}

// Blocking returns the task whose allowance does not let a task begin, and the limit of it that is reached.
func (v *View) Blocking(t *spec.Task) (root spec.TaskID, l spec.Limit, blocked bool) {
	first, now := t.Attempt == 0 && v.Counted(t.Spec.Kind), v.Now()
	for id := t.Spec.ID; id != ""; {
		if p, ok := v.Purse(id); ok {
			if l := p.Reached(p.Allowed, first, now); l != "" {
				return id, l, true
			}
		}
		row, known := v.Task(id)
		if !known {
			break
		}
		id = row.Task.Purse
	}
	return "", "", false
}
