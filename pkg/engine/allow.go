package engine

import (
	"fmt"
	"maps"
	"strings"

	"autoresearch/pkg/spec"
)

// setAllowance changes what may be spent. What was stopped or parked for the old allowance goes on if the new one lets it.
func (e *Engine) setAllowance(now Now, ev SetAllowance) {
	p := &e.run
	if ev.Task != "" {
		if !e.Known(ev.Task) {
			e.replyErr(ev.Ref, fmt.Errorf("task %q: %w", ev.Task, ErrUnknownTask))
			return
		}
		if p = e.purses[ev.Task]; p == nil {
			e.replyErr(ev.Ref, fmt.Errorf("task %q: %w", ev.Task, ErrNoAllowance))
			return
		}
	}
	act := spec.Act{Kind: spec.ActAllow, Task: ev.Task, Subtree: ev.Task != "", What: allowanceText(ev.Allowance)}
	e.control(now, ev.Ref, ev.Asked, act, func() {
		allowances := make(map[spec.TaskID]spec.Allowance) // the old map may be in an Output that is still being written
		maps.Copy(allowances, e.meta.Allowances)
		if allowances[ev.Task] = ev.Allowance; ev.Allowance.IsZero() {
			delete(allowances, ev.Task)
		}
		e.meta.Allowances = allowances
		e.allow(p)
	})
}

// allow puts the allowance of a purse into force.
func (e *Engine) allow(p *purse) {
	p.allowed = e.meta.Allowances[p.root].Or(p.base)
	p.warned = false
	e.touchPurse(p)
	for len(p.parked) > 0 {
		t := p.parked[len(p.parked)-1]
		e.unpark(t)
		e.counts.Queued--
		e.placeInQueue(t)
	}
	if p.up == nil && e.limited {
		e.halted, e.limited = "", false
	}
	e.maybeGoOn()
}

// allowanceText is an allowance in words.
func allowanceText(a spec.Allowance) string {
	var words []string
	for _, l := range spec.LimitsAll {
		if amount := a.Of(l); amount > 0 {
			words = append(words, fmt.Sprintf("%s %.6g", l, l.Units(amount)))
		}
	}
	if len(words) == 0 {
		return "as configured"
	}
	return strings.Join(words, ", ")
}

// haltAt stops dispatching because a limit of the run is reached.
func (e *Engine) haltAt(l spec.Limit) {
	e.limited = e.limited || e.halted == ""
	e.halt(string(l) + " reached")
}
