package coordinator

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// ledger is the readers' copy of a run: every task as the last commit left it. Snapshots, reports and displays read it,
// so that none of them ever touches the engine. It is safe for concurrent use; the tasks in it never change. What has
// finished is packed after a while, and unpacked by whoever reads it, without the lock.
type ledger struct {
	objective spec.Objective
	kinds     map[string]spec.KindPolicy

	mu       sync.RWMutex
	rows     rows
	ripening ripening
	counts   Experiments
	demand   demand
	last     committed // without Changed
	best     Best
	hasBest  bool
	scores   []Score                // of every experiment with a value of the objective, as they ended; only ever appended to
	endings  map[string][]time.Time // when the newest tasks of a class ended, oldest first: for the rates
	past     map[spec.TaskID][]PastAttempt
	purses   map[spec.TaskID]engine.PurseState

	now atomic.Int64 // the engine time of the newest turn
}

// Best is the best experiment so far.
type Best struct {
	Task  spec.TaskID
	Value float64
}

// Experiments counts a run's tasks by what became of them, without those of uncounted kinds (a proposer's).
type Experiments struct {
	Queued, Running              int
	Completed, Failed, Cancelled int // Cancelled tasks are not in Failed
}

// count adds a task, or takes it away.
func (e *Experiments) count(t *spec.Task, by int) {
	switch {
	case t.State == spec.StateQueued:
		e.Queued += by
	case !t.State.Terminal():
		e.Running += by
	case t.State == spec.StateCompleted:
		e.Completed += by
	case t.Cancelled && t.Outcome.Failure.Cause() == spec.CauseCancelled:
		e.Cancelled += by
	default:
		e.Failed += by
	}
}

// endingsMax is how many endings the rate looks back on.
const endingsMax = 64

func newLedger(o spec.Objective, kinds map[string]spec.KindPolicy) *ledger {
	return &ledger{
		objective: o, kinds: kinds, rows: newRows(0), endings: make(map[string][]time.Time), demand: make(demand),
		past: make(map[spec.TaskID][]PastAttempt), purses: make(map[spec.TaskID]engine.PurseState),
		ripening: ripening{young: make(map[int]struct{})},
	}
}

// uncounted reports whether tasks of a kind are no experiments.
func (g *ledger) uncounted(kind string) bool { return g.kinds[kind].Uncounted }

// class returns the pool of slots that a kind runs in.
func (g *ledger) class(kind string) string {
	policy, listed := g.kinds[kind]
	if !listed {
		policy = g.kinds[spec.KindDefault]
	}
	return cmp.Or(policy.Class, spec.ClassDefault)
}

// restore takes the tasks of the fold, in order of arrival, before the first commit.
func (g *ledger) restore(order []*folded) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.rows = newRows(len(order))
	for _, f := range order {
		g.tally(nil, f.task)
		place := g.rows.add(f.task)
		g.ripening.note(place, f.task)
		if f.task.State.Terminal() {
			g.score(place, f.task)
		}
	}
	slices.SortStableFunc(g.scores, func(a, b Score) int { return cmp.Compare(a.Ended, b.Ended) })
}

// parked counts, by class, the queued tasks that an allowance does not let begin.
func (g *ledger) parked() map[string]int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.last.parked
}

// size is how many tasks the run has had.
func (g *ledger) size() int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.rows.len()
}

// task returns a task as the newest commit left it.
func (g *ledger) task(id spec.TaskID) (t *spec.Task, ok bool) {
	h, ok := g.held(id)
	if !ok {
		return nil, false
	}
	return new(unpacker).task(h.ref), true
}

// unpacked is task for one that need not be looked up any more once it is packed.
func (g *ledger) unpacked(id spec.TaskID) (t *spec.Task, ok bool) {
	h, _ := g.held(id)
	return h.task, h.task != nil
}

// held returns a task's row as readers take it along.
func (g *ledger) held(id spec.TaskID) (h held, ok bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	place, ok := g.rows.find(id)
	if !ok {
		return held{}, false
	}
	return g.rows.held(place), true
}

// tally counts a task that was before, unless it is new, and is after.
func (g *ledger) tally(before, after *spec.Task) {
	kind := g.listed(after.Spec.Kind)
	if before != nil {
		g.demand.count(kind, before, -1)
	}
	g.demand.count(kind, after, 1)
	if g.uncounted(after.Spec.Kind) {
		return
	}
	if before != nil {
		g.counts.count(before, -1)
	}
	g.counts.count(after, 1)
}

// follow implements follower.
func (g *ledger) follow(c *committed) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, t := range c.changed {
		place, known := g.rows.of(t)
		if !known {
			g.tally(nil, t)
			place = g.rows.add(t)
		} else {
			before := g.rows.task(place)
			g.tally(before, t)
			g.notePast(before, t, c.wall)
			g.rows.at(place).task = t
		}
		g.ripening.note(place, t)
		if t.State.Terminal() {
			g.score(place, t)
			g.noteEnding(t)
			if len(g.past) > pastTasksMax {
				delete(g.past, t.Spec.ID)
			}
		}
	}
	g.take(c.purses)
	g.last = *c
	g.last.changed, g.last.parts, g.last.acts, g.last.purses = nil, nil, nil, nil
}

