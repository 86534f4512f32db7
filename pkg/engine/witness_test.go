package engine

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"autoresearch/pkg/spec"
)

// machine drives an engine as the shell does, keeps the fold of its outputs, and is a witness to its promises.
type machine struct {
	cfg    Config
	engine *Engine
	fold   *fold
	now    Now
	turns  int
	log    strings.Builder // every output, exactly

	attempts map[spec.TaskID]uint32 // the newest published
	ended    map[spec.TaskID]bool
	orders   map[uint64]spec.TaskID
	handed   uint64 // the last outcome given to a hook by this engine
	born     map[spec.TaskID]spec.TaskID
	given    map[*spec.Task]*spec.Task // each record handed out, and what it was then

	lazy bool // every task that can rests between turns
}

func newMachine(cfg Config) *machine {
	m := &machine{
		cfg: cfg, engine: New(cfg), fold: newFold(), attempts: make(map[spec.TaskID]uint32),
		ended: make(map[spec.TaskID]bool), orders: make(map[uint64]spec.TaskID), born: make(map[spec.TaskID]spec.TaskID),
		given: make(map[*spec.Task]*spec.Task),
	}
	m.fold.meta = m.engine.Meta()
	return m
}

// shelf is a Shelf that holds the records as they are.
type shelf map[uint64]*spec.Task

func (s shelf) Take(seq uint64) *spec.Task {
	record := clone(s[seq])
	delete(s, seq) // who takes it twice gets nothing
	return record
}

// rest lets every task rest that can.
func (m *machine) rest() {
	kept := make(shelf)
	var records []*spec.Task
	for _, t := range m.engine.live() {
		t.handed = true
		kept[t.Seq] = t.Task
		records = append(records, t.Task)
	}
	m.engine.Rest(records, kept)
}

// turn is what arrives between two Collects.
type turn struct {
	advance spec.EngineTime
	crash   bool
	cfg     *Config // after the crash; nil: as before
	events  []Event
}

// take runs one turn and checks every promise. It returns a copy of what was asked of the shell.
func (m *machine) take(t turn) (*Output, error) {
	m.now.Engine += t.advance
	m.now.Wall += spec.WallTime(t.advance)
	if t.cfg != nil {
		m.cfg = *t.cfg
	}
	if t.crash {
		for _, loaded := range m.fold.tasks {
			m.given[loaded] = clone(loaded)
		}
		m.engine, m.handed = m.fold.restore(m.cfg, m.now), 0
	}
	if m.lazy {
		m.rest()
	}
	for _, ev := range t.events {
		m.engine.Step(m.now, ev)
	}
	out := m.engine.Collect(m.now)
	m.log.WriteString(exact(out))
	err := m.fold.take(out)
	taken := *out
	taken.Changes = nil
	taken.Publish, taken.Hooks = clones(out.Publish), clones(out.Hooks)
	taken.Purge, taken.Stops = slices.Clone(out.Purge), slices.Clone(out.Stops)
	taken.Receipts, taken.SendAgain = slices.Clone(out.Receipts), slices.Clone(out.SendAgain)
	err = errors.Join(err, m.witness(out), m.unchanged())
	for _, c := range out.Changes {
		m.given[c.Task] = clone(c.Task)
	}
	m.engine.Reset()
	m.turns++
	return &taken, errors.Join(err, m.recount())
}

// unchanged checks that no record has changed since it was handed out: others read it at any time.
func (m *machine) unchanged() error {
	for t, was := range m.given {
		if !reflect.DeepEqual(t, was) {
			return fmt.Errorf("task %q was handed out as %+v and is %+v", was.Spec.ID, was, t)
		}
	}
	return nil
}

func clones(tasks []*spec.Task) []*spec.Task {
	copies := make([]*spec.Task, len(tasks))
	for i, t := range tasks {
		copies[i] = clone(t)
	}
	return copies
}

// recount checks the engine, and one that would be restored now: that it has lost nothing, and is as sound.
func (m *machine) recount() error {
	err := errors.Join(checkEngine(m.engine, m.now), checkReset(m.engine), m.fold.check(m.engine, m.now))
	if m.turns > 50 && m.turns%10 > 0 {
		return err // often enough
	}
	e := m.fold.restore(m.cfg, m.now)
	e.Collect(m.now)
	if !m.cfg.Hooks && e.Counts().Live() != m.engine.Counts().Live() {
		err = errors.Join(err, fmt.Errorf("restored: %+v, was: %+v", e.Counts(), m.engine.Counts()))
	}
	e.Reset()
	return errors.Join(err, checkEngine(e, m.now))
}

// witness checks one output against everything seen before.
func (m *machine) witness(out *Output) error {
	var errs []error
	for _, c := range out.Changes {
		errs = append(errs, m.witnessChange(c.Task))
	}
	fresh := out.Publish[:len(out.Publish)-out.Again]
	for _, t := range fresh {
		if t.State != spec.StateDispatched || t.Attempt <= m.attempts[t.Spec.ID] {
			errs = append(errs, fmt.Errorf("task %q is published as attempt %d, after %d, while %s",
				t.Spec.ID, t.Attempt, m.attempts[t.Spec.ID], t.State))
		}
		m.attempts[t.Spec.ID] = t.Attempt
	}
	for _, t := range out.Publish[len(fresh):] {
		if t.State != spec.StateDispatched || t.Attempt != m.attempts[t.Spec.ID] {
			errs = append(errs, fmt.Errorf("task %q is published again as attempt %d while %s", t.Spec.ID, t.Attempt, t.State))
		}
	}
	for _, t := range out.Hooks {
		if t.Outcome == nil || t.Outcome.Order <= m.handed {
			errs = append(errs, fmt.Errorf("the hook of %q comes after that of outcome %d: %+v", t.Spec.ID, m.handed, t.Outcome))
			continue
		}
		m.handed = t.Outcome.Order
	}
	return errors.Join(append(errs, m.witnessCaps(fresh), m.witnessOrder(fresh))...)
}

