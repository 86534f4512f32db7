// Package ids numbers task ids, so that whoever has millions of tasks keeps them in pages by number, and nothing by id.
package ids

import (
	"encoding/binary"
	"hash/maphash"
	"slices"

	"autoresearch/pkg/spec"
)

// Table numbers ids from 0 in the order in which they are added. It never forgets one. However many it has, to a garbage
// collection it is a few objects, nearly without pointers. The zero value is not usable: New. Several goroutines may read it at
// the same time while none changes it.
type Table struct {
	hash   func(spec.TaskID) uint64
	places map[uint64]place // by hash; an id whose hash another has takes the next one that is free
	pages  [][]byte         // the ids of pageIDs numbers each, with their lengths before them
	count  int
	recent [recentIDs]recentID // by the end of the hash: those that were noted last
}

// place is where an id stands: its number, and where it begins in the page of that.
type place struct{ number, at uint32 }

const pageIDs = 4096

// recentID is an id that will be asked for soon. What is under way is found here, where the millions around it are in no cache.
type recentID struct {
	id     spec.TaskID
	number int
}

const recentIDs = 1024

// New returns a table with room for about so many ids.
func New(count int) *Table {
	seed := maphash.MakeSeed()
	return &Table{
		hash:   func(id spec.TaskID) uint64 { return maphash.String(seed, string(id)) },
		places: make(map[uint64]place, count),
	}
}

// Len returns how many ids there are.
func (t *Table) Len() int { return t.count }

// Note says that an id with this number will be asked for soon.
func (t *Table) Note(id spec.TaskID, number int) {
	t.recent[t.hash(id)%recentIDs] = recentID{id, number}
}

// Find returns an id's number.
func (t *Table) Find(id spec.TaskID) (number int, ok bool) {
	hash := t.hash(id)
	if r := &t.recent[hash%recentIDs]; r.id == id && id != "" {
		return r.number, true
	}
	for ; ; hash++ {
		p, taken := t.places[hash]
		if !taken {
			return 0, false
		}
		if name, _ := next(t.pages[p.number/pageIDs][p.at:]); string(name) == string(id) {
			return int(p.number), true
		}
	}
}

// Add adds an id that is not there and returns its number.
func (t *Table) Add(id spec.TaskID) (number int) {
	number = t.count
	t.count++
	if number%pageIDs == 0 {
		t.pages = append(t.pages, nil)
	}
	page := &t.pages[number/pageIDs]
	hash := t.hash(id)
	for _, taken := t.places[hash]; taken; _, taken = t.places[hash] {
		hash++
	}
	t.places[hash] = place{uint32(number), uint32(len(*page))}
	*page = append(binary.AppendUvarint(*page, uint64(len(id))), id...)
	if t.count%pageIDs == 0 {
		*page = slices.Clip(slices.Clone(*page))
	}
	return number
}

// All yields the ids with their numbers, in the order of these. The table must not change meanwhile.
func (t *Table) All(yield func(number int, id spec.TaskID) bool) {
	number := 0
	for _, page := range t.pages {
		for len(page) > 0 {
			var name []byte
			name, page = next(page)
			if !yield(number, spec.TaskID(name)) {
				return
			}
			number++
		}
	}
}

// next splits the first id off a page.
func next(page []byte) (name, rest []byte) {
	size, n := binary.Uvarint(page)
	end := n + int(size)
	return page[n:end], page[end:]
}
