//go:build linux

package main

import (
	"slices"
	"testing"

	"autoresearch/test/chaos/tree"
)

// grown returns the nodes and the history that a faultless run of a tree leaves.
func grown(t *tree.Tree) (nodes []treeNode, h history) {
	parents := map[string]string{}
	for n := range t.Size {
		task := t.Task(n)
		node := treeNode{ID: task.ID, Status: "completed", Payload: task.Payload, Priority: task.Priority, Attempt: 1}
		node.Result.Metrics = map[string]float64{"value": t.Value(n)}
		if parent, ok := parents[task.ID]; ok {
			node.Parent = &parent
		}
		for _, child := range t.Children(n) {
			node.Children = append(node.Children, child.ID)
			parents[child.ID] = task.ID
		}
		nodes = append(nodes, node)
		h.executions = append(h.executions, &execution{number: n, attempt: 1, start: at(1), end: at(2)})
	}
	return nodes, h
}

// TestOracle checks that the oracle accepts what is right, and notices each thing that is not.
func TestOracle(t *testing.T) {
	t.Parallel()
	grove := tree.New(3, 100)
	nodes, h := grown(grove)
	if wrong := judgeTree(grove, &h, nodes); len(wrong) > 0 {
		t.Fatalf("a faultless tree: %q", wrong)
	}
	mother := slices.IndexFunc(nodes, func(n treeNode) bool { return len(n.Children) > 1 })
	for name, harm := range map[string]func(nodes []treeNode, h *history) []treeNode{
		"lost":     func(nodes []treeNode, _ *history) []treeNode { return nodes[:99] },
		"twice":    func(nodes []treeNode, _ *history) []treeNode { return append(nodes, nodes[7]) },
		"invented": func(nodes []treeNode, _ *history) []treeNode { return append(nodes, treeNode{ID: "x"}) },
		"failed":   func(nodes []treeNode, _ *history) []treeNode { nodes[7].Status = "failed"; return nodes },
		"payload":  func(nodes []treeNode, _ *history) []treeNode { nodes[7].Payload.Check++; return nodes },
		"priority": func(nodes []treeNode, _ *history) []treeNode { nodes[7].Priority++; return nodes },
		"metric":   func(nodes []treeNode, _ *history) []treeNode { nodes[7].Result.Metrics = nil; return nodes },
		"parent":   func(nodes []treeNode, _ *history) []treeNode { nodes[7].Parent = nil; return nodes },
		"children": func(nodes []treeNode, _ *history) []treeNode {
			nodes[mother].Children = nodes[mother].Children[1:]
			return nodes
		},
		"not run": func(nodes []treeNode, h *history) []treeNode {
			h.executions = slices.Delete(h.executions, 7, 8)
			return nodes
		},
		"attempt 0": func(nodes []treeNode, _ *history) []treeNode { nodes[7].Attempt = 0; return nodes },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes, h := grown(grove)
			if wrong := judgeTree(grove, &h, harm(nodes, &h)); len(wrong) != 1 {
				t.Errorf("it says %q", wrong)
			}
		})
	}
}
