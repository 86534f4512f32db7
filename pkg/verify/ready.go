package verify

import (
	"container/heap"

	"autoresearch/pkg/spec"
)

// ready is the queue of a class in scheduling order. A task that left it, or changed its place, leaves its old entries
// behind; they go when they come to the top.
type ready struct {
	now   entries // may be dispatched
	later entries // delayed, the earliest first
}

// entry is a task's place in a queue.
type entry struct {
	key     float64 // the priority, or the end of the delay
	arrival uint64
	task    *task
}

// before reports whether a is dispatched before b: the lower priority number, then first in, first out.
func before(a, b *task) bool {
	return a.priority < b.priority || a.priority == b.priority && a.arrival < b.arrival
}

func (q *ready) push(t *task) {
	if t.notBefore > 0 {
		heap.Push(&q.later, entry{key: float64(t.notBefore), arrival: t.arrival, task: t})
		return
	}
	heap.Push(&q.now, entry{key: t.priority, arrival: t.arrival, task: t})
}

// top returns the most urgent task that may be dispatched at an engine time; nil when there is none.
func (q *ready) top(now spec.EngineTime) *task {
	for len(q.later) > 0 && q.later[0].key <= float64(now) {
		t := heap.Pop(&q.later).(entry).task
		if t.state == spec.StateQueued && t.notBefore > 0 && t.notBefore <= now {
			heap.Push(&q.now, entry{key: t.priority, arrival: t.arrival, task: t})
		}
	}
	for len(q.now) > 0 {
		t := q.now[0].task
		if t.state == spec.StateQueued && t.priority == q.now[0].key && t.notBefore <= now {
			return t
		}
		heap.Pop(&q.now)
	}
	return nil
}

// entries is a heap.
type entries []entry

func (e entries) Len() int { return len(e) }
func (e entries) Less(i, j int) bool {
	return e[i].key < e[j].key || e[i].key == e[j].key && e[i].arrival < e[j].arrival
}
func (e entries) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

// Push and Pop are container/heap's.
func (e *entries) Push(x any) { *e = append(*e, x.(entry)) }

// Pop removes the last.
func (e *entries) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}
