package engine

import (
	"autoresearch/internal/ids"
	"autoresearch/pkg/spec"
)

// roll has every task of the run, by its id and by its number: in the order in which they became known. Ids and ready queues hold
// no pointers, and tasks stand in pages in the order in which they were made: a garbage collection of millions passes quickly.
type roll struct {
	ids   *ids.Table
	pages []*rollPage
}

// rollPage is some tasks, and the place of each in the ready queue of its class: from 1, 0 where it has none.
type rollPage struct {
	tasks  [rollPageSize]known
	places [rollPageSize]int32
}

const rollPageSize = 1024

// newRoll returns a roll for about so many tasks.
func newRoll(tasks int) *roll { return &roll{ids: ids.New(tasks)} }

func (r *roll) len() int { return r.ids.Len() }

// of returns what the run has of a task.
func (r *roll) of(id spec.TaskID) known {
	number, found := r.ids.Find(id)
	if !found {
		return known{}
	}
	return *r.at(int32(number))
}

// add enters a task that is not there and returns its number.
func (r *roll) add(id spec.TaskID) (number int32) {
	number = int32(r.ids.Add(id))
	if number%rollPageSize == 0 {
		r.pages = append(r.pages, new(rollPage))
	}
	return number
}

func (r *roll) at(number int32) *known {
	return &r.pages[number/rollPageSize].tasks[number%rollPageSize]
}

// place returns a task's place in the ready queue of its class, -1 where it has none.
func (r *roll) place(t *task) int {
	return int(r.pages[t.number/rollPageSize].places[t.number%rollPageSize]) - 1
}

// moved notes a task's place.
func (r *roll) moved(q *queued, place int) {
	r.pages[q.number/rollPageSize].places[q.number%rollPageSize] = int32(place + 1)
}

// all yields the tasks in the order in which they became known.
func (r *roll) all(yield func(spec.TaskID, known) bool) {
	r.ids.All(func(number int, id spec.TaskID) bool { return yield(id, *r.at(int32(number))) })
}
