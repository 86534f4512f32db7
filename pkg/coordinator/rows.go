package coordinator

import (
	"math"
	"sort"

	"autoresearch/internal/ids"
	"autoresearch/pkg/spec"
)

// rows are the tasks of a run in the order of their arrival, and the tree between them. A task keeps its place for ever, so
// that a reader who holds a place may let go of the lock and come back. They stand in pages: growing copies nothing.
type rows struct {
	pages   []*page
	places  *ids.Table              // by id: they are its numbers
	orphans map[spec.TaskID][]int32 // by a parent that has not come yet
}

// row is one task. Its kids are a list through the rows themselves, by place from 1; 0 ends it.
type row struct {
	task               *spec.Task // nil: it has finished, or rests, and is in the block of its place
	score              float64    // of the objective; NaN when it has none
	kid, lastKid, next int32
	skipped            int32 // how many numbers were left out before its own
}

// page is some rows, and the blocks of those that are packed. Packed tasks lie together with their neighbours in order of
// arrival, not as they finished, so that a sweep finds them together whatever the priorities were.
type page struct {
	rows   [pageRows]row
	blocks [pageRows / blockRows]*block
}

const pageRows = 4096

// newRows returns rows for about so many tasks.
func newRows(tasks int) rows {
	return rows{places: ids.New(tasks), orphans: make(map[spec.TaskID][]int32)}
}

func (r *rows) len() int { return r.places.Len() }

func (r *rows) at(place int) *row { return &r.pages[place/pageRows].rows[place%pageRows] }

// block returns where the block of a number stands: that of the rows from blockRows times the number on.
func (r *rows) block(n int) **block {
	const perPage = pageRows / blockRows
	return &r.pages[n/perPage].blocks[n%perPage]
}

// ref returns the task at a place as readers take it along.
func (r *rows) ref(place int) ref {
	if t := r.at(place).task; t != nil {
		return ref{task: t}
	}
	return ref{block: *r.block(place / blockRows), row: place % blockRows}
}

// task returns the task at a place.
func (r *rows) task(place int) *spec.Task {
	if t := r.at(place).task; t != nil {
		return t
	}
	return new(unpacker).task(r.ref(place))
}

// seq returns the number of the task at a place.
func (r *rows) seq(place int) uint64 { return uint64(int64(place) + 1 + int64(r.at(place).skipped)) }

// placeOf returns the place of the first task with a number, or with a later one.
func (r *rows) placeOf(seq uint64) int {
	if place := int(seq) - 1; place >= 0 && place < r.len() && r.seq(place) == seq {
		return place
	}
	return sort.Search(r.len(), func(place int) bool { return r.seq(place) >= seq })
}

// find returns a task's place.
func (r *rows) find(id spec.TaskID) (place int, known bool) { return r.places.Find(id) }

// of returns the place of a task that has changed. Tasks are numbered as they arrive, which tells it, unless some numbers were left
// out; one with a later number than all has just come. One that is under way will be asked for again, if only by its kids.
func (r *rows) of(t *spec.Task) (place int, known bool) {
	last := r.len() - 1
	if last < 0 || t.Seq > r.seq(last) && r.at(last).skipped < math.MaxInt32 { // where it is the most there is, seq is not exact
		return 0, false
	}
	place = int(t.Seq) - 1
	if place < 0 || place > last || r.at(place).task == nil || r.at(place).task.Spec.ID != t.Spec.ID {
		return r.find(t.Spec.ID)
	}
	if t.State == spec.StateDispatched {
		r.places.Note(t.Spec.ID, place)
	}
	return place, true
}

// add gives a new task its place, below its parent in the tree.
func (r *rows) add(t *spec.Task) (place int) {
	place = r.places.Add(t.Spec.ID)
	if place%pageRows == 0 {
		r.pages = append(r.pages, new(page))
	}
	skipped := int64(t.Seq) - int64(place) - 1
	*r.at(place) = row{task: t, score: math.NaN(), skipped: int32(min(math.MaxInt32, max(math.MinInt32, skipped)))}
	r.hang(t.Parent, int32(place))
	for _, kid := range r.orphans[t.Spec.ID] {
		r.hang(t.Spec.ID, kid)
	}
	delete(r.orphans, t.Spec.ID)
	return place
}

// hang appends a row to its parent's kids.
func (r *rows) hang(parent spec.TaskID, place int32) {
	if parent == "" {
		return
	}
	at, known := r.find(parent)
	if !known {
		r.orphans[parent] = append(r.orphans[parent], place)
		return
	}
	p := r.at(at)
	if p.kid == 0 {
		p.kid = place + 1
	} else {
		r.at(int(p.lastKid - 1)).next = place + 1
	}
	p.lastKid = place + 1
}
