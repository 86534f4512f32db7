package engine

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"testing"

	"autoresearch/pkg/spec"
)

// fold is what a journal of the engine's outputs adds up to, and what a new leader would restore.
type fold struct {
	meta  spec.Meta
	tasks map[spec.TaskID]*spec.Task
}

func newFold() *fold {
	return &fold{meta: spec.Meta{Status: spec.StatusRunning}, tasks: make(map[spec.TaskID]*spec.Task)}
}

// take applies one output as a journal record would carry it: copies, and of each task only the parts that changed.
func (f *fold) take(out *Output) error {
	if out.Meta != nil {
		f.meta = *out.Meta
	}
	for _, c := range out.Changes {
		id := c.Task.Spec.ID
		after, err := spec.Change{Task: halves(c), Parts: c.Parts}.Apply(f.tasks[id])
		if err != nil {
			return err
		}
		f.tasks[id] = after
		if a, b := timeless(after, Now{}), timeless(c.Task, Now{}); !reflect.DeepEqual(a, b) {
			return fmt.Errorf("task %q, parts %b:\nfolded %+v\nengine %+v", id, c.Parts, a, b)
		}
	}
	return nil
}

// halves returns a copy of a change's task without the parts that the change leaves out.
func halves(c spec.Change) *spec.Task {
	t := clone(c.Task)
	if c.Parts&spec.PartSpec == 0 {
		t.Spec, t.Parent, t.Purse, t.Seq, t.Submitted = spec.TaskSpec{ID: t.Spec.ID}, "", "", 0, 0
	}
	if c.Parts&spec.PartOutcome == 0 {
		t.Outcome = nil
	}
	if c.Parts&spec.PartChildren == 0 {
		t.Children = nil
	}
	return t
}

func clone(t *spec.Task) *spec.Task {
	c := *t
	if t.Lease != nil {
		lease := *t.Lease
		c.Lease = &lease
	}
	c.Children = slices.Clone(t.Children)
	return &c
}

// restore returns an engine that recovered from the fold, loaded in any order of the map.
func (f *fold) restore(cfg Config, now Now) *Engine {
	e := New(cfg)
	e.Restore(f.meta, 0)
	for _, t := range f.tasks {
		e.Load(t)
	}
	e.Recover(now)
	return e
}

// check compares the fold with the engine: every task the engine knows, and nothing else.
func (f *fold) check(e *Engine, now Now) error {
	for id, t := range f.tasks {
		if d := e.tasks.of(id).done; d != nil {
			if err := f.checkDone(t, d); err != nil {
				return err
			}
			if t.Parent != "" && !hangsBelow(e, t.Parent, id) {
				return fmt.Errorf("finished task %q does not hang below %q", id, t.Parent)
			}
			continue
		}
		live, ok := e.Task(id)
		if !ok {
			return fmt.Errorf("the fold has task %q, the engine has not", id)
		}
		if a, b := timeless(t, now), timeless(live, now); !reflect.DeepEqual(a, b) {
			return fmt.Errorf("task %q:\nfolded %+v\nengine %+v", id, a, b)
		}
	}
	if e.tasks.len() != len(f.tasks) {
		return fmt.Errorf("the engine knows %d tasks, the fold %d", e.tasks.len(), len(f.tasks))
	}
	return errors.Join(f.checkMeta(e.Meta()), f.checkSpending(e, now))
}

// checkSpending holds that what the engine says was spent, by the run and by each task with an allowance, is what the journal's
// records add up to, to a millionth a lease.
func (f *fold) checkSpending(e *Engine, now Now) error {
	err := f.checkPurse(e, &e.run, now)
	for _, p := range e.purses {
		err = errors.Join(err, f.checkPurse(e, p, now))
	}
	return err
}

