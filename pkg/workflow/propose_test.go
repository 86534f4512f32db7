package workflow

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"autoresearch/pkg/spec"
)

const small = `
objective: {metric: loss, direction: minimize}
kinds: {experiment: {command: [./train]}}
space:
  a: {int: [1, 4]}
  b: {choice: [x, y, z]}
`

const wide = `
objective: {metric: loss, direction: maximize}
kinds: {experiment: {command: [./train]}, other: {command: [./eval]}}
initial:
  - {id: baseline, kind: experiment, priority: -1000, payload: {fixed: 12345678901234567890, a: 0.5, note: "x"}}
  - {id: second, kind: experiment, payload: {a: 0.7, b: 16}}
space:
  a: {float: [0, 1]}
  b: {log_float: [0.01, 100]}
  c: {choice: [1, 2, 4, 8]}
`

// holdsPayload reports what is wrong with a proposed payload.
func holdsPayload(f *File, payload spec.Payload) error {
	fields, err := payloadFields(payload)
	if err != nil {
		return err
	}
	for i := range f.Space {
		place := lastNamed(fields, f.Space[i].Name)
		if place < 0 {
			return fmt.Errorf("%s has no %s", payload, f.Space[i].Name)
		}
		if !f.Space[i].holds(fields[place].Value) {
			return fmt.Errorf("%s: %s is out of bounds", payload, f.Space[i].Name)
		}
	}
	return nil
}

// TestProposals runs searches in which results come in any order, fail and bring children of their own, and checks each
// answer: it is what a restored workflow answers too, holds only new payloads within the bounds, and keeps to the caps.
func TestProposals(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		ahead, slots := rapid.IntRange(0, 5).Draw(rt, "ahead"), rapid.IntRange(1, 4).Draw(rt, "slots")
		limit := rapid.IntRange(1, 40).Draw(rt, "max_experiments")
		f := mustParse(t, rapid.SampledFrom([]string{small, wide}).Draw(rt, "file"),
			fmt.Sprintf("proposer.ahead=%d", ahead), fmt.Sprintf("max_concurrency=%d", slots),
			fmt.Sprintf("stop.max_experiments=%d", limit), fmt.Sprintf("proposer.seed=%d", rapid.Int().Draw(rt, "seed")),
			"proposer.strategy="+rapid.SampledFrom([]string{StrategyMutate, StrategyRandom}).Draw(rt, "strategy"))
		r := newRun(t, f)
		tried := map[uint64]bool{}
		for _, s := range r.queue {
			tried[s.ContentHash()] = true
		}
		for step := 0; len(r.queue) > 0; step++ {
			task := drawTask(rt, r)
			result := drawResult(rt, task, step)
			next := r.finishTwice(task, result)
			for _, s := range next[:len(result.Children)] {
				tried[s.ContentHash()] = true
			}
			proposals := next[len(result.Children):]
			for _, s := range proposals {
				if err := holdsPayload(f, s.Payload); err != nil || s.Kind != "experiment" || s.Parent == "" && f.Initial != nil {
					rt.Fatalf("%s of %q, child of %q: %v", s.ID, s.Kind, s.Parent, err)
				}
				if hash := s.ContentHash(); tried[hash] {
					rt.Fatalf("%s was tried before: %s", s.ID, s.Payload)
				} else {
					tried[hash] = true
				}
			}
			if len(proposals) > 0 && (len(r.queue) > ahead+slots || len(r.tasks) > limit) {
				rt.Fatalf("%d outstanding with %d ahead of %d slots; %d of %d experiments", len(r.queue), ahead, slots, len(r.tasks), limit)
			}
		}
	})
}

func drawTask(rt *rapid.T, r *run) spec.TaskSpec {
	i := rapid.IntRange(0, len(r.queue)-1).Draw(rt, "task")
	task := r.queue[i]
	r.queue = append(r.queue[:i:i], r.queue[i+1:]...)
	return task
}

func drawResult(rt *rapid.T, task spec.TaskSpec, step int) spec.TaskResult {
	result := measured("loss", float64(rapid.IntRange(0, 9).Draw(rt, "loss")))
	switch rapid.IntRange(0, 9).Draw(rt, "outcome") {
	case 0, 1:
		result = failed()
	case 2:
		result.Metrics = map[string]float64{"other": 1}
	case 3:
		child := spec.TaskSpec{ID: spec.TaskID(fmt.Sprintf("e%d", 100*step)), Kind: "experiment", Payload: task.Payload}
		result.Children = []spec.TaskSpec{child, {ID: task.ID + "+", Kind: "other"}}
	}
	return result
}

