package api

import (
	"math"
	"time"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// spentOf describes what was used up.
func spentOf(view *coordinator.View, s spec.Spent) *Spent {
	return &Spent{
		LeaseSeconds: s.LeaseTime.Seconds(), GPUHours: s.GPUTime.Hours(), Cost: s.Cost.Units(),
		Reported: s.Reported.Units(), Unit: view.Config().Prices.Unit,
	}
}

// spentOn is what the attempts of a task have used up by now; nil before the first was claimed.
func spentOn(view *coordinator.View, t *spec.Task) *Spent {
	spent := t.Spent
	if t.State == spec.StateRunning {
		spent = spent.Plus(t.Lease.Spent(view.Now()))
	}
	if spent.IsZero() {
		return nil
	}
	return spentOf(view, spent)
}

// limitsOf describes an allowance; nil where nothing is limited.
func limitsOf(a spec.Allowance) *Limits {
	if a.IsZero() {
		return nil
	}
	return &Limits{
		MaxExperiments: a.Experiments, MaxDurationSeconds: a.Duration.Seconds(), MaxGPUHours: a.GPUTime.Hours(), MaxCost: a.Cost.Units(),
	}
}

// allowanceOf describes the allowance of a task and all its descendants; nil for a task without one.
func allowanceOf(view *coordinator.View, id spec.TaskID) *TaskAllowance {
	p, ok := view.Purse(id)
	if !ok {
		return nil
	}
	limits := limitsOf(p.Allowed)
	if limits == nil {
		limits = &Limits{}
	}
	return &TaskAllowance{Limits: *limits, Spent: *spentOf(view, p.By(view.Now())), Experiments: p.Experiments}
}

// allowance reads what is asked for.
func (l *Limits) allowance() (a spec.Allowance, err error) {
	if l.MaxExperiments < 0 || l.MaxExperiments > math.MaxInt32 {
		return a, problem(CodeInvalid, "field max_experiments: %d is not a number from 0 to 2147483647", l.MaxExperiments)
	}
	hours := l.MaxDurationSeconds / 3600
	for field, value := range map[string]float64{"max_duration_seconds": hours, "max_gpu_hours": l.MaxGPUHours} {
		if !(value >= 0) || value > spec.AllowanceHoursMax {
			return a, problem(CodeInvalid, "field %s: it must be from 0 to %.0f hours", field, spec.AllowanceHoursMax)
		}
	}
	if a.Cost, err = spec.CostOf(l.MaxCost); err != nil {
		return a, problem(CodeInvalid, "field max_cost: %v", err)
	}
	a.Experiments = l.MaxExperiments
	a.Duration, a.GPUTime = time.Duration(hours*float64(time.Hour)), time.Duration(l.MaxGPUHours*float64(time.Hour))
	return a, nil
}

// setAllowance changes what may be spent.
func (c *call) setAllowance() error {
	var body AllowanceRequest
	if err := c.body(&body, bodyMax); err != nil {
		return err
	}
	allowed, err := body.allowance()
	if err != nil {
		return err
	}
	if body.Task != "" && allowed.Duration > 0 {
		return problem(CodeInvalid, "field max_duration_seconds: only a run has a limit on its active time; leave task or this out")
	}
	return c.control(body.Reason, "", func(asked engine.Asked) engine.Event {
		return engine.SetAllowance{Task: body.Task, Allowance: allowed, Asked: asked}
	})
}
