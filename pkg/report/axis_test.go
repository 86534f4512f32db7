package report

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestTicksAreRoundAndInRange(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Float64().Draw(t, "a"), rapid.Float64().Draw(t, "b")
		if rapid.Bool().Draw(t, "close") {
			b = a + a*1e-12
		}
		low, high := widen(min(a, b), max(a, b))
		if !(low < high) || math.IsInf(high-low, 0) {
			t.Fatalf("widen(%v, %v) = %v, %v", min(a, b), max(a, b), low, high)
		}
		marks := ticks(low, high, 8)
		if len(marks) < 2 || len(marks) > 20 {
			t.Fatalf("%d ticks from %v to %v", len(marks), low, high)
		}
		seen, slack := map[string]bool{}, (high-low)*1e-9
		for i, mark := range marks {
			if mark.value < low-slack || mark.value > high+slack || (i > 0 && mark.value <= marks[i-1].value) || seen[mark.label] {
				t.Fatalf("tick %d of %v is out of place from %v to %v", i, marks, low, high)
			}
			seen[mark.label] = true
		}
	})
}

func TestCountTicksStartAtOne(t *testing.T) {
	t.Parallel()
	for n := 1; n < 3000; n = n*3/2 + 1 {
		marks := countTicks(n, 12)
		if marks[0].value != 1 || marks[len(marks)-1].value > float64(n) || len(marks) > 14 {
			t.Errorf("%d experiments: ticks %v", n, marks)
		}
	}
}
