//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"autoresearch/test/chaos/tree"
)

// The oracle knows nothing of the product but two files that it writes for people: engine_state.json and
// engine/tree.json. What they must say follows from the tree and from the experiments' own log.

// treeNode is one entry of engine/tree.json.
type treeNode struct {
	ID       string       `json:"node_id"`
	Parent   *string      `json:"parent_id"`
	Status   string       `json:"status"`
	Payload  tree.Payload `json:"spec"`
	Children []string     `json:"children"`
	Priority float64      `json:"priority"`
	Attempt  int          `json:"attempt"`
	Result   struct {
		Metrics map[string]float64 `json:"metrics"`
	} `json:"result"`
	Failure json.RawMessage `json:"failure"`
}

// engineState is engine_state.json.
type engineState struct {
	Status          string
	Queued, Running []json.RawMessage
}

// judge returns what is wrong with a workdir whose run has ended.
func judge(t *tree.Tree, h *history, workdir string) (wrong []string) {
	var state engineState
	var nodes []treeNode
	if err := readJSON(filepath.Join(workdir, "engine_state.json"), &state); err != nil {
		return []string{err.Error()}
	}
	if err := readJSON(filepath.Join(workdir, "engine", "tree.json"), &nodes); err != nil {
		return []string{err.Error()}
	}
	if state.Status != "stopped" || len(state.Queued)+len(state.Running) > 0 {
		wrong = append(wrong, fmt.Sprintf("%s: the status is %q with %d queued and %d running tasks",
			workdir, state.Status, len(state.Queued), len(state.Running)))
	}
	for _, w := range judgeTree(t, h, nodes) {
		wrong = append(wrong, workdir+": "+w)
	}
	return wrong
}

func readJSON(path string, v any) error {
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// judgeTree compares the nodes that a run left with the tree: nothing is lost, nothing invented, everything applied once.
func judgeTree(t *tree.Tree, h *history, nodes []treeNode) (wrong []string) {
	seen := map[int]bool{}
	ended := endedAttempts(h)
	for _, n := range nodes {
		number, known := t.Number(n.ID)
		switch {
		case !known:
			wrong = append(wrong, fmt.Sprintf("%q is no task of the tree", n.ID))
			continue
		case seen[number]:
			wrong = append(wrong, fmt.Sprintf("%q is there twice", n.ID))
			continue
		}
		seen[number] = true
		wrong = append(wrong, judgeNode(t, number, n, ended[number])...)
	}
	for number := range t.Size {
		if !seen[number] {
			wrong = append(wrong, fmt.Sprintf("%q is lost", tree.ID(number)))
		}
	}
	return wrong
}

// endedAttempts returns which attempts of each task were executed to their end.
func endedAttempts(h *history) map[int][]int {
	ended := map[int][]int{}
	for _, e := range h.executions {
		if !e.end.IsZero() {
			ended[e.number] = append(ended[e.number], e.attempt)
		}
	}
	return ended
}

// judgeNode compares one node with its task, and with the attempts that were executed to their end.
func judgeNode(t *tree.Tree, number int, n treeNode, ended []int) (wrong []string) {
	say := func(format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("%q: ", n.ID)+fmt.Sprintf(format, args...))
	}
	task := t.Task(number)
	if n.Status != "completed" {
		say("it is %s: %s", n.Status, n.Failure)
	}
	if n.Payload != task.Payload || n.Priority != task.Priority {
		say("payload %+v and priority %v are not its own", n.Payload, n.Priority)
	}
	if parent := parentID(t, number); n.Parent == nil && parent != "" || n.Parent != nil && *n.Parent != parent {
		say("its parent is not %q", parent)
	}
	if value, ok := n.Result.Metrics["value"]; n.Status == "completed" && (!ok || value != t.Value(number)) {
		say("its metric is %v, not %v", value, t.Value(number))
	}
	var children []string
	for _, child := range t.Children(number) {
		children = append(children, child.ID)
	}
	if !slices.Equal(n.Children, children) {
		say("its children are %q, not %q", n.Children, children)
	}
	if n.Status == "completed" && len(ended) == 0 {
		say("it was never executed to its end")
	}
	if len(ended) > 0 && n.Attempt < slices.Min(ended) {
		say("attempt %d is below those that ended: %v", n.Attempt, ended)
	}
	return wrong
}

// parentID returns the id of a task's parent, "" for the root.
func parentID(t *tree.Tree, number int) string {
	parent, ok := t.Parent(number)
	if !ok {
		return ""
	}
	return tree.ID(parent)
}
