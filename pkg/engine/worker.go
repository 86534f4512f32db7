package engine

import (
	"cmp"
	"container/list"
	"slices"

	"autoresearch/pkg/spec"
)

// worker is what the engine knows of one worker.
type worker struct {
	id        spec.WorkerID
	boot      uint64 // of the newest process that sent a full heartbeat, or of the first that was heard
	lastHeard spec.EngineTime
	batches   bool             // it takes several tasks at once
	offering  bool             // a full heartbeat stands that offers slots; else what it holds is away
	slots     map[*class]offer // what it offers, part of class.slots and class.total
	offered   []*class         // the keys of slots, in a fixed order
	held      []*task          // running here, in no particular order; the tasks know their place
	gpusDue   spec.EngineTime  // before this nothing is said of its GPUs
	place     *list.Element    // in Engine.heard
}

// heartbeat takes what a worker says. Of two boots of a worker the lower one is dead, with all it ran.
func (e *Engine) heartbeat(now Now, hb Heartbeat) {
	w := e.worker(hb.Worker, hb.Boot, now)
	if hb.Boot < w.boot {
		return
	}
	if hb.Full && hb.Boot > w.boot { // a start notice does not list the results that the earlier process left
		e.reboot(now, w, hb)
	}
	w.lastHeard = now.Engine
	e.heard.MoveToBack(w.place)
	for i := range hb.Running {
		e.running(now, w.id, hb.Boot, &hb.Running[i])
	}
	for _, ref := range hb.Finished {
		e.finished(now, w.id, hb.Boot, ref)
	}
	if hb.Full {
		e.offer(w, hb)
		e.gpus(now, w, hb.GPUs)
	}
}

// worker returns the named worker, new if it is not known.
func (e *Engine) worker(id spec.WorkerID, boot uint64, now Now) *worker {
	w, ok := e.workers[id]
	if !ok {
		w = &worker{id: id, boot: boot, lastHeard: now.Engine, slots: make(map[*class]offer)}
		w.place = e.heard.PushBack(w)
		e.workers[id] = w
	}
	return w
}

// reboot gives up what an earlier process of the worker ran, except where its result is still on its way.
func (e *Engine) reboot(now Now, w *worker, hb Heartbeat) {
	w.boot = hb.Boot
	for _, t := range bySeq(w.held) {
		if t.Lease.Boot < hb.Boot && !slices.ContainsFunc(hb.Finished, t.holds) {
			e.lost(now, t)
		}
	}
}

// bySeq returns a sorted copy: the order of what follows must not depend on how the list came about.
func bySeq(tasks []*task) []*task {
	sorted := slices.Clone(tasks)
	slices.SortFunc(sorted, func(a, b *task) int { return cmp.Compare(a.Seq, b.Seq) })
	return sorted
}

// forget drops the offers of workers that were not heard for too long. What they hold lapses by itself.
func (e *Engine) forget(now Now) {
	for front := e.heard.Front(); front != nil; front = e.heard.Front() {
		w := front.Value.(*worker)
		if w.lastHeard+e.cfg.WorkerTTL > now.Engine {
			return
		}
		e.withdrawOffer(w)
		e.setOffering(w, false)
		if len(w.held) > 0 {
			w.lastHeard = now.Engine // its boot number is needed while it holds something: look again later
			e.heard.MoveToBack(front)
			continue
		}
		e.heard.Remove(front)
		delete(e.workers, w.id)
		e.forgetGPUs(func(q spec.Quarantine) bool { return q.Worker == w.id })
	}
}

// offer takes the slots a worker has for this run: those of our attempts it holds, and the free ones.
func (e *Engine) offer(w *worker, hb Heartbeat) {
	e.withdrawOffer(w)
	e.setOffering(w, !hb.Leaving)
	w.batches = hb.Batches
	if hb.Leaving {
		return
	}
	for _, s := range hb.Slots {
		// An attempt that has just ended may be listed while its slot counts as free already.
		free, all := max(0, s.Free), max(0, s.Total, s.Free)
		c := e.class(s.Class)
		e.addOffer(w, c, offer{
			own: min(free+e.ours(hb.Running, c), all), total: min(free+len(hb.Running)+max(0, hb.Others), all),
		})
	}
}

// ours counts the listed attempts that take slots of the class for this run.
func (e *Engine) ours(listed []spec.Holding, c *class) (count int) {
	for i := range listed {
		if in := e.slotOf(listed[i].AttemptRef); in != nil && (in == c || in.base == c) {
			count++
		}
	}
	return count
}

// slotOf returns the class whose slot a listed attempt takes for this run; nil when it takes none. A result may overtake the
// heartbeat that lists its attempt: that slot is free by now, and counts, for the next heartbeat is far away.
func (e *Engine) slotOf(ref spec.AttemptRef) *class {
	k := e.find(ref.Task)
	switch {
	case k.live != nil && k.live.holds(ref):
		return e.class(k.live.Lease.Class)
	case !k.decidedBy(ref):
		return nil
	case k.live != nil:
		return k.live.policy.class
	case k.done.class > 0:
		return e.order[k.done.class-1]
	}
	return nil
}

// offer is what a worker has of a class: for this run, and for all runs.
type offer struct{ own, total int }

func (e *Engine) addOffer(w *worker, c *class, o offer) {
	before, ok := w.slots[c]
	if !ok {
		w.offered = append(w.offered, c)
	}
	w.slots[c] = offer{before.own + o.own, before.total + o.total}
	c.slots += o.own
	c.total += o.total
	e.sharesDue = e.sharesDue || len(e.others) > 0
}

func (e *Engine) withdrawOffer(w *worker) {
	for _, c := range w.offered {
		c.slots -= w.slots[c].own
		c.total -= w.slots[c].total
		e.sharesDue = e.sharesDue || len(e.others) > 0
	}
	clear(w.slots)
	w.offered = w.offered[:0]
}

// setOffering notes whether the worker's slots count. If they do not, neither must the attempts it holds: they take no
// slot of anybody else's.
func (e *Engine) setOffering(w *worker, on bool) {
	if w.offering == on {
		return
	}
	w.offering = on
	for _, t := range w.held {
		c := e.class(t.Lease.Class)
		if on {
			c.away--
		} else {
			c.away++
		}
	}
}

// hold and unhold keep the holder's list of what it runs.
func (e *Engine) hold(t *task, now Now) {
	w := e.worker(t.Lease.Worker, t.Lease.Boot, now)
	t.heldPos = int32(len(w.held))
	w.held = append(w.held, t)
	if !w.offering {
		e.class(t.Lease.Class).away++
	}
}

func (e *Engine) unhold(t *task) {
	w := e.workers[t.Lease.Worker]
	last := len(w.held) - 1
	moved := w.held[last]
	w.held[t.heldPos] = moved
	moved.heldPos = t.heldPos
	w.held[last] = nil
	w.held = w.held[:last]
	t.heldPos = -1
	if !w.offering {
		e.class(t.Lease.Class).away--
	}
}