// witnessChange holds that a task ends once, with one outcome, and that its children are new.
func (m *machine) witnessChange(t *spec.Task) error {
	id := t.Spec.ID
	if m.ended[id] {
		return fmt.Errorf("task %q changed after its end: %s", id, describeTask(t))
	}
	m.ended[id] = t.State.Terminal()
	if t.Outcome == nil {
		return nil
	}
	if owner, taken := m.orders[t.Outcome.Order]; taken && owner != id {
		return fmt.Errorf("outcome %d belongs to %q and to %q", t.Outcome.Order, owner, id)
	}
	m.orders[t.Outcome.Order] = id
	for order, owner := range m.orders {
		if owner == id && order != t.Outcome.Order {
			return fmt.Errorf("task %q has outcomes %d and %d", id, order, t.Outcome.Order)
		}
	}
	for _, kid := range t.Children {
		if other, again := m.born[kid]; again && other != id {
			return fmt.Errorf("child %q came of %q and of %q", kid, other, id)
		}
		m.born[kid] = id
		if !m.engine.Known(kid) {
			return fmt.Errorf("child %q of %q does not exist", kid, id)
		}
	}
	return nil
}

// witnessCaps holds that what was dispatched had room: the leases that are held now include it.
func (m *machine) witnessCaps(fresh []*spec.Task) error {
	if len(fresh) == 0 {
		return nil
	}
	e := m.engine
	counted := func(t *spec.Task) bool { return !e.policyOf(t.Spec.Kind).Uncounted }
	if held := e.Counts().Leases() - e.Counts().Planning; held > e.budget() && slices.ContainsFunc(fresh, counted) {
		return fmt.Errorf("%d tasks dispatched, %d leases, budget %d", len(fresh), e.Counts().Leases(), e.budget())
	}
	if status, _ := e.Status(); status != spec.StatusRunning || e.Meta().Paused {
		return fmt.Errorf("%d tasks dispatched while %s, paused %t", len(fresh), status, e.Meta().Paused)
	}
	begins := func(t *spec.Task) bool { return t.Attempt == 1 && counted(t) }
	for _, l := range spec.LimitsAll {
		allowed, used := e.run.allowed.Of(l), e.run.Used(l, m.now.Engine)
		if allowed > 0 && (used > allowed || used == allowed && l != spec.LimitExperiments) && (l != spec.LimitExperiments || slices.ContainsFunc(fresh, begins)) {
			return fmt.Errorf("%d tasks dispatched, and %d of %s spent, which is %d", len(fresh), used, l, allowed)
		}
	}
	for _, t := range fresh {
		for p := e.tasks.of(t.Spec.ID).purse(); p.up != nil; p = p.up {
			for _, l := range spec.LimitsAll {
				allowed, used := p.allowed.Of(l), p.Used(l, m.now.Engine)
				counts := l != spec.LimitExperiments || t.Attempt == 1 && counted(t)
				if allowed > 0 && counts && (used > allowed || used == allowed && l != spec.LimitExperiments) {
					return fmt.Errorf("task %q was dispatched, and %d of %s of %q spent, which is %d", t.Spec.ID, used, l, p.root, allowed)
				}
			}
		}
		c := e.classes[t.Lease.Class]
		if c.paused || c.leases-c.away > c.slots || c.budget > 0 && c.leases > c.budget {
			return fmt.Errorf("task %q was dispatched: class %+v", t.Spec.ID, *c)
		}
	}
	return nil
}

// witnessOrder holds that dispatch follows (priority, arrival): among what was dispatched, and against what was left in
// a class that had room.
func (m *machine) witnessOrder(fresh []*spec.Task) error {
	key := func(t *spec.Task) *queued { return &queued{priority: t.Priority, seq: t.Seq} }
	last := make(map[string]*spec.Task) // of each class
	for i, t := range fresh {
		if i > 0 && before(key(t), key(fresh[i-1])) {
			return fmt.Errorf("task %q was dispatched after %q", t.Spec.ID, fresh[i-1].Spec.ID)
		}
		last[t.Lease.Class] = t
	}
	for name, c := range m.engine.classes {
		if c.ready.len() == 0 || len(fresh) == 0 {
			continue
		}
		passed := last[name]
		if c.room() > 0 && !(m.engine.spent() && !c.ready.first().policy.Uncounted) {
			passed = fresh[len(fresh)-1]
		}
		if passed != nil && before(c.ready.top(), key(passed)) {
			return fmt.Errorf("task %q was dispatched before %q", passed.Spec.ID, c.ready.first().Spec.ID)
		}
	}
	return nil
}

// exact renders an output with every value of every change.
func exact(out *Output) string {
	var b strings.Builder
	b.WriteString(describe(out))
	for _, c := range out.Changes {
		t := *c.Task
		lease, outcome := leased(&t), spec.Outcome{}
		if t.Outcome != nil {
			outcome = *t.Outcome
		}
		outcome.Failure, t.Lease, t.Outcome = nil, nil, nil
		fmt.Fprintf(&b, "%b %+v %+v %+v\n", c.Parts, t, lease, outcome)
	}
	return b.String()
}
