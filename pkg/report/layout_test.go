package report

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// drawCells draws a random tree as a list of cells, each hung under an earlier one, or a root.
func drawCells(t *rapid.T) (all, roots []*cell) {
	n := rapid.IntRange(1, 120).Draw(t, "n")
	reach := rapid.IntRange(1, 120).Draw(t, "reach") // small: deep trees
	for i := range n {
		c := &cell{along: float64(rapid.IntRange(1, 200).Draw(t, "along")), members: []int{i}}
		all = append(all, c)
		up := rapid.IntRange(max(-1, i-reach), i-1).Draw(t, "parent")
		if up < 0 {
			roots = append(roots, c)
			continue
		}
		all[up].children = append(all[up].children, c)
	}
	return all, roots
}

const gapForTest = 7

// checkLayout says what is wrong with a layout that tidy made.
func checkLayout(all []*cell, extent float64) error {
	rightmost := map[int]float64{}
	for _, c := range all { // in order of arrival, which is not the order along: see checkLevels
		if c.pos-c.along/2 < -1e-6 || c.pos+c.along/2 > extent+1e-6 {
			return fmt.Errorf("cell %v at %v reaches out of 0..%v", c.members, c.pos, extent)
		}
		if len(c.children) > 0 {
			middle := (c.firstChild().pos + c.lastChild().pos) / 2
			if math.Abs(c.pos-middle) > 1e-6 {
				return fmt.Errorf("cell %v at %v, the middle of its children is %v", c.members, c.pos, middle)
			}
		}
		rightmost[c.level] = max(rightmost[c.level], c.pos)
	}
	return nil
}

// checkLevels walks the tree from left to right and checks that each cell is clear of the one before it on its level.
func checkLevels(roots []*cell) error {
	last := map[int]*cell{}
	var broken error
	(&cell{children: roots}).each(func(c *cell) {
		if before := last[c.level]; before != nil && broken == nil {
			if d := c.pos - before.pos; d < distance(before, c, gapForTest)-1e-6 {
				broken = fmt.Errorf("level %d: %v and %v are %v apart, want %v", c.level, before.members, c.members, d,
					distance(before, c, gapForTest))
			}
		}
		last[c.level] = c
	})
	return broken
}

func TestTidyKeepsCellsApartAndParentsCentred(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		all, roots := drawCells(t)
		extent := tidy(&cell{children: roots}, gapForTest)
		if err := checkLayout(all, extent); err != nil {
			t.Fatal(err)
		}
		if err := checkLevels(roots); err != nil {
			t.Fatal(err)
		}
	})
}
