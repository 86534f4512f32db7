package coordinator

import (
	"iter"
	"slices"

	"autoresearch/pkg/spec"
)

// Which says which tasks a scan yields.
type Which int

// All are all tasks. Live are those that have not finished: a scan of them unpacks no other.
const (
	All Which = iota
	Live
)

// scanChunk is how many rows a scan copies under the ledger's lock.
const scanChunk = 2048

// Scan yields the tasks from a place on, in order of arrival. It is no picture of one moment: each task is as it was when
// the scan came by.
func (v *View) Scan(from int, which Which) iter.Seq2[int, Row] {
	return func(yield func(int, Row) bool) {
		var u unpacker
		chunk := make([]held, 0, scanChunk)
		for seen := scanChunk; seen > 0; from += seen {
			chunk, seen = v.t.ledger.read(from, from+scanChunk, which, chunk[:0])
			for _, h := range chunk {
				if !yield(h.place, h.row(&u)) {
					return
				}
			}
		}
	}
}

// ScanBack yields the tasks from a place down, the latest arrival first.
func (v *View) ScanBack(from int, which Which) iter.Seq2[int, Row] {
	return func(yield func(int, Row) bool) {
		var u unpacker
		chunk := make([]held, 0, scanChunk)
		for ; from >= 0; from -= scanChunk {
			chunk, _ = v.t.ledger.read(max(0, from+1-scanChunk), from+1, which, chunk[:0])
			for _, h := range slices.Backward(chunk) {
				if !yield(h.place, h.row(&u)) {
					return
				}
			}
		}
	}
}

// held is a row as a reader takes it along.
type held struct {
	ref
	score float64
	place int
}

// held copies the row at a place.
func (r *rows) held(place int) held {
	return held{ref: r.ref(place), score: r.at(place).score, place: place}
}

// row unpacks what is packed.
func (h held) row(u *unpacker) Row { return Row{u.task(h.ref), h.score} }

// read copies rows, without that of the end, and returns how many it came by.
func (g *ledger) read(from, end int, which Which, to []held) (_ []held, seen int) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	end = min(end, g.rows.len())
	for place := from; place < end; place++ {
		if h := g.rows.held(place); which == All || !h.finished() {
			to = append(to, h)
		}
	}
	return to, max(0, end-from)
}

// Children yields the tasks below a task in the tree, in order of arrival.
func (v *View) Children(id spec.TaskID) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		var u unpacker
		h, ok := v.t.ledger.held(id)
		if !ok {
			return
		}
		for kid := range v.t.ledger.kids(h.place) {
			if !yield(kid.row(&u)) {
				return
			}
		}
	}
}

// kids yields the rows below one in the tree.
func (g *ledger) kids(place int) iter.Seq[held] {
	return func(yield func(held) bool) {
		chunk := make([]held, 0, 64)
		for next := g.firstKid(place); next != 0; {
			chunk, next = g.siblings(next, chunk[:0])
			for _, h := range chunk {
				if !yield(h) {
					return
				}
			}
		}
	}
}

func (g *ledger) firstKid(place int) int32 {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.rows.at(place).kid
}

// siblings copies a row and those after it below the same parent, as many as fit, and returns the place to go on at.
func (g *ledger) siblings(place int32, to []held) ([]held, int32) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for place != 0 && len(to) < cap(to) {
		to = append(to, g.rows.held(int(place-1)))
		place = g.rows.at(int(place - 1)).next
	}
	return to, place
}

// Subtree yields a task and all its descendants, level by level, with their numbers in this order from 0. What comes before a
// number is passed over without a look.
func (v *View) Subtree(id spec.TaskID, from int, which Which) iter.Seq2[int, Row] {
	return func(yield func(int, Row) bool) {
		var u unpacker
		g, number := v.t.ledger, 0
		pass := func(h held) bool {
			wanted := number >= from && (which == All || !h.finished())
			number++
			return !wanted || yield(number-1, h.row(&u))
		}
		root, ok := g.held(id)
		if !ok || !pass(root) {
			return
		}
		for next := []int{root.place}; len(next) > 0; next = next[1:] {
			for kid := range g.kids(next[0]) {
				if !pass(kid) {
					return
				}
				next = append(next, kid.place)
			}
		}
	}
}
