package engine

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"reflect"

	"autoresearch/pkg/spec"
)

// checkEngine recounts everything that the engine keeps up to date step by step. It is called right after a Collect.
func checkEngine(e *Engine, now Now) error {
	return errors.Join(
		checkCounts(e), checkQueues(e), checkTimers(e, now), checkHolders(e), checkClasses(e), checkHeard(e, now),
		checkTree(e), checkDeadline(e, now), checkTurnOver(e),
	)
}

func checkCounts(e *Engine) error {
	var c Counts
	for _, t := range e.live() {
		switch {
		case t.State == spec.StateQueued && t.NotBefore > 0:
			c.Delayed++
		case t.State == spec.StateQueued:
			c.Queued++
		case t.State == spec.StateDispatched:
			c.Dispatched++
		case t.State == spec.StateRunning:
			c.Running++
		case t.State == spec.StateReported:
			c.Reported++
		}
		if t.State.Leased() && e.policyOf(t.Spec.Kind).Uncounted {
			c.Planning++
		}
	}
	got := e.Counts()
	live, done := 0, 0
	for id, k := range e.tasks.all {
		switch {
		case (k.live == nil) == (k.done == nil):
			return fmt.Errorf("task %q is %+v", id, k)
		case k.live != nil:
			live++
		default:
			done++
		}
	}
	if c.Live() != live {
		return fmt.Errorf("%d tasks are live, %d of them in a live state", live, c.Live())
	}
	if finished := got.Completed + got.Failed + got.Cancelled; finished != done {
		return fmt.Errorf("%d tasks are finished, counted %d", done, finished)
	}
	if got.Queued != c.Queued || got.Delayed != c.Delayed || got.Dispatched != c.Dispatched ||
		got.Running != c.Running || got.Reported != c.Reported || got.Planning != c.Planning {
		return fmt.Errorf("counted %+v, recounted %+v", got, c)
	}
	return nil
}

func checkQueues(e *Engine) error {
	ready := 0
	for name, c := range e.classes {
		for i, q := range c.ready.items {
			ready++
			t := e.tasks.at(q.number).live
			switch {
			case e.tasks.place(t) != i:
				return fmt.Errorf("class %q: %q is at %d and says %d", name, t.Spec.ID, i, e.tasks.place(t))
			case q.priority != t.Priority || q.seq != t.Seq:
				return fmt.Errorf("class %q: the key of %q is stale", name, t.Spec.ID)
			case t.State != spec.StateQueued || t.policy.class != c || e.tasks.of(t.Spec.ID).live != t:
				return fmt.Errorf("class %q: %q does not belong here", name, t.Spec.ID)
			case i > 0 && before(&c.ready.items[i], &c.ready.items[(i-1)/arity]):
				return fmt.Errorf("class %q: %q is more urgent than its parent in the heap", name, t.Spec.ID)
			}
		}
	}
	parked, err := checkParked(e)
	if ready+parked != e.counts.Queued || parked != e.parked {
		return fmt.Errorf("%d tasks in ready queues and %d parked, %d counted and %d parked", ready, parked, e.counts.Queued, e.parked)
	}
	return err
}

func checkParked(e *Engine) (parked int, err error) {
	for id, p := range e.purses {
		parked += len(p.parked)
		for i, t := range p.parked {
			if t.parkedIn != p || int(t.parkedPos) != i || t.State != spec.StateQueued || e.tasks.place(t) >= 0 || t.NotBefore > 0 || e.tasks.of(t.Spec.ID).live != t {
				err = fmt.Errorf("purse of %q: %q is parked wrongly", id, t.Spec.ID)
			}
		}
	}
	for i, p := range e.spenders {
		if p.heldPos != i || p.held == 0 || p.up == nil {
			err = errors.Join(err, fmt.Errorf("purse of %q: it has %d leases and stands at %d", p.root, p.held, i))
		}
	}
	return parked, err
}

func checkTimers(e *Engine, now Now) error {
	for i, item := range e.timers.items {
		t := item.task
		switch {
		case int(t.timerPos) != i:
			return fmt.Errorf("the timer of %q is at %d and says %d", t.Spec.ID, i, t.timerPos)
		case e.tasks.of(t.Spec.ID).live != t:
			return fmt.Errorf("a timer of %q, which is not live", t.Spec.ID)
		case item.at <= now.Engine:
			return fmt.Errorf("the timer of %q is for %v, and it is %v", t.Spec.ID, item.at, now.Engine)
		case i > 0 && earlier(&e.timers.items[i], &e.timers.items[(i-1)/arity]):
			return fmt.Errorf("the timer of %q is earlier than its parent in the heap", t.Spec.ID)
		}
	}
	for id, t := range e.live() {
		if err := checkTimer(e, t); err != nil {
			return fmt.Errorf("%s task %q: %w", t.State, id, err)
		}
	}
	return nil
}