func (f *fold) checkPurse(e *Engine, p *purse, now Now) error {
	var settled, by spec.Spent
	leases, experiments := spec.Cost(0), 0
	for _, t := range f.tasks {
		if !f.draws(t, p.root) {
			continue
		}
		settled, by = settled.Plus(t.Spent), by.Plus(t.Spent)
		if t.State == spec.StateRunning {
			by = by.Plus(t.Lease.Spent(now.Engine))
			leases++
		}
		if t.Attempt > 0 && !e.policyOf(t.Spec.Kind).Uncounted {
			experiments++
		}
	}
	got := p.By(now.Engine)
	if p.settled != settled || got.LeaseTime != by.LeaseTime || got.GPUTime != by.GPUTime || got.Cost < by.Cost || got.Cost > by.Cost+leases ||
		p.Experiments != experiments {
		return fmt.Errorf("purse of %q: folded %+v and %+v by now and %d experiments, engine %+v and %+v and %d",
			p.root, settled, by, experiments, p.settled, got, p.Experiments)
	}
	return nil
}

// draws reports whether a task draws on the purse of another.
func (f *fold) draws(t *spec.Task, root spec.TaskID) bool {
	if allowed, err := t.Spec.Allowance(); root == "" || err == nil && !allowed.IsZero() && t.Spec.ID == root {
		return true
	}
	for id := t.Purse; id != ""; id = f.tasks[id].Purse {
		if id == root {
			return true
		}
	}
	return false
}

func (f *fold) checkDone(t *spec.Task, d *done) error {
	if !t.State.Terminal() {
		return fmt.Errorf("the engine has finished task %q, the fold says %s", t.Spec.ID, t.State)
	}
	want := doneOf(t, &policy{}, d.depth, d.purse) // these are not journaled, but found from the parents
	want.class = d.class                           // nor is this
	if !reflect.DeepEqual(want, d) {
		return fmt.Errorf("finished task %q: folded %+v, engine %+v", t.Spec.ID, want, d)
	}
	return nil
}

// checkMeta compares all but the numbers that a recovery takes from the tasks.
func (f *fold) checkMeta(m spec.Meta) error {
	folded := f.meta
	folded.NextSeq, folded.NextOrder = m.NextSeq, m.NextOrder
	if folded.Status != m.Status || folded.StopReason != m.StopReason || folded.Paused != m.Paused ||
		folded.Budget != m.Budget || folded.Loaded != m.Loaded || folded.ImportHash != m.ImportHash ||
		!slices.Equal(folded.PausedClasses, m.PausedClasses) || !maps.Equal(folded.ClassBudgets, m.ClassBudgets) || !maps.Equal(folded.Warned, m.Warned) ||
		!maps.Equal(folded.Allowances, m.Allowances) {
		return fmt.Errorf("meta: folded %+v, engine %+v", folded, m)
	}
	return nil
}

// timeless returns a copy without what moves on with engine time and is not journaled.
func timeless(t *spec.Task, now Now) *spec.Task {
	c := clone(t)
	if c.Lease != nil {
		c.Lease.Until = 0
	}
	if c.NotBefore <= now.Engine {
		c.NotBefore = 0
	}
	if len(c.Children) == 0 {
		c.Children = nil
	}
	return c
}

func TestFoldNeedsBeginning(t *testing.T) {
	t.Parallel()
	e := New(Config{})
	e.Step(Now{}, Submit{Specs: []spec.TaskSpec{{ID: "a"}}})
	out := e.Collect(Now{})
	if got := out.Changes[0].Parts; got != spec.PartSpec {
		t.Fatalf("the first change of a task carries parts %b, want its spec", got)
	}
	e.Reset()
	e.Step(Now{}, Reprioritise{Task: "a", Priority: 1})
	out = e.Collect(Now{})
	if got := out.Changes[0].Parts; got != 0 {
		t.Fatalf("a later change carries parts %b, want the state only", got)
	}
	if err := newFold().take(out); err == nil {
		t.Fatal("a fold without the task's first change was accepted")
	}
}
