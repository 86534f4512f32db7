package coordinator

import (
	"math"

	"autoresearch/pkg/spec"
)

// rows are the tasks of a run in the order of their arrival, and the tree between them. A task keeps its place for ever, so
// that a reader who holds a place may let go of the lock and come back. They stand in pages: growing copies nothing.
type rows struct {
	pages   []*[pageRows]row
	count   int
	places  map[spec.TaskID]int32
	orphans map[spec.TaskID][]int32 // by a parent that has not come yet
}

// row is one task. Its kids are a list through the rows themselves, by place from 1; 0 ends it.
type row struct {
	task               *spec.Task
	score              float64 // of the objective; NaN when it has none
	kid, lastKid, next int32
}

const pageRows = 4096

// newRows returns rows for about so many tasks.
func newRows(tasks int) rows {
	return rows{places: make(map[spec.TaskID]int32, tasks), orphans: make(map[spec.TaskID][]int32)}
}

func (r *rows) at(place int) *row { return &r.pages[place/pageRows][place%pageRows] }

// find returns a task's row, nil when there is none.
func (r *rows) find(id spec.TaskID) *row {
	place, known := r.places[id]
	if !known {
		return nil
	}
	return r.at(int(place))
}

// of returns the row of a task, nil when it has none. Tasks are numbered as they arrive, which tells the place, unless some
// numbers were left out.
func (r *rows) of(t *spec.Task) *row {
	if place := int(t.Seq) - 1; place >= 0 && place < r.count {
		if row := r.at(place); row.task.Spec.ID == t.Spec.ID {
			return row
		}
	}
	return r.find(t.Spec.ID)
}

// add gives a new task its place, below its parent in the tree.
func (r *rows) add(t *spec.Task) *row {
	place := r.count
	if place%pageRows == 0 {
		r.pages = append(r.pages, new([pageRows]row))
	}
	r.count++
	added := r.at(place)
	*added = row{task: t, score: math.NaN()}
	r.places[t.Spec.ID] = int32(place)
	r.hang(t.Parent, int32(place))
	for _, kid := range r.orphans[t.Spec.ID] {
		r.hang(t.Spec.ID, kid)
	}
	delete(r.orphans, t.Spec.ID)
	return added
}

// hang appends a row to its parent's kids.
func (r *rows) hang(parent spec.TaskID, place int32) {
	if parent == "" {
		return
	}
	p := r.find(parent)
	switch {
	case p == nil:
		r.orphans[parent] = append(r.orphans[parent], place)
		return
	case p.kid == 0:
		p.kid = place + 1
	default:
		r.at(int(p.lastKid - 1)).next = place + 1
	}
	p.lastKid = place + 1
}
