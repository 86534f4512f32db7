package report

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"autoresearch/pkg/spec"
)

// drawSearch draws a search of nodes with any parents, statuses and values, and odd texts.
func drawSearch(t *rapid.T, most int) Search {
	texts := rapid.SampledFrom([]string{"", "a", "b", "c", "d", "\x00\n", "ключ", "試験", "<b>|`*_", "\xed\xa0\x80", "e\u0301\u202e",
		"a very long name that does not fit anywhere at all, not even in the table of a report"})
	s := Search{Name: texts.Draw(t, "name"), Status: spec.StatusRunning}
	s.Objective = spec.Objective{Metric: rapid.SampledFrom([]string{"", "m", "m", "m"}).Draw(t, "metric"),
		Maximize: rapid.Bool().Draw(t, "maximize")}
	statuses := rapid.SampledFrom([]string{"completed", "completed", "completed", "failed", "running", "queued", "odd", ""})
	values := rapid.SampledFrom([]string{"1", "2", "3.5", "-4", "0", "-0.0", "NaN", "Infinity", "-Infinity", "1e308", "-1e308",
		"5e-324", "null", `"x"`, "1e999"})
	n := rapid.IntRange(0, most).Draw(t, "nodes")
	for i := range n {
		node := spec.HypothesisNode{NodeID: fmt.Sprint(i), Name: texts.Draw(t, "name"), Status: statuses.Draw(t, "status")}
		if rapid.IntRange(0, 9).Draw(t, "odd id") == 0 {
			node.NodeID = texts.Draw(t, "id")
		}
		node.ParentID = fmt.Sprint(rapid.IntRange(-1, n).Draw(t, "parent"))
		node.Result = fmt.Appendf(nil, `{"metrics": {"m": %s, %q: 1}}`, values.Draw(t, "value"), "other")
		node.Spec = spec.Payload(`{"` + rapid.SampledFrom([]string{"lr", `\ud800`, "a\\tb"}).Draw(t, "key") + `": [1]}`)
		if at := rapid.Float64Range(-1e12, 1e12).Draw(t, "at"); at > 0 {
			node.LaunchedAt, node.Duration = &at, &at
		}
		if node.Status == spec.StatusFailed && i%2 == 0 {
			node.Failure = &spec.FailureRecord{Kind: spec.JobFailed, Message: texts.Draw(t, "message")}
		}
		s.Nodes = append(s.Nodes, node)
	}
	return s
}

func TestReportsOfAnySearch(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := drawSearch(t, 30)
		if a, b := Markdown(s), Markdown(s); a != b {
			t.Fatal("the report of one search has two texts")
		}
		checkTable(t, s)
		if node, value, ok := Best(s); ok {
			if node.Status != spec.StatusCompleted || math.IsNaN(value) || math.IsInf(value, 0) {
				t.Fatalf("best is a %s node with %v", node.Status, value)
			}
			for _, p := range Progress(s) {
				if finite(p.Value) && s.Objective.Better(p.Value, value) {
					t.Fatalf("%v is better than the best, %v", p.Value, value)
				}
			}
		}
	})
}

// checkTable checks that every line of the table has as many cells as the header, and that there is one a node.
func checkTable(t *rapid.T, s Search) {
	lines := splitTable(MasterTable(s))
	if len(lines) != len(s.Nodes)+1 {
		t.Fatalf("%d lines for %d nodes", len(lines), len(s.Nodes))
	}
	for i, cells := range lines {
		if len(cells) != len(lines[0]) {
			t.Fatalf("line %d has %d cells, the header has %d", i, len(cells), len(lines[0]))
		}
	}
}

// TestPlansKeepNodesApart lays out trees of any shape in every detail and both directions: no two things that are drawn
// may overlap, and none may lie outside of the tree's area.
func TestPlansKeepNodesApart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := drawSearch(t, 60)
		h := hypothesesOf(look(s))
		level := rapid.IntRange(0, len(details)-1).Draw(t, "detail")
		p := h.planFor(level, rapid.Bool().Draw(t, "downwards"))
		drawn := 0
		var areas []area
		p.top.each(func(c *cell) {
			drawn += len(c.members)
			areas = append(areas, p.areaOf(c))
		})
		if drawn != len(s.Nodes) {
			t.Fatalf("%d of %d nodes are drawn", drawn, len(s.Nodes))
		}
		checkApart(t, areas, area{0, 0, p.width, p.height})
	})
}

func checkApart(t *rapid.T, areas []area, within area) {
	for i, a := range areas {
		if !a.within(within.grown(1e-6)) {
			t.Fatalf("%v lies outside of %v", a, within)
		}
		for _, b := range areas[:i] {
			if a.grown(-1e-6).overlaps(b) {
				t.Fatalf("%v and %v overlap", a, b)
			}
		}
	}
}

func TestChosenPlanIsWithinBounds(t *testing.T) {
	t.Parallel()
	for name, parent := range shapes {
		s := reshape(grow(2500, 1), parent)
		h := hypothesesOf(look(s))
		p := h.choosePlan()
		if p.width > pictureMost+1 || p.height > pictureMost+1 || p.width*p.height > pixelsMost*1.01 {
			t.Errorf("%s: the tree is %v by %v", name, p.width, p.height)
		}
		if h.leftOut != 500 || h.note() == "" {
			t.Errorf("%s: %d of 2500 are left out, want 500 and a note", name, h.leftOut)
		}
		if best := look(s).best; !h.marked[best] || !h.onPath[best] {
			t.Errorf("%s: the best is not marked", name)
		}
	}
}
