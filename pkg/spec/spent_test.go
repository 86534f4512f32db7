package spec_test

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"autoresearch/pkg/spec"
)

// TestLeaseSpent holds the arithmetic to that of numbers without a bound.
func TestLeaseSpent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		l := spec.Lease{
			Since: spec.EngineTime(rapid.Int64Range(1, math.MaxInt64).Draw(rt, "since")), GPUs: rapid.IntRange(0, spec.GPUsMax).Draw(rt, "gpus"),
			PerHour: spec.Cost(rapid.Int64Range(0, math.MaxInt64).Draw(rt, "per hour")),
		}
		by := spec.EngineTime(rapid.Int64Range(int64(l.Since), math.MaxInt64).Draw(rt, "by"))
		got, held := l.Spent(by), big.NewInt(int64(by-l.Since))
		gpuTime := new(big.Int).Mul(held, big.NewInt(int64(l.GPUs)))
		cost := new(big.Int).Mul(held, big.NewInt(int64(l.PerHour)))
		cost.Div(cost, big.NewInt(int64(time.Hour)))
		if got.LeaseTime != by-l.Since || int64(got.GPUTime) != capped(gpuTime) || int64(got.Cost) != capped(cost) {
			rt.Fatalf("%+v by %v: %+v, want GPU time %v, cost %v", l, by, got, gpuTime, cost)
		}
	})
}

func capped(n *big.Int) int64 {
	if !n.IsInt64() {
		return math.MaxInt64
	}
	return n.Int64()
}

func TestSpentOfNothing(t *testing.T) {
	t.Parallel()
	older := spec.Lease{Attempt: 1, Claim: 1, GPUs: 8} // its version did not say since when
	if got := older.Spent(time.Hour); !got.IsZero() {
		t.Errorf("%+v", got)
	}
	if got := (&spec.Lease{Since: 5}).Spent(3); !got.IsZero() {
		t.Errorf("before it began: %+v", got)
	}
}

func TestCost(t *testing.T) {
	t.Parallel()
	for _, bad := range []float64{-1, math.NaN(), math.Inf(1), 2e12} {
		if c, err := spec.CostOf(bad); err == nil {
			t.Errorf("%v is taken as %d", bad, c)
		}
	}
	c, err := spec.CostOf(2.5)
	if err != nil || c != 2_500_000 || c.Units() != 2.5 || c.Over(90*time.Minute) != 3_750_000 {
		t.Errorf("%d, %v: %d", c, err, c.Over(90*time.Minute))
	}
	most := spec.Spent{Cost: spec.CostMax, LeaseTime: math.MaxInt64}
	if sum := most.Plus(spec.Spent{Cost: 1, LeaseTime: 1, GPUTime: 3}); sum.Cost != spec.CostMax || sum.LeaseTime != math.MaxInt64 || sum.GPUTime != 3 {
		t.Errorf("%+v", sum)
	}
	if got := (spec.Price{SlotHour: 1, GPUHour: 10}).PerHour(8); got != 81 {
		t.Errorf("%d", got)
	}
}

func TestAllowance(t *testing.T) {
	t.Parallel()
	limited := func(text string) spec.TaskSpec {
		return spec.TaskSpec{ID: "a", Extra: []spec.Field{{Name: spec.KeyAllowance, Value: json.RawMessage(text)}}}
	}
	got, err := limited(`{"max_experiments": 40, "max_gpu_hours": 1.5, "max_cost": 50}`).Allowance()
	want := spec.Allowance{Experiments: 40, GPUTime: 90 * time.Minute, Cost: 50_000_000}
	if got != want || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	again, err := spec.TaskSpec{Extra: []spec.Field{want.Field()}}.Allowance()
	if again != want || err != nil {
		t.Errorf("%+v, %v", again, err)
	}
	for text, why := range map[string]string{
		`{"max_cost": 0}`: "not a number above 0", `{"max_cost": "5"}`: "not a number above 0", `{"max_cost": 1e13}`: "no cost",
		`{"max_experiments": 1.5}`: "not a whole number", `{"max_gpu_hours": 1e7}`: "too large", `{"max_hours": 1}`: `unknown limit "max_hours"`, `5`: "object",
	} {
		if _, err := limited(text).Allowance(); err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), `task "a"`) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