// checkTimer holds that whatever waits for a time has a timer that is not later.
func checkTimer(e *Engine, t *task) error {
	var latest spec.EngineTime
	switch {
	case t.State == spec.StateDispatched:
		latest = min(t.Lease.Until, t.rangAt+e.cfg.Overdue)
	case t.State == spec.StateRunning:
		latest = t.Lease.Until
	case t.State == spec.StateQueued && t.NotBefore > 0:
		latest = t.NotBefore
	case t.timerPos >= 0:
		return errors.New("it waits for nothing and has a timer")
	default:
		return nil
	}
	if t.timerPos < 0 {
		return errors.New("it has no timer")
	}
	if at := e.timers.items[t.timerPos].at; at > latest {
		return fmt.Errorf("its timer is for %v, its deadline is %v", at, latest)
	}
	return nil
}

// checkHolders holds that what the states say of leases, outcomes and attempts is there.
func checkHolders(e *Engine) error {
	held := 0
	for id, w := range e.workers {
		for i, t := range w.held {
			held++
			if int(t.heldPos) != i || t.State != spec.StateRunning || t.Lease.Worker != id || w.id != id {
				return fmt.Errorf("worker %q: holds %q wrongly", id, t.Spec.ID)
			}
		}
	}
	if held != e.counts.Running {
		return fmt.Errorf("workers hold %d tasks, %d run", held, e.counts.Running)
	}
	for id, t := range e.live() {
		if t.State != spec.StateRunning && t.course != nil && t.heldPos >= 0 {
			return fmt.Errorf("%s task %q is held", t.State, id)
		}
		if t.State.Leased() != (t.Lease != nil) && t.State != spec.StateQueued {
			return fmt.Errorf("%s task %q: lease %+v", t.State, id, t.Lease)
		}
		if t.Failures+t.Preempted > t.Attempt || t.Lost > t.Attempt || t.Closed > t.Attempt {
			return fmt.Errorf("%s task %q: more ends than attempts: %+v", t.State, id, t.Task)
		}
		if (t.State == spec.StateReported) != (t.Outcome != nil) {
			return fmt.Errorf("%s task %q: outcome %+v", t.State, id, t.Outcome)
		}
	}
	return nil
}

func checkClasses(e *Engine) error {
	type tally struct{ leases, away, slots, total int }
	want := make(map[string]tally)
	for _, t := range e.live() {
		if !t.State.Leased() {
			continue
		}
		c := want[t.Lease.Class]
		c.leases++
		if t.State == spec.StateRunning && !e.workers[t.Lease.Worker].offering {
			c.away++
		}
		want[t.Lease.Class] = c
	}
	for id, w := range e.workers {
		if len(w.offered) != len(w.slots) || !w.offering && len(w.slots) > 0 {
			return fmt.Errorf("worker %q: offers %d classes, %d in order, offering %t",
				id, len(w.slots), len(w.offered), w.offering)
		}
		for class, slots := range w.slots {
			c := want[class.name]
			c.slots += slots.own
			c.total += slots.total
			want[class.name] = c
		}
	}
	for name, c := range e.classes {
		if got := (tally{c.leases, c.away, c.slots, c.total}); got != want[name] {
			return fmt.Errorf("class %q: counted %+v, recounted %+v", name, got, want[name])
		}
	}
	if len(e.order) != len(e.classes) {
		return fmt.Errorf("%d classes, %d in order", len(e.classes), len(e.order))
	}
	return nil
}

func checkHeard(e *Engine, now Now) error {
	if e.heard.Len() != len(e.workers) {
		return fmt.Errorf("%d workers, %d in the order they were heard", len(e.workers), e.heard.Len())
	}
	last := spec.EngineTime(-1 << 62)
	for place := e.heard.Front(); place != nil; place = place.Next() {
		w := place.Value.(*worker)
		if w.lastHeard < last || w.lastHeard+e.cfg.WorkerTTL <= now.Engine || w.place != place {
			return fmt.Errorf("worker %q: heard at %v, the one before at %v, and it is %v", w.id, w.lastHeard, last, now.Engine)
		}
		last = w.lastHeard
	}
	return nil
}