// TestSpaceIsTriedToItsEnd runs a search of 12 points without a limit.
func TestSpaceIsTriedToItsEnd(t *testing.T) {
	t.Parallel()
	for _, strategy := range []string{StrategyMutate, StrategyRandom} {
		r := newRun(t, mustParse(t, small, "proposer.strategy="+strategy))
		for len(r.queue) > 0 {
			task := r.take()
			r.finish(task, measured("loss", floats(t, task.Payload, "a")[0]))
		}
		if len(r.done) != 12 {
			t.Errorf("%s: %d experiments, want all 12", strategy, len(r.done))
		}
	}
}

// TestFailedRootsDoNotEndASearch fails everything at first.
func TestFailedRootsDoNotEndASearch(t *testing.T) {
	t.Parallel()
	r := newRun(t, mustParse(t, wide, "stop.max_experiments=30", "proposer.ahead=2"))
	for len(r.queue) > 0 {
		task, result := r.take(), failed()
		if len(r.done) >= 10 {
			result = measured("loss", 1)
		}
		for _, s := range r.finish(task, result) {
			if !strings.Contains(string(s.Payload), `"fixed":12345678901234567890,`) && s.Parent != "second" {
				t.Errorf("%s lost the fixed keys: %s", s.ID, s.Payload)
			}
			if len(r.done) < 10 && (s.Parent != "baseline" || s.Priority != 0) {
				t.Errorf("%s before any success is a child of %s with priority %v", s.ID, s.Parent, s.Priority)
			}
		}
	}
	if len(r.done) != 30 {
		t.Errorf("%d experiments, want 30", len(r.done))
	}
}

// TestChildrenFollowTheirParents checks ranks, priorities and the number of children of one result.
func TestChildrenFollowTheirParents(t *testing.T) {
	t.Parallel()
	f := mustParse(t, wide, "proposer.ahead=40", "proposer.children=3")
	r := newRun(t, f)
	baseline, second := r.take(), r.take()
	r.finish(baseline, measured("loss", 1))
	for _, task := range r.queue {
		if task.Parent == "baseline" && task.Priority != 0 && task.Priority != restartPriority {
			t.Errorf("%s has priority %v", task.ID, task.Priority)
		}
	}
	for len(r.queue) > 0 { // make room
		r.finishQuietly(r.take())
	}
	next := r.finish(second, measured("loss", 5))
	mutants := map[spec.TaskID]int{}
	for _, s := range next {
		switch {
		case s.Parent == "second" && s.Priority != 0, s.Parent == "baseline" && s.Priority != 1:
			t.Errorf("%s of %s has priority %v", s.ID, s.Parent, s.Priority)
		case s.Parent == "second":
			mutants["second"]++
		}
	}
	if len(next) != 41 || mutants["second"] != 3 {
		t.Errorf("%d proposals, %d of them of the best; want 41 and 3", len(next), mutants["second"])
	}
	if string(next[0].ID) != "e0041" {
		t.Errorf("the next proposal is %s, want e0041", next[0].ID)
	}
}

// finishQuietly fails a task and takes back what the workflow proposed for it.
func (r *run) finishQuietly(task spec.TaskSpec) {
	r.t.Helper()
	h := r.command.history
	h.finish(task, failed())
}

// TestIDsNeverCollide has users take the ids of proposals.
func TestIDsNeverCollide(t *testing.T) {
	t.Parallel()
	h := newHistory(mustParse(t, small))
	for _, id := range []spec.TaskID{"e7", "e0012", "e", "e-3", "e1x", "E99", "e99999999999999999999", "propose-0040"} {
		h.admit(spec.TaskSpec{ID: id, Kind: "experiment", Payload: spec.Payload(`{"id":"` + string(id) + `"}`)}, "")
	}
	if proposal, ok := h.propose(map[spec.TaskID]int{}); !ok || proposal.ID != "e0013" {
		t.Errorf("%v, %v, want e0013", proposal.ID, ok)
	}
}

// TestRankedIsBounded keeps the best however many there are.
func TestRankedIsBounded(t *testing.T) {
	t.Parallel()
	h := newHistory(mustParse(t, small))
	for i := range 500 {
		task := spec.TaskSpec{ID: spec.TaskID(fmt.Sprintf("x%d", i)), Kind: "experiment"}
		h.finish(task, measured("loss", float64(i*7919%500)))
	}
	if len(h.ranked) != rankedMax || len(h.recent) != 0 {
		t.Fatalf("%d ranked, %d recent", len(h.ranked), len(h.recent))
	}
	for i, e := range h.ranked {
		if e.value != float64(i) {
			t.Errorf("rank %d has %v", i, e.value)
		}
	}
}
