package coordinator

import (
	"iter"

	"autoresearch/pkg/spec"
)

// dirtyTasks are what the mirror lacks: the newest state of each task that changed. They stand in pages by their number of
// arrival, which no two tasks share: what changes at a time arrived at a time, mostly, so that noting a change touches
// little memory.
type dirtyTasks map[uint64]*[dirtyPage]kvTask

// dirtyPage is how many tasks a page is for.
const dirtyPage = 512

type kvTask struct {
	seq  uint64
	task *spec.Task // nil: none
}

// of returns the place of a task.
func (d dirtyTasks) of(t *spec.Task) *kvTask {
	page := d[t.Seq/dirtyPage]
	if page == nil {
		page = new([dirtyPage]kvTask)
		d[t.Seq/dirtyPage] = page
	}
	return &page[t.Seq%dirtyPage]
}

func (d dirtyTasks) all() iter.Seq[kvTask] {
	return func(yield func(kvTask) bool) {
		for _, page := range d {
			for i := range page {
				if page[i].task != nil && !yield(page[i]) {
					return
				}
			}
		}
	}
}
