package engine

// readyQueue has the tasks that are ready for a class, the most urgent first.
type readyQueue struct {
	pqueue[queued]
	roll *roll
}

// queued is one entry of it: the key is copied beside the task's number, so that comparisons touch no task.
type queued struct {
	priority float64 // the lower number runs first
	seq      uint64  // first in, first out among equals
	number   int32
}

func before(a, b *queued) bool {
	if a.priority != b.priority {
		return a.priority < b.priority
	}
	return a.seq < b.seq
}

func newReadyQueue(r *roll) readyQueue {
	return readyQueue{pqueue: pqueue[queued]{less: before, moved: r.moved}, roll: r}
}

// first returns the most urgent task; the queue must not be empty.
func (q *readyQueue) first() *task { return q.roll.at(q.top().number).live }

// add puts a task into its place.
func (q *readyQueue) add(t *task) { q.push(queued{priority: t.Priority, seq: t.Seq, number: t.number}) }
