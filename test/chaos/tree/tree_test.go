package tree

import (
	"testing"
	"time"
)

// TestTreeIsWhole checks that every task but the root is the child of exactly one, and that numbers and ids belong together.
func TestTreeIsWhole(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		tree := New(seed, 1+int(seed*seed))
		seen := map[int]bool{0: true}
		for n := range tree.Size {
			if !seen[n] {
				t.Fatalf("seed %d: task %d comes before its parent", seed, n)
			}
			for _, child := range tree.Children(n) {
				number, ok := tree.Number(child.ID)
				if !ok || number != child.Payload.Number || seen[number] {
					t.Fatalf("seed %d: child %q of %d: number %d, known %v, seen %v", seed, child.ID, n, number, ok, seen[number])
				}
				if parent, ok := tree.Parent(number); !ok || parent != n {
					t.Fatalf("seed %d: the parent of %d is %d, not %d", seed, number, parent, n)
				}
				seen[number] = true
			}
		}
		if len(seen) != tree.Size {
			t.Fatalf("seed %d: %d tasks of %d have a parent", seed, len(seen), tree.Size)
		}
	}
}

// TestNumberRefuses checks that an id which no task has is told from those that one has.
func TestNumberRefuses(t *testing.T) {
	t.Parallel()
	tree := New(1, 10)
	for _, id := range []string{"", "t", "t1", "t10", "t12", "x0", "t00", "t99999999999999999999"} {
		if n, ok := tree.Number(id); ok {
			t.Errorf("%q is said to be task %d", id, n)
		}
	}
}

// TestDurationMean holds the constant to the tasks, since the length of a run follows from it.
func TestDurationMean(t *testing.T) {
	t.Parallel()
	tree := New(7, 20_000)
	var sum time.Duration
	for n := range tree.Size {
		sum += tree.Duration(n)
	}
	if mean := sum / time.Duration(tree.Size); mean < DurationMean*9/10 || mean > DurationMean*11/10 {
		t.Errorf("the mean is %v", mean)
	}
}
