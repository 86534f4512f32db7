package engine

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"autoresearch/pkg/spec"
)

// shares works out every run's share as its own leader does.
func shares(total int, all []claimant) []int {
	list := make([]int, len(all))
	for i := range all {
		others := append(append([]claimant(nil), all[:i]...), all[i+1:]...)
		list[i] = apportion(total, all[i], others)
	}
	return list
}

func TestApportion(t *testing.T) {
	t.Parallel()
	wants := func(weight float64, least, most int) claimant {
		return claimant{weight: weight, least: least, most: most}
	}
	for _, test := range []struct {
		total int
		all   []claimant
		want  string
	}{
		{8, []claimant{wants(1, 0, 99), wants(1, 0, 99)}, "[4 4]"},
		{8, []claimant{wants(3, 0, 99), wants(1, 0, 99)}, "[6 2]"},
		{8, []claimant{wants(1, 0, 2), wants(1, 0, 99)}, "[2 6]"},                     // what one does not want goes to the other
		{8, []claimant{wants(1, 7, 99), wants(1, 0, 99)}, "[7 1]"},                    // what is held is kept
		{8, []claimant{wants(1, 8, 99), wants(1, 0, 99)}, "[8 0]"},                    // until it ends
		{4, []claimant{wants(1, 3, 3), wants(1, 0, 99), wants(1, 0, 99)}, "[3 1 0]"},  // one free slot is not promised twice
		{7, []claimant{wants(1, 0, 99), wants(1, 0, 99), wants(2, 0, 99)}, "[2 2 3]"}, // whoever has the least for its weight
		{0, []claimant{wants(1, 0, 99), wants(1, 0, 99)}, "[0 0]"},                    // no worker
		{2, []claimant{wants(1, 4, 99), wants(1, 0, 99)}, "[4 0]"},                    // fewer slots than are held
		{1000, []claimant{wants(1e-3, 0, 9999), wants(1e3, 0, 9999)}, "[0 1000]"},     // odd weights
		{10, []claimant{wants(1, 0, 1), wants(1, 0, 1), wants(1, 0, 1)}, "[1 1 1]"},   // nobody wants the rest
		{100000, []claimant{wants(1, 0, 1000000), wants(1, 0, 1000000)}, "[50000 50000]"},
	} {
		for i := range test.all {
			test.all[i].run = spec.RunName(rune('a' + i))
		}
		if got := fmt.Sprint(shares(test.total, test.all)); got != test.want {
			t.Errorf("%d among %+v: %s, want %s", test.total, test.all, got, test.want)
		}
	}
}

// TestSharesAddUp: whatever runs hold and want, the shares of one moment promise no slot twice, leave none to nobody while
// somebody wants it, and take nothing that is held.
func TestSharesAddUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		total, held, wanted := rapid.IntRange(0, 200).Draw(t, "total"), 0, 0
		var all []claimant
		for i := range rapid.IntRange(1, 8).Draw(t, "runs") {
			least := rapid.IntRange(0, 20).Draw(t, "least")
			c := claimant{
				run: spec.RunName(rune('a' + i)), weight: rapid.Float64Range(0.01, 100).Draw(t, "weight"), least: least,
				most: least + rapid.IntRange(0, 100).Draw(t, "more"),
			}
			all, held, wanted = append(all, c), held+c.least, wanted+c.most
		}
		sum := 0
		for i, n := range shares(total, all) {
			sum += n
			if n < all[i].least || n > all[i].most {
				t.Errorf("run %d has %d of %+v", i, n, all[i])
			}
		}
		if want := max(held, min(total, wanted)); sum != want {
			t.Errorf("%d slots among %+v: %d given, want %d", total, all, sum, want)
		}
	})
}
