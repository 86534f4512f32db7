package api

import (
	"autoresearch/pkg/coordinator"
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
