package report

import (
	"fmt"
	"math"
	"reflect"
	"testing"

	"autoresearch/pkg/spec"
)

// search makes a search with the objective "m" from nodes.
func search(nodes ...spec.HypothesisNode) Search {
	return Search{Objective: spec.Objective{Metric: "m"}, Nodes: nodes}
}

// ended makes a completed node that ended at a time with a value of "m".
func ended(id string, at float64, value string) spec.HypothesisNode {
	start, took := at-1, 1.0
	return spec.HypothesisNode{NodeID: id, Name: id, Status: spec.StatusCompleted, LaunchedAt: &start, Duration: &took,
		Result: fmt.Appendf(nil, `{"metrics": {"m": %s}}`, value)}
}

// under hangs a node under a parent.
func under(parent string, n spec.HypothesisNode) spec.HypothesisNode {
	n.ParentID = parent
	return n
}

// withStatus makes a node of a status without a result.
func withStatus(id, status string) spec.HypothesisNode {
	return spec.HypothesisNode{NodeID: id, Name: id, Status: status}
}

func TestBestIsNeverWithoutAFiniteValue(t *testing.T) {
	t.Parallel()
	s := search(ended("nan", 1, "NaN"), ended("low", 2, "-Infinity"), ended("text", 3, `"7"`), ended("quoted", 4, `"NaN"`),
		ended("huge", 5, "1e999"))
	if node, value, ok := Best(s); ok {
		t.Errorf("best is %s with %v, want none", node.NodeID, value)
	}
	s.Nodes = append(s.Nodes, ended("first", 6, "3"), ended("second", 7, "3"), withStatus("failed", spec.StatusFailed))
	s.Nodes[len(s.Nodes)-1].Result = []byte(`{"metrics": {"m": 1}}`)
	node, value, ok := Best(s)
	if !ok || node != &s.Nodes[5] || value != 3 {
		t.Errorf("best is %v with %v, %v; want the first of two equals, and no failed one", node, value, ok)
	}
	s.Objective.Metric = ""
	if _, _, ok := Best(s); ok {
		t.Error("there is a best without an objective")
	}
}

func TestProgressFollowsTheOrderOfCompletion(t *testing.T) {
	t.Parallel()
	s := search(ended("late", 30, "1"), ended("early", 10, "5"), ended("nan", 20, "NaN"), ended("better", 25, "4"),
		ended("equal", 26, "4"), withStatus("queued", spec.StatusQueued))
	lost := withStatus("lost", spec.StatusFailed) // its end is unknown: it counts as ended with the one before it
	s.Nodes = append(s.Nodes[:4], lost, s.Nodes[4], s.Nodes[5])
	var got []string
	for _, p := range Progress(s) {
		got = append(got, fmt.Sprintf("%d %s %v %v %v", p.Order, p.Node.NodeID, p.Value, p.Best, p.Improved))
	}
	want := []string{"1 early 5 5 false", "2 nan NaN 5 false", "3 better 4 4 true", "5 equal 4 4 false", "6 late 1 1 true"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("progress\n%v, want\n%v", got, want)
	}
	steps := Improvements(s)
	if len(steps) != 2 || steps[0].Gain != 1 || steps[1].Gain != 3 {
		t.Errorf("improvements %+v, want gains 1 and 3", steps)
	}
	if steps[1].Node != &s.Nodes[0] {
		t.Error("an improvement's node does not point into the search")
	}
}

func TestMaximizeTurnsTheOrderRound(t *testing.T) {
	t.Parallel()
	s := search(ended("a", 1, "1"), ended("b", 2, "2"), ended("c", 3, "Infinity"))
	s.Objective.Maximize = true
	if node, _, _ := Best(s); node == nil || node.NodeID != "b" {
		t.Errorf("best is %v, want b", node)
	}
	if steps := Improvements(s); len(steps) != 1 || steps[0].Gain != 1 {
		t.Errorf("improvements %+v, want one of 1", steps)
	}
}

