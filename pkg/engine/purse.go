package engine

import (
	"fmt"
	"maps"
	"math/bits"
	"time"

	"autoresearch/pkg/spec"
)

// purse is an allowance, and what is spent of it.
type purse struct {
	Spending
	allowed spec.Allowance
}

// used returns how much of a limit is spent, in the measure of Allowance.Of.
func (p *purse) used(l spec.Limit, now spec.EngineTime) int64 {
	switch l {
	case spec.LimitExperiments:
		return int64(p.Experiments)
	case spec.LimitDuration:
		return int64(now)
	case spec.LimitGPUHours:
		return int64(p.By(now).GPUTime)
	case spec.LimitCost:
		return int64(p.By(now).Cost)
	}
	return 0
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

// checkLimits stops dispatching once as much was spent as may be. That of experiments is kept where they are admitted.
func (e *Engine) checkLimits(now Now) {
	if e.meta.Status != spec.StatusRunning {
		return
	}
	for _, l := range spec.LimitsAll {
		if allowed := e.run.allowed.Of(l); allowed > 0 && l != spec.LimitExperiments && e.run.used(l, now.Engine) >= allowed {
			e.halt(string(l) + " reached")
		}
	}
}

// warn leaves an act for each limit of which most is spent now, once for each amount that the limit may have.
func (e *Engine) warn(now Now) {
	if e.meta.Status != spec.StatusRunning {
		return
	}
	for _, l := range spec.LimitsAll {
		allowed, used := e.run.allowed.Of(l), e.run.used(l, now.Engine)
		if allowed <= 0 || used < spec.WarnAt(allowed) || e.meta.Warned[l] == allowed {
			continue
		}
		warned := make(map[spec.Limit]int64) // the old map may be in an Output that is still being written
		maps.Copy(warned, e.meta.Warned)
		warned[l] = allowed
		e.meta.Warned, e.metaDirty = warned, true
		e.out.Acts = append(e.out.Acts, warning(now, l, used, allowed))
	}
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
	return at
}
