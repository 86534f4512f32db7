package coordinator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// ledger is the readers' copy of a run: every task as the last commit left it. Snapshots, reports and displays read it,
// so that none of them ever touches the engine. It is safe for concurrent use; the tasks in it never change.
type ledger struct {
	objective spec.Objective
	uncounted map[string]bool // kinds that are not experiments

	mu      sync.RWMutex
	tasks   map[spec.TaskID]*spec.Task
	last    committed // without Changed
	best    Best
	hasBest bool
	endings []time.Time // when the newest experiments ended, oldest first: for the rate
}

// Best is the best experiment so far.
type Best struct {
	Task  spec.TaskID
	Value float64
}

// endingsMax is how many endings the rate looks back on.
const endingsMax = 64

func newLedger(o spec.Objective, policies map[string]spec.KindPolicy) *ledger {
	g := &ledger{objective: o, uncounted: make(map[string]bool), tasks: make(map[spec.TaskID]*spec.Task)}
	for kind, p := range policies {
		g.uncounted[kind] = p.Uncounted
	}
	return g
}

// restore takes a task of the fold, before the first commit.
func (g *ledger) restore(t *spec.Task) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tasks[t.Spec.ID] = t
	if t.State.Terminal() {
		g.score(t)
	}
}

// follow implements follower.
func (g *ledger) follow(c *committed) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range c.changed {
		g.tasks[t.Spec.ID] = t
		if t.State.Terminal() {
			g.score(t)
			g.noteEnding(t)
		}
	}
	g.last = *c
	g.last.changed = nil
}

// score compares a finished task with the best so far.
func (g *ledger) score(t *spec.Task) {
	if g.objective.Metric == "" || t.State != spec.StateCompleted || g.uncounted[t.Spec.Kind] {
		return
	}
	result, err := resultOf(t)
	if err != nil {
		return // its failure says so
	}
	value, ok := result.Metrics[g.objective.Metric]
	if ok && g.objective.Improves(value, g.best.Value, g.hasBest) {
		g.best, g.hasBest = Best{Task: t.Spec.ID, Value: value}, true
	}
}

func (g *ledger) noteEnding(t *spec.Task) {
	if g.uncounted[t.Spec.Kind] {
		return
	}
	if len(g.endings) == endingsMax {
		g.endings = slices.Delete(g.endings, 0, 1)
	}
	g.endings = append(g.endings, t.Ended.Time())
}

// sorted returns every task in order of arrival.
func (g *ledger) sorted() []*spec.Task {
	g.mu.RLock()
	tasks := make([]*spec.Task, 0, len(g.tasks))
	for _, t := range g.tasks {
		tasks = append(tasks, t)
	}
	g.mu.RUnlock()
	slices.SortFunc(tasks, func(a, b *spec.Task) int { return cmp.Compare(a.Seq, b.Seq) })
	return tasks
}

// each calls f for every task as the newest commit left it, and returns that commit's position.
func (g *ledger) each(f func(*spec.Task)) position {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, t := range g.tasks {
		f(t)
	}
	return g.last.position
}

// state returns what engine_state.json says: the queue in scheduling order, and what is under way.
func (g *ledger) state() spec.EngineState {
	g.mu.RLock()
	status := g.last.meta.Status
	var queued, running []*spec.Task
	for _, t := range g.tasks {
		switch {
		case t.State.Terminal():
		case t.State != spec.StateQueued, t.Interrupted && status == spec.StatusInterrupted:
			running = append(running, t)
		default:
			queued = append(queued, t)
		}
	}
	g.mu.RUnlock()
	return spec.EngineState{Status: status, Queued: inOrder(queued), Running: inOrder(running)}
}

// inOrder returns the specs of tasks in scheduling order, with their effective priorities.
func inOrder(tasks []*spec.Task) []spec.TaskSpec {
	slices.SortFunc(tasks, func(a, b *spec.Task) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Seq, b.Seq))
	})
	specs := make([]spec.TaskSpec, len(tasks))
	for i, t := range tasks {
		specs[i] = t.Spec
		specs[i].Priority = t.Priority
	}
	return specs
}

// nodes returns the hypothesis tree: every experiment in order of arrival.
func (g *ledger) nodes() []spec.HypothesisNode {
	tasks := g.sorted()
	kids := make(map[spec.TaskID][]string, len(tasks))
	for _, t := range tasks {
		if t.Parent != "" && !g.uncounted[t.Spec.Kind] {
			kids[t.Parent] = append(kids[t.Parent], string(t.Spec.ID))
		}
	}
	nodes := make([]spec.HypothesisNode, 0, len(tasks))
	for _, t := range tasks {
		if !g.uncounted[t.Spec.Kind] {
			nodes = append(nodes, nodeOf(t, kids[t.Spec.ID]))
		}
	}
	return nodes
}