func TestTreeTakesAnyParents(t *testing.T) {
	t.Parallel()
	nodes := []spec.HypothesisNode{
		under("gone", withStatus("orphan", "queued")),
		under("self", withStatus("self", "queued")),
		under("c", withStatus("a", "queued")), // a, b, c: a circle
		under("a", withStatus("b", "queued")),
		under("b", withStatus("c", "queued")),
		under("b", withStatus("tail", "queued")),
		withStatus("", "queued"), // no id is no one's parent
		under("a", withStatus("a", "queued")),
	}
	got := treeOf(nodes)
	if want := []int{-1, -1, -1, 2, 3, 3, -1, 2}; !reflect.DeepEqual(got.parent, want) {
		t.Errorf("parents %v, want %v", got.parent, want)
	}
	if want := []int{0, 1, 2, 6}; !reflect.DeepEqual(got.roots, want) {
		t.Errorf("roots %v, want %v", got.roots, want)
	}
	if got, want := got.path(5), []int{2, 3, 5}; !reflect.DeepEqual(got, want) {
		t.Errorf("path %v, want %v", got, want)
	}
}

func TestChangesOfPayloads(t *testing.T) {
	t.Parallel()
	got := changes(spec.Payload(`{"b": 1, "same": [1,  2], "gone": null}`), spec.Payload(`{"same": [1, 2], "b": 2, "new": "x"}`))
	want := []change{{"b", "1", "2"}, {"gone", "null", unset}, {"new", unset, "x"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("changes %v, want %v", got, want)
	}
	if got := changes(nil, spec.Payload(`not an object`)); got != nil {
		t.Errorf("changes of nothing: %v", got)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for x, want := range map[float64]string{
		0: "0", 1: "1", -2.5: "-2.5", 1234567: "1234567", 0.000123456789: "0.000123457", 1e-7: "1e-07", 1e20: "1e+20",
		2.300000001: "2.3", 123456.7: "123457", math.Inf(1): "Infinity", math.Inf(-1): "-Infinity",
	} {
		if got := number(x); got != want {
			t.Errorf("number(%v) = %q, want %q", x, got, want)
		}
	}
	for seconds, want := range map[float64]string{
		0: "0 s", 0.25: "0.25 s", 59.94: "59.9 s", 59.96: "1m 00s", 3599.6: "1h 00m", 172800: "2d 00h", -1: "unknown",
		math.Inf(1): "unknown",
	} {
		if got := duration(seconds); got != want {
			t.Errorf("duration(%v) = %q, want %q", seconds, got, want)
		}
	}
	for _, c := range []struct {
		value, base float64
		want        string
	}{{1, 0, "+1"}, {1, 2, "-1 (-50.00 %)"}, {-1, -2, "+1 (+50.00 %)"}, {1e300, 1e-300, "+1e+300"}} {
		if got := versus(c.value, c.base); got != c.want {
			t.Errorf("versus(%v, %v) = %q, want %q", c.value, c.base, got, c.want)
		}
	}
}

func TestTextIsMadeHarmless(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"003_wider": "003_wider", "_edge_": `\_edge\_`, "a|b\nc": `a\|b c`, "<i>&": "&lt;i&gt;&amp;", "`x` [y](z)": "\\`x\\` \\[y\\](z)",
		"\x1b[31m\x00red": `\[31mred`, "bad\xff\xfeutf8": "bad\uFFFDutf8", "\u202eright to left": "right to left", " \t ": "",
	} {
		if got := escaped(text); got != want {
			t.Errorf("escaped(%q) = %q, want %q", text, got, want)
		}
	}
	if got, want := tableCell("a\tb\\c\r\nd\x00\u2028"), `a\tb\\c\r\nd  `; got != want {
		t.Errorf("tableCell = %q, want %q", got, want)
	}
	if got := shorten("0123456789", 5); got != "012…9" {
		t.Errorf("shorten = %q", got)
	}
}
