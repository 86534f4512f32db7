package main

import (
	"fmt"
	"strings"

	"autoresearch/pkg/api"
)

// spentText says what attempts have used up: always the time of slots, the rest where there was any.
func spentText(s *api.Spent) string {
	parts := []string{seconds(s.LeaseSeconds) + " of slots"}
	if s.GPUHours > 0 {
		parts = append(parts, fmt.Sprintf("%.4g GPU-hours", s.GPUHours))
	}
	if s.Cost > 0 {
		parts = append(parts, costText(s.Cost, s.Unit))
	}
	return strings.Join(parts, ", ")
}

func costText(cost float64, unit string) string {
	if unit == "" {
		return fmt.Sprintf("cost %.4g", cost)
	}
	return fmt.Sprintf("%.4g %s", cost, harmless(unit, 20))
}

// spentOfLimits says how much is spent of what may be.
func spentOfLimits(l *api.Limits, s *api.Spent) (parts []string) {
	if l.MaxGPUHours > 0 {
		parts = append(parts, fmt.Sprintf("%.4g of %.4g GPU-hours spent (%.0f %%)", s.GPUHours, l.MaxGPUHours, 100*s.GPUHours/l.MaxGPUHours))
	}
	if l.MaxCost > 0 {
		parts = append(parts, fmt.Sprintf("%.4g of %s spent (%.0f %%)", s.Cost, costText(l.MaxCost, s.Unit), 100*s.Cost/l.MaxCost))
	}
	return parts
}

// allowanceText says how much is spent of the allowance of a task and all its descendants.
func allowanceText(a *api.TaskAllowance) string {
	parts := spentOfLimits(&a.Limits, &a.Spent)
	if most := a.Limits.MaxExperiments; most > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d experiments begun (%.0f %%)", a.Experiments, most, 100*float64(a.Experiments)/float64(most)))
	}
	return strings.Join(parts, ", ")
}
