package coordinator

import (
	"context"
	"fmt"
	"iter"
	"sort"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// View reads a run as its commits leave it, for people and programs that look on. It never touches the engine, and holds no
// lock that a commit waits for longer than it takes to copy a few thousand pointers, however long the run is. A view
// outlives the term it was taken of, and then shows the term's end. It is safe for concurrent use; the tasks it returns
// never change and must not be changed.
type View struct{ t *term }

// View returns a view of the run; ErrNotLeader on a standby.
func (c *Coordinator) View() (*View, error) {
	t, err := c.term()
	if err != nil {
		return nil, err
	}
	return &View{t: t}, nil
}

// Score is an experiment that ended with a value of the objective.
type Score struct {
	Task  spec.TaskID
	Value float64
	Ended spec.WallTime
}

// PastAttempt is an attempt that ended without deciding its task, as far as this term has seen it.
type PastAttempt struct {
	Attempt        uint32
	Worker         spec.WorkerID // empty when nobody is known to have had it
	Class          string
	Started, Ended spec.WallTime
	// Ending is failed, lost, preempted, or unclaimed.
	Ending string
}

// Row is one task of a scan with its value of the objective, NaN when it has none.
type Row struct {
	Task  *spec.Task
	Score float64
}

// Status returns the run at a glance.
func (v *View) Status() Status {
	s := v.t.ledger.status(v.t.c.host.Now())
	s.Run = v.t.c.o.Run
	return s
}

// Meta returns the run-level state. Its maps and slices must not be changed.
func (v *View) Meta() spec.Meta { return v.t.ledger.meta() }

// Now returns the engine time of the leader's newest turn.
func (v *View) Now() spec.EngineTime { return v.t.ledger.time() }

// Spent returns what the run has spent by now.
func (v *View) Spent() spec.Spent { return v.t.ledger.spent() }

// Config returns what the run's engine was configured with. Its maps must not be changed.
func (v *View) Config() engine.Config { return v.t.cfg }

// RunID tells the run's journal from one of the same name that was there before.
func (v *View) RunID() string { return v.t.leader.runID }

// Workflow returns the name of the run's workflow.
func (v *View) Workflow() string { return v.t.c.o.Name }

// Objective returns the metric that the run improves.
func (v *View) Objective() spec.Objective { return v.t.ledger.objective }

// Class returns the pool of slots that a kind runs in.
func (v *View) Class(kind string) string { return v.t.ledger.class(kind) }

// Counted reports whether tasks of a kind are experiments, nodes of the hypothesis tree.
func (v *View) Counted(kind string) bool { return !v.t.ledger.uncounted(kind) }

// Size is how many tasks the run has had. Places count from 0, in order of arrival.
func (v *View) Size() int { return v.t.ledger.size() }

// Task returns a task.
func (v *View) Task(id spec.TaskID) (Row, bool) {
	g := v.t.ledger
	g.mu.RLock()
	defer g.mu.RUnlock()
	if r := g.rows.find(id); r != nil {
		return Row{r.task, r.score}, true
	}
	return Row{}, false
}

// PlaceOf returns the place of the first task that arrived with a number, or later; Size if there is none.
func (v *View) PlaceOf(seq uint64) int {
	g := v.t.ledger
	g.mu.RLock()
	defer g.mu.RUnlock()
	return sort.Search(g.rows.count, func(place int) bool { return g.rows.at(place).task.Seq >= seq })
}

// scanChunk is how many rows a scan copies under the ledger's lock.
const scanChunk = 2048

// Scan yields the tasks from a place on, in order of arrival. It is no picture of one moment: each task is as it was when
// the scan came by.
func (v *View) Scan(from int) iter.Seq2[int, Row] {
	return func(yield func(int, Row) bool) {
		chunk := make([]Row, scanChunk)
		for {
			n := v.t.ledger.read(from, chunk)
			for i, row := range chunk[:n] {
				if !yield(from+i, row) {
					return
				}
			}
			if from += n; n == 0 {
				return
			}
		}
	}
}

// ScanBack yields the tasks from a place down, the latest arrival first.
func (v *View) ScanBack(from int) iter.Seq2[int, Row] {
	return func(yield func(int, Row) bool) {
		chunk := make([]Row, scanChunk)
		for from >= 0 {
			first := max(0, from+1-scanChunk)
			n := v.t.ledger.read(first, chunk[:from+1-first])
			for i := n - 1; i >= 0; i-- {
				if !yield(first+i, chunk[i]) {
					return
				}
			}
			from = first - 1
		}
	}
}

// read copies rows from a place on and returns how many there were.
func (g *ledger) read(from int, to []Row) (n int) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for n < len(to) && from+n < g.rows.count {
		r := g.rows.at(from + n)
		to[n] = Row{r.task, r.score}
		n++
	}
	return n
}

// Children yields the tasks below a task in the tree, in order of arrival.
func (v *View) Children(id spec.TaskID) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		chunk := make([]Row, 0, 64)
		place := v.t.ledger.firstKid(id)
		for place != 0 {
			chunk, place = v.t.ledger.siblings(place, chunk[:0])
			for _, row := range chunk {
				if !yield(row) {
					return
				}
			}
		}
	}
}

