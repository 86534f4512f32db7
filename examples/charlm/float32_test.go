package main

import (
	"math"
	"testing"
)

func TestExpNegative(t *testing.T) {
	t.Parallel()
	for x := float32(0); x > -86; x -= 0.0137 {
		want := math.Exp(float64(x))
		if got := float64(expNegative(x)); math.Abs(got-want) > 3e-7*want {
			t.Fatalf("exp(%g) = %g, want %g", x, got, want)
		}
	}
	if got := expNegative(float32(math.Inf(-1))); got != 0 {
		t.Errorf("exp(-Inf) = %g, want 0", got)
	}
}

func TestTanh(t *testing.T) {
	t.Parallel()
	for x := float32(-50); x <= 50; x += 0.0137 {
		want := math.Tanh(float64(x))
		if got := float64(tanh(x)); math.Abs(got-want) > 2e-7 {
			t.Fatalf("tanh(%g) = %g, want %g", x, got, want)
		}
	}
}
