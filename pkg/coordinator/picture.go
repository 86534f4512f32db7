package coordinator

import (
	"iter"

	"autoresearch/pkg/spec"
)

// picture is every task as one commit left it, in order of arrival. It is read without the ledger's lock, and what is packed
// is unpacked one by one.
type picture struct {
	tasks  []*spec.Task // nil where it is packed
	blocks []*block
	at     position // of that commit
}

// look takes a picture.
func (g *ledger) look() picture {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.picture()
}

// picture copies what stands in the rows and looks at none of it: the lock, which the caller holds, is held as briefly as can
// be.
func (g *ledger) picture() picture {
	p := picture{tasks: make([]*spec.Task, g.rows.len()), at: g.last.position}
	for place := range p.tasks {
		p.tasks[place] = g.rows.at(place).task
	}
	for _, page := range g.rows.pages {
		p.blocks = append(p.blocks, page.blocks[:]...)
	}
	return p
}

// all yields every task. One that is packed is a copy of the reader's own.
func (p picture) all() iter.Seq[*spec.Task] {
	return func(yield func(*spec.Task) bool) {
		var u unpacker
		for place := range p.tasks {
			if !yield(u.task(p.ref(place))) {
				return
			}
		}
	}
}

// live yields the tasks that have not finished.
func (p picture) live() iter.Seq[*spec.Task] {
	return func(yield func(*spec.Task) bool) {
		var u unpacker
		for place := range p.tasks {
			if r := p.ref(place); !r.finished() && !yield(u.task(r)) {
				return
			}
		}
	}
}

// ref is the task at a place.
func (p picture) ref(place int) ref {
	return ref{task: p.tasks[place], block: p.blocks[place/blockRows], row: place % blockRows}
}
