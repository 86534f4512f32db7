package workflow

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"autoresearch/pkg/spec"
)

const asking = `
objective: {metric: loss, direction: minimize}
max_concurrency: 2
kinds: {experiment: {command: [./train]}}
space: {lr: {float: [0, 1.50]}}
proposer: {command: [./think, "{{.id}}"], class: llm, timeout: 5m, ahead: 1}
`

func child(id spec.TaskID, payload string) spec.TaskSpec {
	return spec.TaskSpec{ID: id, Kind: spec.KindDefault, Payload: spec.Payload(payload)}
}

func ids(specs []spec.TaskSpec) string {
	var names []string
	for _, s := range specs {
		names = append(names, string(s.ID))
	}
	return strings.Join(names, " ")
}

// input is what a proposer reads.
type input struct {
	Objective map[string]string
	Space     json.RawMessage
	Ahead     int
	Want      int
	LeftOut   int `json:"left_out"`
	Nodes     []spec.HypothesisNode
}

func readInput(t testing.TB, c *Command, task spec.TaskSpec) input {
	t.Helper()
	recipe, err := c.Recipe(task)
	if err != nil || !recipe.Proposer {
		t.Fatalf("Recipe: %+v, %v", recipe, err)
	}
	if len(recipe.Stdin) > inputMax {
		t.Errorf("the input has %d bytes", len(recipe.Stdin))
	}
	var in input
	if err := json.Unmarshal(recipe.Stdin, &in); err != nil {
		t.Fatalf("input: %v\n%s", err, recipe.Stdin)
	}
	return in
}

// TestAsking follows a proposer through a search: begin, children, failures, the end.
func TestAsking(t *testing.T) {
	t.Parallel()
	r := newRun(t, mustParse(t, asking))
	first := r.take()
	if first.ID != "propose-0001" || first.Kind != KindPropose || first.Priority != -1e6 || len(r.queue) != 0 {
		t.Fatalf("first: %+v", first)
	}
	if in := readInput(t, r.command, first); in.Want != 3 || in.Ahead != 1 || len(in.Nodes) != 0 || in.LeftOut != 0 ||
		string(in.Space) != `{"lr":{"float":[0,1.50]}}` || in.Objective["direction"] != "minimize" {
		t.Errorf("input: %+v", in)
	}

	next := r.finishTwice(first, spec.TaskResult{Children: []spec.TaskSpec{
		child("a", `{"lr":1}`), child("b", `{"lr":2}`), child("c", `{"lr":1}`), child("a", `{"lr":3}`),
		{ID: "p", Kind: KindPropose}, {ID: "d", Kind: "experiment", Payload: spec.Payload(`{"lr":4}`), Parent: "b"},
		{ID: "e", Kind: "experiment", Payload: spec.Payload(`{"lr":5}`), Parent: "nobody"},
	}})
	if ids(next) != "a b d e" || next[0].Kind != "experiment" || next[2].Parent != "b" || next[3].Parent != "" {
		t.Fatalf("children: %+v", next)
	}

	r.queue = nil
	if next = r.finishTwice(next[0], measured("loss", 2)); len(next) != 0 {
		t.Errorf("asked with 3 outstanding: %v", ids(next))
	}
	b := child("b", `{"lr":2}`)
	b.Kind = "experiment"
	r.finishTwice(b, failed())
	next = r.finishTwice(spec.TaskSpec{ID: "d", Kind: "experiment"}, measured("loss", math.NaN()))
	if ids(next) != "propose-0002" {
		t.Fatalf("asked with 1 outstanding: %q", ids(next))
	}
	if next = r.finishTwice(next[0], failed()); len(next) != 0 {
		t.Errorf("a failed call is repeated at once: %v", ids(next))
	}
	next = r.finishTwice(spec.TaskSpec{ID: "e", Kind: "experiment"}, measured("loss", 3))
	if ids(next) != "propose-0003" || r.command.StopReason() != "" {
		t.Fatalf("asked again: %q, %q", ids(next), r.command.StopReason())
	}
	if next = r.finishTwice(next[0], failed()); ids(next) != "propose-0004" {
		t.Fatalf("asked again with nothing else to do: %q", ids(next))
	}
	if next = r.finishTwice(next[0], failed()); len(next) != 0 || r.command.StopReason() != "proposer: failed 3 times in a row: exit 1" {
		t.Errorf("%q, %q", ids(next), r.command.StopReason())
	}
	if got := r.restored().StopReason(); got != r.command.StopReason() {
		t.Errorf("restored: %q", got)
	}
	more, err := r.restored().Continue(t.Context())
	if err != nil || ids(more) != "propose-0005" {
		t.Errorf("a later start: %q, %v", ids(more), err)
	}
}

// TestAskingForMore asks again at once while too little came, and not when nothing new did.
func TestAskingForMore(t *testing.T) {
	t.Parallel()
	r := newRun(t, mustParse(t, asking))
	next := r.finishTwice(r.take(), spec.TaskResult{Children: []spec.TaskSpec{child("a", `{"lr":1}`)}})
	if ids(next) != "a propose-0002" {
		t.Fatalf("after one child: %q", ids(next))
	}
	call := next[1]
	r.finishTwice(next[0], measured("loss", 1))
	if next = r.finishTwice(call, spec.TaskResult{Children: []spec.TaskSpec{child("b", `{"lr":1}`), child("a", `{}`)}}); len(next) != 0 {
		t.Errorf("after nothing new: %q", ids(next))
	}
	if got := r.command.StopReason(); got != "" {
		t.Errorf("StopReason: %q", got)
	}
}