// all yields the tasks in the order in which they became known.
func (r *roll) all(yield func(spec.TaskID, known) bool) {
	r.ids.All(func(number int, id spec.TaskID) bool { return yield(id, *r.at(int32(number))) })
}

// live yields the live tasks, none of which rests, in no particular order.
func (e *Engine) live() iter.Seq2[spec.TaskID, *task] {
	return func(yield func(spec.TaskID, *task) bool) {
		for id, k := range e.tasks.all {
			if k.live == nil {
				continue
			}
			e.wake(k.live)
			if !yield(id, k.live) {
				return
			}
		}
	}
}

// hung yields all parents with each of their kids.
func (e *Engine) hung() iter.Seq2[spec.TaskID, spec.TaskID] {
	var ids []spec.TaskID
	for id := range e.tasks.all {
		ids = append(ids, id)
	}
	return func(yield func(parent, kid spec.TaskID) bool) {
		last := maps.Clone(e.tasks.orphans)
		for number, id := range ids {
			last[id] = e.tasks.kin(int32(number)).last
		}
		for parent, last := range last {
			for kid := range e.tasks.circle(last) {
				if !yield(parent, ids[kid]) {
					return
				}
			}
		}
	}
}

// hangsBelow reports whether a task is among its parent's kids.
func hangsBelow(e *Engine, parent, id spec.TaskID) bool {
	for p, kid := range e.hung() {
		if p == parent && kid == id {
			return true
		}
	}
	return false
}

// checkTree holds that every task hangs once below its parent, known or not, and that no task is its own ancestor.
func checkTree(e *Engine) error {
	parents := make(map[spec.TaskID]spec.TaskID)
	for id, t := range e.live() {
		parents[id] = t.Parent
	}
	hung := make(map[spec.TaskID]int)
	for parent, kid := range e.hung() {
		hung[kid]++
		if e.tasks.of(kid).done != nil {
			parents[kid] = parent // the fold knows the right one
		}
		if parents[kid] != parent {
			return fmt.Errorf("task %q hangs below %q, its parent is %q", kid, parent, parents[kid])
		}
	}
	for id, parent := range parents {
		if want := min(1, len(parent)); hung[id] != want {
			return fmt.Errorf("task %q with parent %q hangs %d times", id, parent, hung[id])
		}
		for depth, up := 0, parent; up != ""; up = parents[up] {
			if depth++; depth > len(parents) {
				return fmt.Errorf("task %q is its own ancestor", id)
			}
		}
	}
	return nil
}

// checkDeadline holds that the next turn is not due yet: else the shell would spin.
func checkDeadline(e *Engine, now Now) error {
	if at, ok := e.NextDeadline(); ok && at <= now.Engine {
		return fmt.Errorf("the next deadline is %v, and it is %v", at, now.Engine)
	}
	return nil
}

// checkTurnOver holds that nothing is left for a turn that may never come.
func checkTurnOver(e *Engine) error {
	if len(e.touched) > 0 || len(e.dirty) > 0 || e.metaDirty || len(e.again) > 0 || e.status != e.meta.Status {
		return fmt.Errorf("Collect left something behind: %d tasks, meta %t", len(e.dirty), e.metaDirty)
	}
	for id, t := range e.live() {
		if t.dirty || t.parts != 0 {
			return fmt.Errorf("Collect left task %q marked", id)
		}
	}
	if !e.mayDispatch() {
		return nil
	}
	if c := e.mostUrgent(); c != nil {
		return fmt.Errorf("class %q has room for %q and nothing was dispatched", c.name, c.ready.first().Spec.ID)
	}
	return nil
}

// checkReset holds that nothing is left in the output.
func checkReset(e *Engine) error {
	o := e.out
	if !isEmpty(&o) || o.StatusChanged || o.Again != 0 {
		return fmt.Errorf("Reset left %+v", o)
	}
	for _, c := range o.Changes[:cap(o.Changes)] {
		if !reflect.ValueOf(c).IsZero() {
			return fmt.Errorf("Reset holds on to %+v", c)
		}
	}
	return nil
}

// isEmpty reports whether an output asks for nothing.
func isEmpty(o *Output) bool {
	return !o.NeedsAppend() && len(o.Publish) == 0 && len(o.Purge) == 0 && len(o.SendAgain) == 0 &&
		len(o.Hooks) == 0 && len(o.Rejections) == 0 && len(o.Renames) == 0 && len(o.Replies) == 0
}
