package engine

import (
	"autoresearch/internal/ids"
	"autoresearch/pkg/spec"
)

// roll has every task of the run, by its id and by its number: in the order in which they became known. Ids and ready queues hold
// no pointers, and tasks stand in pages in the order in which they were made: a garbage collection of millions passes quickly.
type roll struct {
	ids     *ids.Table
	pages   []*rollPage
	orphans map[spec.TaskID]int32 // the last kid of one that has not come yet, as in kin
}

// rollPage is some tasks, their places in the tree, and those in the ready queues of their classes: from 1, 0 where they have none.
type rollPage struct {
	tasks  [rollPageSize]known
	kin    [rollPageSize]kin
	places [rollPageSize]int32
}

const rollPageSize = 1024

// newRoll returns a roll for about so many tasks.
func newRoll(tasks int) *roll {
	return &roll{ids: ids.New(tasks), orphans: make(map[spec.TaskID]int32)}
}

func (r *roll) len() int { return r.ids.Len() }

// of returns what the run has of a task.
func (r *roll) of(id spec.TaskID) known {
	number, found := r.ids.Find(id)
	if !found {
		return known{}
	}
	return *r.at(int32(number))
}

// add enters a task that is not there, above the kids that came before it, and returns its number.
func (r *roll) add(id spec.TaskID) (number int32) {
	number = int32(r.ids.Add(id))
	if number%rollPageSize == 0 {
		r.pages = append(r.pages, new(rollPage))
	}
	r.kin(number).last = r.orphans[id]
	delete(r.orphans, id)
	return number
}

// note says that a task will be asked for by its id soon.
func (r *roll) note(t *task) { r.ids.Note(t.Spec.ID, int(t.number)) }

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
