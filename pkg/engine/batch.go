package engine

import "math"

// Batch returns how many of a class's tasks may go out as one message, for whichever worker takes it has slots for them all:
// at least 1. fresh is how many were dispatched since the last Reset; those that went out before may be on their way to any
// worker. The slots of classes that share them, and of runs that do, are others' too.
func (e *Engine) Batch(class string, fresh int) int {
	c := e.class(class)
	if c.base != nil || len(c.requiring) > 0 || c.share < math.MaxInt {
		return 1
	}
	least := 0
	for _, w := range e.workers {
		offered, ok := w.slots[c]
		if !ok {
			continue
		}
		if !w.batches {
			return 1
		}
		if free := offered.own - w.holds(class); free > 0 && (least == 0 || free < least) {
			least = free
		}
	}
	return max(1, least-(c.unclaimed-fresh))
}

// holds counts the tasks of a class that run on the worker.
func (w *worker) holds(class string) (count int) {
	for _, t := range w.held {
		if t.Lease.Class == class {
			count++
		}
	}
	return count
}
