package engine

import (
	"fmt"
	"maps"
	"math/bits"
	"time"

	"autoresearch/pkg/spec"
)

// PurseState is how a purse stands: what the task Root and all its descendants spend, and what they may.
type PurseState struct {
	Root spec.TaskID
	Spending
	Allowed spec.Allowance
}

// purse is an allowance, and what is spent of it: the run's, or that of a task and all its descendants. A task draws on the
// nearest purse and on all that this one is a part of, which is settled when the task arrives.
type purse struct {
	Spending
	base    spec.Allowance // as the workflow or the spec says
	allowed spec.Allowance // in force
	root    spec.TaskID    // whose it is; "" for the run's
	up      *purse         // that this one is a part of; nil for the run's
	level   int            // how many it is a part of
	warned  bool           // people were warned of what it allows now
	parked  []*task        // queued ones that it does not let begin, in no particular order; the tasks know their place
	held    int            // leases held
	heldPos int            // in Engine.spenders; only while leases are held
	dirty   bool           // in Engine.touched
}

// when returns the engine time at which so much of a limit will be spent, if all leases are held until then and none begins.
func (p *purse) when(l spec.Limit, amount int64) spec.EngineTime {
	switch l {
	case spec.LimitDuration:
		return spec.EngineTime(amount)
	case spec.LimitGPUHours:
		return p.gpus.reaches(0, uint64(max(0, amount-int64(p.settled.GPUTime))))
	case spec.LimitCost:
		return p.fee.reaches(bits.Mul64(uint64(max(0, amount-int64(p.settled.Cost))), uint64(time.Hour)))
	}
	return maxTime
}

// mostSpent returns the limit of which the largest part is spent, if that is enough to warn people.
func (p *purse) mostSpent(now spec.EngineTime) (most spec.Limit) {
	part := 0.0
	for _, l := range spec.LimitsAll {
		allowed, used := p.allowed.Of(l), p.Used(l, now)
		if allowed > 0 && used >= spec.WarnAt(allowed) && float64(used)/float64(allowed) > part {
			most, part = l, float64(used)/float64(allowed)
		}
	}
	return most
}

// checkLimits stops dispatching once as much was spent as may be. That of experiments is kept where they are admitted.
func (e *Engine) checkLimits(now Now) {
	if e.meta.Status != spec.StatusRunning {
		return
	}
	for _, l := range spec.LimitsAll {
		if allowed := e.run.allowed.Of(l); allowed > 0 && l != spec.LimitExperiments && e.run.Used(l, now.Engine) >= allowed {
			e.haltAt(l)
		}
	}
}

// warn leaves an act for each limit of the run of which most is spent now, once for each amount that the limit may have, and
// for each smaller purse, once, when most of the first of its limits is.
func (e *Engine) warn(now Now) {
	if e.meta.Status != spec.StatusRunning {
		return
	}
	for _, l := range spec.LimitsAll {
		allowed, used := e.run.allowed.Of(l), e.run.Used(l, now.Engine)
		if allowed <= 0 || used < spec.WarnAt(allowed) || e.meta.Warned[l] == allowed {
			continue
		}
		warned := make(map[spec.Limit]int64) // the old map may be in an Output that is still being written
		maps.Copy(warned, e.meta.Warned)
		warned[l] = allowed
		e.meta.Warned, e.metaDirty = warned, true
		e.out.Acts = append(e.out.Acts, warning(now, l, used, allowed))
	}
	for _, p := range e.touched {
		e.warnOf(now, p)
	}
	for _, p := range e.spenders {
		e.warnOf(now, p)
	}
}

// warnOf warns of a purse that is not the run's. No record says that it was done: whoever recovers knows it from what was spent
// at the last one.
func (e *Engine) warnOf(now Now, p *purse) {
	l := p.mostSpent(now.Engine)
	if p.warned || l == "" {
		return
	}
	p.warned = true
	act := warning(now, l, p.Used(l, now.Engine), p.allowed.Of(l))
	act.Task, act.Subtree = p.root, true
	e.out.Acts, e.metaDirty = append(e.out.Acts, act), true
}

// warning is the act that says how much of a limit is spent.
func warning(now Now, l spec.Limit, used, allowed int64) spec.Act {
	act := spec.Act{Kind: spec.ActWarn, By: ByEngine, Limit: l, Used: l.Units(used), Value: l.Units(allowed), At: now.Wall}
	act.Reason = fmt.Sprintf("%.0f %% of %s is spent: %.6g of %.6g", 100*act.Used/act.Value, l, act.Used, act.Value)
	return act
}

// ByEngine is who acts where nobody asked.
const ByEngine = "engine"

// spentWhen returns when people are to be warned, or dispatching stops, if the leases go on as they are; maxTime when never.
func (e *Engine) spentWhen() (at spec.EngineTime) {
	at = maxTime
	if e.meta.Status != spec.StatusRunning {
		return at
	}
	for _, l := range spec.LimitsAll {
		allowed := e.run.allowed.Of(l)
		if allowed <= 0 {
			continue
		}
		if e.meta.Warned[l] != allowed {
			at = min(at, e.run.when(l, spec.WarnAt(allowed)))
		}
		if e.halting() == "" {
			at = min(at, e.run.when(l, allowed))
		}
	}
	for _, p := range e.spenders {
		for _, l := range spec.LimitsAll {
			if allowed := p.allowed.Of(l); allowed > 0 && !p.warned {
				at = min(at, p.when(l, spec.WarnAt(allowed)))
			}
		}
	}
	return at
}
