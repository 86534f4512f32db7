package report

import (
	"fmt"
	"io"
	"slices"

	"autoresearch/pkg/spec"
)

// treeNodes bounds how many experiments the tree shows.
const treeNodes = 2000

// TreePNG draws hypothesis_tree.png: every experiment in the colour of how it stands (green improved, grey not, red
// failed, blue running, dashed white queued), with its id and metric while they fit: in a large tree the way to the
// best, the improvements and a few others are labelled, the rest are dots, sibling leaves together in a block. Of more
// than 2,000 experiments it shows the way to the best, the improvements and the newest, and says how many it leaves
// out.
func TreePNG(w io.Writer, s Search) error { return drawTree(s).encode(w) }

func drawTree(s Search) *canvas {
	h := hypothesesOf(look(s))
	d := &treeDrawing{hypotheses: h, plan: h.choosePlan()}
	d.open()
	d.header()
	if len(h.roots) == 0 {
		d.text(d.middleOfTree(), style{typeface(20, false), faintInk, 0.5}, "no experiments yet")
	}
	d.edges()
	d.cells()
	d.floatingLabels()
	return d.canvas
}

// hypotheses is the part of the tree that is drawn.
type hypotheses struct {
	v        *survey
	children map[int][]int
	roots    []int
	leftOut  int
	onPath   map[int]bool // the way from the root to the best
	marked   map[int]bool // what is labelled however large the tree is
	widths   map[int]float64
}

// A large tree labels running experiments and roots too, while they are few.
const (
	runningLabelled = 12
	rootsLabelled   = 4
)

// hypothesesOf picks what is drawn and what is labelled.
func hypothesesOf(v *survey) *hypotheses {
	h := &hypotheses{v: v, children: map[int][]int{}, onPath: map[int]bool{}, marked: map[int]bool{}, widths: map[int]float64{}}
	for _, i := range v.tree.path(v.best) {
		h.onPath[i], h.marked[i] = true, true
	}
	var steps []int
	for i := range v.facts {
		if v.facts[i].improved {
			h.marked[i] = true
			steps = append(steps, i)
		}
	}
	h.hang(v.chooseNodes(steps))
	h.mark(v.running(), runningLabelled)
	h.mark(h.roots, rootsLabelled)
	return h
}

// mark labels nodes unless they are more than most.
func (h *hypotheses) mark(nodes []int, most int) {
	if len(nodes) > most {
		return
	}
	for _, i := range nodes {
		h.marked[i] = true
	}
}

// selection picks the nodes that are drawn, as many as there is room for.
type selection struct {
	v      *survey
	chosen []bool
	room   int
}

// chooseNodes returns which nodes are drawn: all, or as many as the bound allows: first the way to the best, then the
// improvements and then the newest, each with the way to it.
func (v *survey) chooseNodes(steps []int) []bool {
	s := &selection{v: v, chosen: make([]bool, len(v.facts)), room: treeNodes}
	if v.best >= 0 {
		s.addEnd(v.best)
	}
	for _, i := range slices.Backward(steps) {
		s.addWhole(i)
	}
	for i := len(s.chosen) - 1; i >= 0 && s.room > 0; i-- {
		s.addWhole(i)
	}
	return s.chosen
}

// addEnd chooses a node and as much of the way to it as there is room for, its end first.
func (s *selection) addEnd(i int) {
	for ; i >= 0 && !s.chosen[i] && s.room > 0; i = s.v.tree.parent[i] {
		s.chosen[i] = true
		s.room--
	}
}

// addWhole chooses a node with all of the way to it, if there is room for that.
func (s *selection) addWhole(i int) {
	missing := 0
	for at := i; at >= 0 && !s.chosen[at]; at = s.v.tree.parent[at] {
		if missing++; missing > s.room {
			return
		}
	}
	s.addEnd(i)
}

// hang links the chosen nodes: each under its nearest chosen ancestor.
func (h *hypotheses) hang(chosen []bool) {
	for i, ok := range chosen {
		if !ok {
			h.leftOut++
			continue
		}
		up := h.v.tree.parent[i]
		for up >= 0 && !chosen[up] {
			up = h.v.tree.parent[up]
		}
		if up < 0 {
			h.roots = append(h.roots, i)
		} else {
			h.children[up] = append(h.children[up], i)
		}
	}
}

// note says what the picture leaves out; "" when nothing.
func (h *hypotheses) note() string {
	if h.leftOut == 0 {
		return ""
	}
	all := len(h.v.search.Nodes)
	return fmt.Sprintf("%d of %d experiments are drawn: the way to the best, the improvements, the newest; %d are left out",
		all-h.leftOut, all, h.leftOut)
}

// title is a node's id as the tree shows it.
func (h *hypotheses) title(i int) string { return shorten(clean(h.v.node(i).NodeID), 22) }

// state is what the tree says of a node besides its id: the metric, or why there is none.
func (h *hypotheses) state(i int) string {
	n := h.v.node(i)
	switch n.Status {
	case spec.StatusCompleted:
		if _, has := h.v.facts[i].metrics[h.v.search.Objective.Metric]; has {
			return number(h.v.facts[i].value)
		}
		return "completed"
	case spec.StatusFailed:
		if cause := h.v.facts[i].cause; cause != "" {
			return cutShort(clean(cause), 20)
		}
	}
	return cutShort(clean(n.Status), 20)
}

// labelWidth is how wide the label of a node is. Layouts ask again and again.
func (h *hypotheses) labelWidth(i int) float64 {
	if _, known := h.widths[i]; !known {
		h.widths[i] = textWidth(pillText, h.label(i))
	}
	return h.widths[i]
}

// label is id and metric in one line; the colour tells the state of what has no metric.
func (h *hypotheses) label(i int) string {
	if h.v.node(i).Status == spec.StatusCompleted && h.v.search.Objective.Metric != "" {
		return h.title(i) + "  " + h.state(i)
	}
	return h.title(i)
}