func (g *ledger) firstKid(id spec.TaskID) int32 {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if r := g.rows.find(id); r != nil {
		return r.kid
	}
	return 0
}

// siblings copies a row and those after it below the same parent, as many as fit, and returns the place to go on at.
func (g *ledger) siblings(place int32, to []Row) ([]Row, int32) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for place != 0 && len(to) < cap(to) {
		r := g.rows.at(int(place - 1))
		to = append(to, Row{r.task, r.score})
		place = r.next
	}
	return to, place
}

// Subtree yields a task and all its descendants, level by level.
func (v *View) Subtree(id spec.TaskID) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		root, ok := v.Task(id)
		if !ok || !yield(root) {
			return
		}
		for next := []spec.TaskID{id}; len(next) > 0; next = next[1:] {
			for row := range v.Children(next[0]) {
				if !yield(row) {
					return
				}
				next = append(next, row.Task.Spec.ID)
			}
		}
	}
}

// Scores returns every experiment with a value of the objective, as they ended. It must not be changed.
func (v *View) Scores() []Score {
	g := v.t.ledger
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.scores[:len(g.scores):len(g.scores)]
}

// PerMinute is the rate at which tasks of a class end, over the newest of them; of all experiments if class is "". It is 0
// when unknown.
func (v *View) PerMinute(class string) float64 {
	g := v.t.ledger
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.perMinute(class, v.t.c.host.Now())
}

// PastAttempts returns the attempts of a task that ended in this term without deciding it, oldest first.
func (v *View) PastAttempts(id spec.TaskID) []PastAttempt {
	g := v.t.ledger
	g.mu.RLock()
	defer g.mu.RUnlock()
	past := g.past[id]
	return past[:len(past):len(past)]
}

// State returns what engine_state.json says.
func (v *View) State() spec.EngineState { return v.t.ledger.state() }

// Node returns a task as a node of the hypothesis tree.
func (v *View) Node(t *spec.Task) spec.HypothesisNode {
	var kids []string
	for row := range v.Children(t.Spec.ID) {
		if v.Counted(row.Task.Spec.Kind) {
			kids = append(kids, string(row.Task.Spec.ID))
		}
	}
	return nodeOf(t, kids)
}

// Result decodes what the deciding attempt of a task produced; the zero result when it has no outcome yet.
func (v *View) Result(t *spec.Task) (spec.TaskResult, error) {
	if t.Outcome == nil {
		return spec.TaskResult{}, nil
	}
	return resultOf(t)
}

// Workers returns the workers that were heard of lately, by name.
func (v *View) Workers() []Worker { return v.t.roster.workers(v.t.c.host.Now()) }

// Ended is closed when the term that the view shows is over.
func (v *View) Ended() <-chan struct{} { return v.t.ended }

// Workdir is where the run's files are; "" when it has none.
func (v *View) Workdir() string { return v.t.c.o.Workdir }

// notePast keeps an attempt that ended without deciding its task.
func (g *ledger) notePast(before, after *spec.Task, now spec.WallTime) {
	if !before.State.Leased() || after.State != spec.StateQueued && after.Attempt == before.Attempt {
		return
	}
	past := PastAttempt{
		Attempt: before.Attempt, Worker: before.Lease.Worker, Class: before.Lease.Class, Ended: now, Ending: "unclaimed",
	}
	if before.State == spec.StateRunning {
		past.Started = before.Started
	}
	switch {
	case after.Failures > before.Failures:
		past.Ending = "failed"
	case after.Lost > before.Lost:
		past.Ending = "lost"
	case after.Preempted > before.Preempted:
		past.Ending = "preempted"
	}
	id := after.Spec.ID
	if g.past[id] = append(g.past[id], past); len(g.past[id]) > pastMax {
		g.past[id] = g.past[id][1:]
	}
}

// What is kept of ended attempts: so many of one task, and of finished tasks only while there are not too many.
const (
	pastMax      = 100
	pastTasksMax = 50_000
)

// Leader says who leads a run, as far as this coordinator knows.
type Leader struct {
	// Here is set while this coordinator leads.
	Here bool
	// Known is set when another one was seen to hold the lease; Host and PID name it, HTTP is the address of its API.
	Known bool
	Host  string
	PID   int
	HTTP  string
}

// Leader says who leads the run.
func (c *Coordinator) Leader() Leader {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		return Leader{Here: true, Host: c.hostname(), HTTP: c.o.HTTP}
	}
	if c.role != RoleStandby || c.holder.ID == "" {
		return Leader{}
	}
	return Leader{Known: true, Host: c.holder.Host, PID: c.holder.PID, HTTP: c.holder.HTTP}
}

// Name returns the run's name.
func (c *Coordinator) Name() spec.RunName { return c.o.Run }

// record reads a journal record for the events.
func (v *View) record(ctx context.Context, seq uint64) (*bus.Record, error) {
	data, err := v.t.leader.ports.journal.Get(ctx, seq)
	if err != nil {
		return nil, fmt.Errorf("read journal record %d: %w", seq, err)
	}
	return bus.DecodeRecord(data)
}

// Clock returns the wall clock.
func (v *View) Clock() time.Time { return v.t.c.host.Now() }