// score notes a finished task's value of the objective and compares it with the best so far.
func (g *ledger) score(place int, t *spec.Task) {
	if g.objective.Metric == "" || t.State != spec.StateCompleted || g.uncounted(t.Spec.Kind) {
		return
	}
	result, err := resultOf(t)
	if err != nil {
		return // its failure says so
	}
	value, ok := result.Metrics[g.objective.Metric]
	if !ok {
		return
	}
	g.rows.at(place).score = value
	g.scores = append(g.scores, Score{Task: t.Spec.ID, Value: value, Ended: t.Ended})
	if g.objective.Improves(value, g.best.Value, g.hasBest) {
		g.best, g.hasBest = Best{Task: t.Spec.ID, Value: value}, true
	}
}

// noteEnding keeps the newest endings of experiments under "", and those of all tasks under their class.
func (g *ledger) noteEnding(t *spec.Task) {
	if !g.uncounted(t.Spec.Kind) {
		g.noteEndingOf("", t)
	}
	if t.Attempt > 0 {
		g.noteEndingOf(g.class(t.Spec.Kind), t)
	}
}

func (g *ledger) noteEndingOf(name string, t *spec.Task) {
	endings := g.endings[name]
	if len(endings) == endingsMax {
		endings = slices.Delete(endings, 0, 1)
	}
	g.endings[name] = append(endings, t.Ended.Time())
}

// perMinute is the rate of the newest endings; 0 when there were none.
func (g *ledger) perMinute(name string, now time.Time) float64 {
	endings := g.endings[name]
	if len(endings) == 0 {
		return 0
	}
	span := now.Sub(endings[0])
	if span <= 0 {
		return 0
	}
	return float64(len(endings)) / span.Minutes()
}

// state returns what engine_state.json says: the queue in scheduling order, and what is under way.
func (g *ledger) state() spec.EngineState {
	state, _ := g.stateAt()
	return state
}

// stateAt is state, with the journal position that it shows.
func (g *ledger) stateAt() (spec.EngineState, uint64) {
	g.mu.RLock()
	status, p := g.last.meta.Status, g.picture()
	g.mu.RUnlock()
	var queued, running []*spec.Task
	for t := range p.live() {
		switch {
		case t.State != spec.StateQueued, t.Interrupted && status == spec.StatusInterrupted:
			running = append(running, t)
		default:
			queued = append(queued, t)
		}
	}
	return spec.EngineState{Status: status, Queued: inOrder(queued), Running: inOrder(running)}, p.at.seq
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

// nodes returns the hypothesis tree: every experiment in order of arrival, and the journal position that it shows.
func (g *ledger) nodes() ([]spec.HypothesisNode, uint64) {
	p := g.look()
	return slices.AppendSeq(make([]spec.HypothesisNode, 0, len(p.tasks)), g.nodesOf(p)), p.at.seq
}

// nodesOf yields the experiments of a picture as nodes. It goes through the picture twice: kids stand behind their parents.
func (g *ledger) nodesOf(p picture) iter.Seq[spec.HypothesisNode] {
	return func(yield func(spec.HypothesisNode) bool) {
		kids := make(map[spec.TaskID][]string, len(p.tasks))
		for t := range p.all() {
			if t.Parent != "" && !g.uncounted(t.Spec.Kind) {
				kids[t.Parent] = append(kids[t.Parent], string(t.Spec.ID))
			}
		}
		for t := range p.all() {
			if !g.uncounted(t.Spec.Kind) && !yield(nodeOf(t, kids[t.Spec.ID])) {
				return
			}
		}
	}
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

// blobs returns what the run's tasks name in the object store.
func (g *ledger) blobs() map[spec.Digest]bool {
	named := make(map[spec.Digest]bool)
	for t := range g.look().all() {
		named[t.Spec.Stored.Digest], named[t.Spec.Code.Bundle.Digest] = true, true
		if t.Outcome != nil {
			named[t.Outcome.Stored.Digest] = true
		}
	}
	return named
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
	// Experiments leaves a proposer's tasks out; Counts does not.
	Experiments Experiments
	Epoch       uint64
	// Best is the best experiment so far; nil when there is none, or no objective.
	Best *Best
	// PerMinute is the rate at which experiments end, over the newest of them; 0 when unknown.
	PerMinute float64
}

// Tripped reports whether the breaker stopped the run.
func (s Status) Tripped() bool { return strings.HasPrefix(s.Reason, engine.ReasonBreaker) }

// tick notes the engine time of a turn, which may commit nothing.
func (g *ledger) tick(now spec.EngineTime) { g.now.Store(int64(now)) }

// time returns the engine time of the newest turn.
func (g *ledger) time() spec.EngineTime { return spec.EngineTime(g.now.Load()) }

// spent returns what the run has spent by now.
func (g *ledger) spent() spec.Spent {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.last.spending.By(max(g.time(), g.last.position.time))
}

// status returns the run at a glance.
func (g *ledger) status(now time.Time) Status {
	g.mu.RLock()
	defer g.mu.RUnlock()
	s := Status{
		Status: g.last.meta.Status, Reason: g.last.reason, Counts: g.last.counts, Experiments: g.counts, Epoch: g.last.position.epoch,
	}
	if g.hasBest {
		best := g.best
		s.Best = &best
	}
	s.PerMinute = g.perMinute("", now)
	return s
}
