package report

import (
	"cmp"
	"slices"
	"strings"

	"autoresearch/pkg/spec"
)

// tallied is one status and how many nodes have it.
type tallied struct {
	status string
	n      int
}

// counts counts the nodes by status: the four known ones in the order of a life, then any others by name.
func (v *survey) counts() []tallied {
	n := map[string]int{}
	for i := range v.search.Nodes {
		n[v.node(i).Status]++
	}
	var out []tallied
	for _, status := range []string{spec.StatusQueued, spec.StatusNodeRuns, spec.StatusCompleted, spec.StatusFailed} {
		if n[status] > 0 {
			out = append(out, tallied{status, n[status]})
			delete(n, status)
		}
	}
	known := len(out)
	for status, count := range n {
		out = append(out, tallied{cmp.Or(status, "unknown"), count})
	}
	slices.SortFunc(out[known:], func(a, b tallied) int { return strings.Compare(a.status, b.status) })
	return out
}

// cost returns the seconds from the first start to the last end, -1 when unknown, and the sum of all durations.
func (v *survey) cost() (wall, busy float64) {
	var first, last float64
	known := false
	for i := range v.search.Nodes {
		n, end := v.node(i), v.facts[i].end
		if n.Duration != nil && finite(*n.Duration) {
			busy += *n.Duration
		}
		if n.LaunchedAt == nil || !finite(*n.LaunchedAt) {
			continue
		}
		if !finite(end) {
			end = *n.LaunchedAt
		}
		if !known {
			first, last, known = *n.LaunchedAt, end, true
		}
		first, last = min(first, *n.LaunchedAt), max(last, end)
	}
	if !known {
		return -1, busy
	}
	return last - first, busy
}

// ranked lists the completed nodes with a finite value, best first, the earlier to end among equals.
func (v *survey) ranked() []int {
	var ranked []int
	for _, i := range v.ended {
		if v.node(i).Status == spec.StatusCompleted && finite(v.facts[i].value) {
			ranked = append(ranked, i)
		}
	}
	slices.SortStableFunc(ranked, func(a, b int) int {
		x, y := v.facts[a].value, v.facts[b].value
		if v.search.Objective.Maximize {
			x, y = y, x
		}
		return cmp.Compare(x, y)
	})
	return ranked
}

// running and queued list the nodes that have not ended: queued in the order they will run. Any status that is not
// known counts as queued.
func (v *survey) running() []int {
	var running []int
	for i := range v.search.Nodes {
		if v.node(i).Status == spec.StatusNodeRuns {
			running = append(running, i)
		}
	}
	return running
}

func (v *survey) queued() []int {
	var queued []int
	for i := range v.search.Nodes {
		if n := v.node(i); !terminal(n) && n.Status != spec.StatusNodeRuns {
			queued = append(queued, i)
		}
	}
	slices.SortStableFunc(queued, func(a, b int) int { return cmp.Compare(v.node(a).Priority, v.node(b).Priority) })
	return queued
}

// failureGroup is the failed nodes that failed in one way.
type failureGroup struct {
	kind, cause string
	nodes       []int // in order of completion
}

// message is an example of what the failures of a group say: the first that says anything.
func (g failureGroup) message(v *survey) string {
	for _, i := range g.nodes {
		if f := v.node(i).Failure; f != nil && clean(f.Message) != "" {
			return clean(f.Message)
		}
	}
	return ""
}

// failures groups the failed nodes by kind and cause, the largest group first.
func (v *survey) failures() []failureGroup {
	type key struct{ kind, cause string }
	at := map[key]int{}
	var groups []failureGroup
	for _, i := range v.ended {
		if v.node(i).Status != spec.StatusFailed {
			continue
		}
		k := key{v.failureKind(i), v.facts[i].cause}
		if _, ok := at[k]; !ok {
			at[k] = len(groups)
			groups = append(groups, failureGroup{kind: k.kind, cause: k.cause})
		}
		groups[at[k]].nodes = append(groups[at[k]].nodes, i)
	}
	slices.SortStableFunc(groups, func(a, b failureGroup) int {
		return cmp.Or(cmp.Compare(len(b.nodes), len(a.nodes)), cmp.Compare(a.kind, b.kind), cmp.Compare(a.cause, b.cause))
	})
	return groups
}

// failureKind is the kind of a failed node's failure; "unknown" when it has no record.
func (v *survey) failureKind(i int) string {
	if f := v.node(i).Failure; f != nil {
		return string(f.Kind)
	}
	return "unknown"
}