// TestAskingKeepsToTheLimit cuts children and calls off at stop.max_experiments.
func TestAskingKeepsToTheLimit(t *testing.T) {
	t.Parallel()
	r := newRun(t, mustParse(t, asking, "stop.max_experiments=2"))
	call := r.take()
	if in := readInput(t, r.command, call); in.Want != 2 {
		t.Errorf("want %d", in.Want)
	}
	next := r.finishTwice(call, spec.TaskResult{Children: []spec.TaskSpec{child("a", `{"lr":1}`), child("b", `{"lr":2}`), child("c", `{"lr":3}`)}})
	if ids(next) != "a b" {
		t.Fatalf("children: %q", ids(next))
	}
	if next = r.finishTwice(next[0], measured("loss", 1)); len(next) != 0 {
		t.Errorf("asked at the limit: %q", ids(next))
	}
}

// TestInputNodes reads back what a proposer is told about experiments.
func TestInputNodes(t *testing.T) {
	t.Parallel()
	r := newRun(t, mustParse(t, asking, "initial=[{id: base, kind: experiment, payload: {lr: 0.1}}]", "proposer.ahead=9"))
	base := r.take()
	next := r.finish(base, spec.TaskResult{
		Metrics: map[string]float64{"loss": 1.5, "steps": 10}, Output: json.RawMessage(`{"note":"ok"}`), Attempt: 2,
		Started: time.Unix(1700000000, 500_000_000), Duration: 1500 * time.Millisecond,
		Children: []spec.TaskSpec{{ID: "own", Kind: "experiment", Payload: spec.Payload(`{"lr":0.2}`)}},
	})
	if ids(next) != "own propose-0001" {
		t.Fatalf("next: %q", ids(next))
	}
	r.finish(spec.TaskSpec{ID: "bad", Kind: "experiment", Parent: "base"}, failed())
	nodes := readInput(t, r.command, next[1]).Nodes
	if len(nodes) != 3 {
		t.Fatalf("%d nodes", len(nodes))
	}
	launched, duration := 1700000000.5, 1.5
	want := spec.HypothesisNode{
		NodeID: "base", Name: "base", Spec: spec.Payload(`{"lr":0.1}`), Status: spec.StatusCompleted, JobID: "base/2",
		LaunchedAt: &launched, Duration: &duration, Children: []string{},
		Result: json.RawMessage(`{"metrics":{"loss":1.5,"steps":10.0},"output":{"note":"ok"}}`),
		Extra:  []spec.Field{{Name: "kind", Value: json.RawMessage(`"experiment"`)}},
	}
	if !reflect.DeepEqual(nodes[0], want) {
		t.Errorf("base:\n%+v, want\n%+v", nodes[0], want)
	}
	if own := nodes[1]; own.NodeID != "own" || own.ParentID != "base" || own.Status != spec.StatusQueued || own.Result != nil {
		t.Errorf("own: %+v", own)
	}
	if bad := nodes[2]; bad.ParentID != "base" || bad.Status != spec.StatusFailed || bad.Failure.Message != "exit 1" {
		t.Errorf("bad: %+v", bad)
	}
}

// TestInputOfOddResults has an output that is no JSON, an objective to maximize, and no space.
func TestInputOfOddResults(t *testing.T) {
	t.Parallel()
	r := newRun(t, mustParse(t, asking, "objective.direction=maximize", "space=null"))
	result := measured("loss", 1)
	result.Output = json.RawMessage(`{`)
	if _, err := r.command.OnResult(t.Context(), spec.TaskSpec{ID: "a", Kind: "experiment"}, result); err != nil {
		t.Fatal(err)
	}
	in := readInput(t, r.command, r.take())
	if in.Objective["direction"] != "maximize" || string(in.Space) != "null" || string(in.Nodes[0].Result) != `{"metrics":{"loss":1.0}}` {
		t.Errorf("%+v", in)
	}
}

// TestInputIsBounded has more and bigger experiments than fit.
func TestInputIsBounded(t *testing.T) {
	t.Parallel()
	r := newRun(t, mustParse(t, asking))
	const count = 3000
	for i := range count {
		task := spec.TaskSpec{ID: spec.TaskID(fmt.Sprint("x", i)), Kind: "experiment", Payload: spec.Payload(fmt.Sprintf(`{"lr":%d}`, i))}
		result := measured("loss", float64((i*7919)%count))
		result.Output = json.RawMessage(`"` + strings.Repeat("x", 1000) + `"`)
		if i == count-1 {
			result.Output = json.RawMessage(`"` + strings.Repeat("x", nodeMax) + `"`)
		}
		if _, err := r.command.OnResult(t.Context(), task, result); err != nil {
			t.Fatal(err)
		}
	}
	in := readInput(t, r.command, r.take())
	if len(in.Nodes) < 200 || len(in.Nodes)+in.LeftOut != count {
		t.Errorf("%d nodes, %d left out", len(in.Nodes), in.LeftOut)
	}
	best := map[string]bool{}
	for i := range count {
		if (i*7919)%count < rankedMax && i != count-1 {
			best[fmt.Sprint("x", i)] = true
		}
	}
	for _, n := range in.Nodes {
		delete(best, n.NodeID)
	}
	if len(best) > 0 {
		t.Errorf("the best are missing: %v", best)
	}
	if last := in.Nodes[len(in.Nodes)-1].NodeID; last != "x2998" {
		t.Errorf("the last node is %s", last)
	}
}
