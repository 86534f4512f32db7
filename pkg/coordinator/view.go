package coordinator

import (
	"context"
	"fmt"
	"iter"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// View reads a run as its commits leave it, for people and programs that look on. It never touches the engine, and holds no
// lock that a commit waits for longer than it takes to copy a few thousand pointers, however long the run is; State and
// Nodes, which show one moment, copy one for each task. A view outlives the term it was taken of, and then shows the term's
// end. It is safe for concurrent use; the tasks it returns never change and must not be changed. A finished task may be
// another copy each time.
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
	h, ok := v.t.ledger.held(id)
	if !ok {
		return Row{}, false
	}
	return h.row(new(unpacker)), true
}

// PlaceOf returns the place of the first task that arrived with a number, or later; Size if there is none.
func (v *View) PlaceOf(seq uint64) int {
	g := v.t.ledger
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.rows.placeOf(seq)
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

// Nodes yields the hypothesis tree as one commit left it: every experiment in order of arrival.
func (v *View) Nodes() iter.Seq[spec.HypothesisNode] { return v.t.ledger.nodesOf(v.t.ledger.look()) }

// Packed reports whether the finished tasks of the run are packed, as far as they ever will be: what the leader's memory
// holds is then as little as it becomes.
func (v *View) Packed() bool { return v.t.ledger.packed() }

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
