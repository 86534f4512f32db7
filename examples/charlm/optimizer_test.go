package main

import (
	"math"
	"testing"
)

// TestOptimizersDescend checks that each rule finds the lowest point of a bowl.
func TestOptimizersDescend(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{"sgd", "momentum", "adam"} {
		values := []float32{0.5, -0.3}
		o := newOptimizer(rule, len(values))
		for range 400 {
			o.step(values, []float32{2 * values[0], 6 * values[1]}, 0.02)
		}
		if far := math.Hypot(float64(values[0]), float64(values[1])); far > 0.01 {
			t.Errorf("%s stopped %g away from the minimum", rule, far)
		}
	}
}

// TestAdamFirstStep checks the correction of the bias: the first step has the
// length of the rate, whatever the gradient's.
func TestAdamFirstStep(t *testing.T) {
	t.Parallel()
	values := []float32{1, 1}
	newOptimizer("adam", 2).step(values, []float32{0.5, -1e-3}, 0.1)
	for i, want := range []float64{0.9, 1.1} {
		if math.Abs(float64(values[i])-want) > 1e-4 {
			t.Errorf("value %d is %g after one step, want %g", i, values[i], want)
		}
	}
}

func TestClip(t *testing.T) {
	t.Parallel()
	long, short := []float32{30, 40}, []float32{0.3, 0.4}
	clip(long)
	clip(short)
	if norm := math.Hypot(float64(long[0]), float64(long[1])); math.Abs(norm-maxGradNorm) > 1e-6 {
		t.Errorf("a long gradient has norm %g after clipping", norm)
	}
	if short[0] != 0.3 || short[1] != 0.4 {
		t.Errorf("a short gradient became %v", short)
	}
}

func TestRateFactor(t *testing.T) {
	t.Parallel()
	for schedule, want := range map[string][3]float64{
		"constant": {1, 1, 1}, "linear": {1, 0.5, 0}, "cosine": {1, 0.5, 0},
	} {
		for i, done := range []float64{0, 0.5, 1} {
			if got := rateFactor(schedule, done); math.Abs(got-want[i]) > 1e-9 {
				t.Errorf("%s at %g: %g, want %g", schedule, done, got, want[i])
			}
		}
	}
}
