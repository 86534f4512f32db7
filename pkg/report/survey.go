package report

import (
	"math"
	"slices"
	"sort"

	"autoresearch/pkg/spec"
)

// survey is what all the files are made from: a Search with everything about it worked out once.
type survey struct {
	search Search
	facts  []fact // one a node, in the order of search.Nodes
	tree   tree
	ended  []int // the nodes that ended, in order of completion
	points []Point
	best   int // -1: none
}

// fact is what is worked out about one node.
type fact struct {
	kind    string // "" when unknown
	attempt int    // 0 when unknown
	worker  string
	cause   string
	metrics map[string]float64
	value   float64 // the objective; NaN when there is none
	end     float64 // Unix seconds; NaN when unknown

	order    int     // place among the ended, from 1; 0: has not ended
	best     float64 // the best value when it ended; NaN when it has not, or there was none
	improved bool
}

// look works out a Search.
func look(s Search) *survey {
	v := &survey{search: s, facts: make([]fact, len(s.Nodes)), best: -1}
	for i := range s.Nodes {
		v.facts[i] = factOf(&s.Nodes[i], s.Objective.Metric)
	}
	v.tree = treeOf(s.Nodes)
	v.ended = v.inOrderOfCompletion()
	v.follow()
	return v
}

// node returns the node of an index.
func (v *survey) node(i int) *spec.HypothesisNode { return &v.search.Nodes[i] }

// factOf reads what a node says of itself.
func factOf(n *spec.HypothesisNode, objective string) fact {
	f := fact{metrics: metricsOf(n), value: math.NaN(), end: math.NaN(), best: math.NaN(), cause: n.Failure.Cause()}
	for _, field := range n.Extra {
		f.read(field)
	}
	if math.IsNaN(f.end) && n.LaunchedAt != nil && n.Duration != nil {
		f.end = *n.LaunchedAt + *n.Duration
	}
	if value, ok := f.metrics[objective]; ok && objective != "" {
		f.value = value
	}
	return f
}

// read takes one of the keys that Search documents for HypothesisNode.Extra.
func (f *fact) read(field spec.Field) {
	switch field.Name {
	case "kind":
		f.kind = textOf(field.Value)
	case "worker":
		f.worker = textOf(field.Value)
	case "cause":
		if f.cause == "" {
			f.cause = textOf(field.Value)
		}
	case "attempt":
		if number, ok := numberOf(field.Value); ok && number >= 0 && number < 1<<31 {
			f.attempt = int(number)
		}
	case "ended_at":
		if number, ok := numberOf(field.Value); ok {
			f.end = number
		}
	}
}

// terminal reports whether a node has ended.
func terminal(n *spec.HypothesisNode) bool { return slices.Contains(spec.TerminalStatuses(), n.Status) }

// inOrderOfCompletion lists the nodes that ended by their end. One whose end is unknown counts as ended together with
// the one that arrived before it.
func (v *survey) inOrderOfCompletion() []int {
	ended := make([]int, 0, len(v.facts))
	at := make([]float64, len(v.facts))
	last := math.Inf(-1)
	for i := range v.facts {
		if !terminal(v.node(i)) {
			continue
		}
		if end := v.facts[i].end; !math.IsNaN(end) {
			last = end
		}
		ended, at[i] = append(ended, i), last
	}
	sort.SliceStable(ended, func(a, b int) bool { return at[ended[a]] < at[ended[b]] })
	return ended
}

// follow walks through the ended nodes in order of completion and keeps the running best.
func (v *survey) follow() {
	best := math.NaN()
	for place, i := range v.ended {
		f := &v.facts[i]
		f.order = place + 1
		if completed := v.node(i).Status == spec.StatusCompleted; completed {
			if v.search.Objective.Improves(f.value, best, !math.IsNaN(best)) {
				f.improved = !math.IsNaN(best)
				best, v.best = f.value, i
			}
			v.points = append(v.points, Point{v.node(i), f.order, f.value, best, f.improved})
		}
		f.best = best
	}
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// baseline returns the first root and whether it has a value to compare with; index -1 when there are no nodes.
func (v *survey) baseline() (index int, ok bool) {
	if len(v.tree.roots) == 0 {
		return -1, false
	}
	first := v.tree.roots[0]
	return first, v.node(first).Status == spec.StatusCompleted && finite(v.facts[first].value)
}