// nodeOf returns a task as a node of the tree.
func nodeOf(t *spec.Task, kids []string) spec.HypothesisNode {
	n := spec.HypothesisNode{
		NodeID: string(t.Spec.ID), Name: string(t.Spec.ID), ParentID: string(t.Parent), Spec: t.Spec.Payload,
		Status: nodeStatus(t.State), Children: kids, Priority: t.Priority,
		Extra: []spec.Field{{Name: "kind", Value: text(t.Spec.Kind)}},
	}
	if t.Attempt > 0 {
		n.JobID = fmt.Sprintf("%s/%d", t.Spec.ID, t.Attempt)
		n.Extra = append(n.Extra, spec.Field{Name: "attempt", Value: number(float64(t.Attempt))})
	}
	if t.Started != 0 {
		launched := t.Started.Seconds()
		n.LaunchedAt = &launched
	}
	if t.Outcome != nil {
		addOutcome(&n, t)
	}
	return n
}

func addOutcome(n *spec.HypothesisNode, t *spec.Task) {
	n.Failure = t.Outcome.Failure
	result, err := resultOf(t)
	if err != nil {
		return // its failure says so
	}
	n.Result = resultJSON(result)
	if result.Duration > 0 {
		seconds := result.Duration.Seconds()
		n.Duration = &seconds
	}
	if !result.Started.IsZero() {
		launched := float64(result.Started.UnixNano()) / 1e9
		n.LaunchedAt = &launched
	}
	n.Extra = append(n.Extra, spec.Field{Name: "worker", Value: text(string(result.Worker))},
		spec.Field{Name: "host", Value: text(result.Host)})
	if t.Ended != 0 {
		n.Extra = append(n.Extra, spec.Field{Name: "ended_at", Value: number(t.Ended.Seconds())})
	}
}

// resultJSON returns {"metrics": {...}, "output": {...}} in the dialect of the files; nil when there is neither.
func resultJSON(r spec.TaskResult) json.RawMessage {
	if len(r.Metrics) == 0 && len(r.Output) == 0 {
		return nil
	}
	metrics := make(map[string]any, len(r.Metrics))
	for name, value := range r.Metrics {
		metrics[name] = value
	}
	fields := []spec.Field{{Name: "metrics", Value: encoded(metrics)}}
	if len(r.Output) > 0 {
		fields = append(fields, spec.Field{Name: "output", Value: r.Output})
	}
	return spec.EncodeFields(fields)
}

func text(s string) json.RawMessage { return encoded(s) }

func number(f float64) json.RawMessage {
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return json.RawMessage(strconv.FormatInt(int64(f), 10))
	}
	return encoded(f)
}

// encoded encodes a value that is known to be encodable: maps, strings and numbers.
func encoded(v any) json.RawMessage {
	data, err := spec.EncodeValue(v)
	if err != nil {
		panic(fmt.Sprintf("coordinator: encode %T: %v", v, err))
	}
	return data
}

func nodeStatus(s spec.TaskState) string {
	switch s {
	case spec.StateCompleted:
		return spec.StatusCompleted
	case spec.StateFailed:
		return spec.StatusFailed
	case spec.StateQueued:
		return spec.StatusQueued
	}
	return spec.StatusNodeRuns
}

// position returns the newest commit's.
func (g *ledger) position() position {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.last.position
}

// watermark returns the results stream and the position in it up to which the journal reflects every result.
func (g *ledger) watermark() (resultsID, mark uint64) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.last.meta.ResultsID, g.last.position.watermark
}

// meta returns the run-level state as of the newest commit.
func (g *ledger) meta() spec.Meta {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.last.meta
}

// Status is a run at a glance.
type Status struct {
	Run    spec.RunName
	Status spec.Status
	Reason string // why it is stopped, or why nothing more is dispatched
	Counts engine.Counts
	Epoch  uint64
	// Best is the best experiment so far; nil when there is none, or no objective.
	Best *Best
	// PerMinute is the rate at which experiments end, over the newest of them; 0 when unknown.
	PerMinute float64
}

// status returns the run at a glance.
func (g *ledger) status(now time.Time) Status {
	g.mu.RLock()
	defer g.mu.RUnlock()
	s := Status{Status: g.last.meta.Status, Reason: g.last.reason, Counts: g.last.counts, Epoch: g.last.position.epoch}
	if g.hasBest {
		best := g.best
		s.Best = &best
	}
	if n := len(g.endings); n > 0 {
		if span := now.Sub(g.endings[0]); span > 0 {
			s.PerMinute = float64(n) / span.Minutes()
		}
	}
	return s
}
