package restore

import (
	"cmp"
	"slices"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// take puts the tasks together: those of the mirror as they are; those that only the files know after them, in the order of
// the tree and then of the queue. A task that has ended by any source has ended. It fills the plan's counts.
func (p *Plan) take(m *mirror, w *workdir) {
	meta := &p.base.Meta
	t := &taker{known: make(map[spec.TaskID]*spec.Task), rules: meta.Rules, seq: max(1, meta.NextSeq) - 1, order: max(1, meta.NextOrder) - 1}
	for _, task := range m.tasks {
		t.add(task)
	}
	specs := make(map[spec.TaskID]spec.TaskSpec)
	for _, ts := range w.state.Resume() {
		specs[ts.ID] = ts
	}
	for i := range w.nodes {
		t.node(&w.nodes[i], specs)
	}
	for _, ts := range w.state.Resume() {
		t.queued(ts)
	}
	for _, ts := range w.state.Running {
		t.known[ts.ID].Attempt = max(1, t.known[ts.ID].Attempt)
	}
	t.number()
	p.tasks = t.tasks
	for _, task := range p.tasks {
		if task.State < spec.StateReported {
			t.open(task)
		}
		p.count(task)
		for _, child := range task.Children {
			if t.known[child] == nil {
				p.Missing = append(p.Missing, child)
			}
		}
	}
	p.fillMeta(t, w.state.Status)
}

// fillMeta is the run-level state: the mirror's, or that of a run whose first specs are all there.
func (p *Plan) fillMeta(t *taker, status spec.Status) {
	meta := &p.base.Meta
	if meta.Status == "" {
		*meta = spec.Meta{Status: status, Loaded: true}
	}
	meta.NextSeq, meta.NextOrder = max(meta.NextSeq, t.seq+1), max(meta.NextOrder, t.order+1)
	p.base.Version, p.base.Tasks = bus.RecordVersion, uint64(len(p.tasks))
}

func (p *Plan) count(t *spec.Task) {
	n := &p.Tasks
	n.All++
	switch {
	case t.State == spec.StateCompleted:
		n.Completed++
	case t.State == spec.StateFailed && t.Cancelled && t.Outcome.Failure.Cause() == spec.CauseCancelled:
		n.Cancelled++
	case t.State == spec.StateFailed:
		n.Failed++
	case t.State == spec.StateReported:
		n.Reported++
	case t.State == spec.StateRunning:
		n.Running++
	default:
		n.Queued++
	}
}

// taker puts tasks together.
type taker struct {
	known      map[spec.TaskID]*spec.Task
	tasks      []*spec.Task
	rules      *spec.Rules // nil: not known
	seq, order uint64      // the highest arrival and outcome numbers
}

func (t *taker) add(task *spec.Task) {
	t.known[task.Spec.ID] = task
	t.tasks = append(t.tasks, task)
	t.seq = max(t.seq, task.Seq)
	if task.Outcome != nil {
		t.order = max(t.order, task.Outcome.Order)
	}
}

// node takes a task of the tree: a new one, or the end of one that the mirror thinks is under way.
func (t *taker) node(n *spec.HypothesisNode, specs map[spec.TaskID]spec.TaskSpec) {
	id := spec.TaskID(n.NodeID)
	task, known := t.known[id]
	if !known {
		ts, listed := specs[id]
		if !listed {
			ts = specOf(n)
		}
		task = &spec.Task{Spec: ts, Priority: n.Priority, Parent: spec.TaskID(n.ParentID), State: spec.StateQueued}
		if n.LaunchedAt != nil {
			task.Started = wall(*n.LaunchedAt)
		}
		t.add(task)
	}
	task.Attempt = max(task.Attempt, uint32(extraNumber(n, "attempt")))
	if task.State < spec.StateReported && (n.Status == spec.StatusCompleted || n.Status == spec.StatusFailed) {
		end(task, n)
	}
}

// queued takes a task of the snapshot that nothing else tells of: one that the tree does not show.
func (t *taker) queued(ts spec.TaskSpec) {
	if t.known[ts.ID] == nil {
		t.add(&spec.Task{Spec: ts.WithDefaults(), Priority: ts.Priority, Parent: ts.Parent, State: spec.StateQueued})
	}
}

// number gives arrival numbers and outcome numbers to the tasks that only the files know, after all others.
func (t *taker) number() {
	var ended []*spec.Task
	for _, task := range t.tasks {
		if task.Seq == 0 {
			t.seq++
			task.Seq = t.seq
		}
		if task.Outcome != nil && task.Outcome.Order == 0 {
			ended = append(ended, task)
		}
	}
	slices.SortFunc(ended, func(a, b *spec.Task) int { return cmp.Or(cmp.Compare(a.Ended, b.Ended), cmp.Compare(a.Seq, b.Seq)) })
	for _, task := range ended {
		t.order++
		task.Outcome.Order = t.order
	}
	slices.SortFunc(t.tasks, func(a, b *spec.Task) int { return cmp.Compare(a.Seq, b.Seq) })
}

// open prepares a task that is under way. One that a worker claimed stays with it, by any other attempt it waits: who runs
// one may claim it again, as after a lapse. The next attempt gets a number that nobody can have been given.
func (t *taker) open(task *spec.Task) {
	if task.Attempt == 0 {
		return
	}
	if task.State == spec.StateDispatched {
		task.State = spec.StateQueued
	}
	if task.Lease == nil {
		task.Lease = &spec.Lease{Attempt: task.Attempt, Class: t.class(task.Spec.Kind)}
	}
	task.Attempt += attemptGap
}

func (t *taker) class(kind string) string {
	if t.rules == nil {
		return spec.ClassDefault
	}
	return t.rules.Of(kind).Class
}
