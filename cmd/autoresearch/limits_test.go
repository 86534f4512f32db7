package main

import (
	"testing"

	"autoresearch/pkg/api"
)

func TestLimitsText(t *testing.T) {
	t.Parallel()
	counts := &api.Counts{Experiments: 45}
	for want, r := range map[string]api.Run{
		"":                                  {Counts: counts},
		"45 of 60 experiments begun (75 %)": {Counts: counts, Limits: &api.Limits{MaxExperiments: 60}},
		"30m0s of 2h0m0s active (25 %)":     {Counts: counts, ActiveSeconds: 1800, Limits: &api.Limits{MaxDurationSeconds: 7200}},
		"10 of 40 GPU-hours spent (25 %), 3 of 4 USD spent (75 %)": {
			Limits: &api.Limits{MaxGPUHours: 40, MaxCost: 4}, Spent: &api.Spent{GPUHours: 10, Cost: 3, Unit: "USD"},
		},
		"5s of 10s active (50 %)": {ActiveSeconds: 5, Limits: &api.Limits{MaxExperiments: 60, MaxDurationSeconds: 10}},
	} {
		if got := limitsText(&r); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
