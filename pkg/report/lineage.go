package report

import (
	"slices"

	"autoresearch/pkg/spec"
)

// tree is the hypothesis tree by index into Search.Nodes. Every node hangs under exactly one parent or is a root,
// whatever the files say.
type tree struct {
	parent   []int // -1: a root
	children [][]int
	roots    []int
}

// treeOf links the nodes. A parent that is not among them makes a root; of a circle of parents the node that arrived
// first becomes a root; of nodes with one id the first is the parent meant.
func treeOf(nodes []spec.HypothesisNode) tree {
	byID := make(map[string]int, len(nodes))
	for i := range nodes {
		if _, taken := byID[nodes[i].NodeID]; !taken {
			byID[nodes[i].NodeID] = i
		}
	}
	t := tree{parent: make([]int, len(nodes)), children: make([][]int, len(nodes))}
	for i := range nodes {
		t.parent[i] = -1
		if up, ok := byID[nodes[i].ParentID]; ok && nodes[i].ParentID != "" {
			t.parent[i] = up
		}
	}
	t.cutCircles()
	for i, up := range t.parent {
		if up < 0 {
			t.roots = append(t.roots, i)
		} else {
			t.children[up] = append(t.children[up], i)
		}
	}
	return t
}

// cutCircles makes a root of the first node of each circle of parents. Each node is walked over once.
func (t *tree) cutCircles() {
	walk := make([]int, len(t.parent)) // which walk, from 1, came past a node first
	for start := range t.parent {
		at := start
		for at >= 0 && walk[at] == 0 {
			walk[at] = start + 1
			at = t.parent[at]
		}
		if at >= 0 && walk[at] == start+1 {
			t.parent[t.firstOfCircle(at)] = -1
		}
	}
}

// firstOfCircle returns the node that arrived first among those of the circle that at is on.
func (t *tree) firstOfCircle(at int) int {
	first := at
	for next := t.parent[at]; next != at; next = t.parent[next] {
		first = min(first, next)
	}
	return first
}

// path returns the nodes from the root down to i.
func (t *tree) path(i int) []int {
	var path []int
	for ; i >= 0; i = t.parent[i] {
		path = append(path, i)
	}
	slices.Reverse(path)
	return path
}

// change is one key of a payload that differs between a parent and its child.
type change struct{ key, before, after string }

// unset stands in a change for a key that is not there.
const unset = "(unset)"

// changes compares two payloads, keys sorted. Values are compared as they are written.
func changes(before, after spec.Payload) []change {
	was, is := valuesOf(before), valuesOf(after)
	var out []change
	for _, key := range keysOf(was, is) {
		b, had := was[key]
		a, has := is[key]
		if !had {
			b = unset
		}
		if !has {
			a = unset
		}
		if b != a {
			out = append(out, change{key, b, a})
		}
	}
	return out
}

// valuesOf returns the top keys of a payload with their values as text for people.
func valuesOf(p spec.Payload) map[string]string {
	values := map[string]string{}
	for _, field := range objectFields([]byte(p)) {
		values[field.Name] = textOf(field.Value)
	}
	return values
}

// keysOf returns the keys of both maps, sorted.
func keysOf(a, b map[string]string) []string {
	var keys []string
	for key := range a {
		keys = append(keys, key)
	}
	for key := range b {
		if _, both := a[key]; !both {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}
