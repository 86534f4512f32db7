package verify

import (
	"cmp"
	"slices"

	"autoresearch/pkg/spec"
)

// births holds that arrival numbers go on where they were: one that was given to no task is a task that was lost.
func (c *commit) births() {
	f := c.fold
	slices.SortFunc(c.born, func(a, b *task) int { return cmp.Compare(a.arrival, b.arrival) })
	for _, t := range c.born {
		switch {
		case t.arrival <= f.arrival:
			f.violate(c.at(AppliedOnce, t), "its arrival number %d was given before", t.arrival)
		case t.arrival > f.arrival+1:
			f.violate(c.at(NothingLost, t), "its arrival number is %d, and those from %d on are of no task: tasks are lost", t.arrival, f.arrival+1)
		}
		f.arrival = max(f.arrival, t.arrival)
		if t.parent != "" && t.parent != t.named {
			c.declared(t)
		}
	}
}

// declared holds that a task which hangs below another for no other reason is among the children that the other's result
// declared in this commit.
func (c *commit) declared(t *task) {
	parent, known := c.fold.tasks[t.parent]
	if !known || !slices.Contains(parent.children, t.id) || !slices.Contains(c.ended, parent) {
		c.fold.violate(c.at(AppliedOnce, t), "it hangs below %q, whose result did not declare it", t.parent)
	}
}

// children holds that the children which a finished task declares were born in its commit, once, at their place.
func (c *commit) children(t *task) {
	f := c.fold
	for i, id := range t.children {
		child, known := f.tasks[id]
		switch {
		case !known:
			f.violate(c.at(NothingLost, t), "its child %q does not exist", id)
		case !slices.Contains(c.born, child):
			f.violate(c.at(AppliedOnce, t), "its child %q was there before its end", id)
		case slices.Contains(t.children[:i], id):
			f.violate(c.at(AppliedOnce, t), "it declares its child %q twice", id)
		case child.parent != t.id && (child.named == "" || child.parent != child.named) && !f.circles(child, t.id):
			f.violate(c.at(AppliedOnce, t), "its child %q hangs below %q", id, child.parent)
		}
	}
	t.children = nil // judged; their sum stays
}

// circles reports whether a child has no parent because its declared one is among its own descendants.
func (f *Fold) circles(child *task, below spec.TaskID) bool {
	if child.parent != "" {
		return false
	}
	for range len(f.tasks) {
		if below == child.id {
			return true
		}
		t, known := f.tasks[below]
		if !known || below == "" {
			return false
		}
		below = t.parent
	}
	return false
}

// outcomeNumbers holds that outcomes are numbered one after the other.
func (c *commit) outcomeNumbers() {
	f := c.fold
	slices.SortFunc(c.outcomes, func(a, b *task) int { return cmp.Compare(a.order, b.order) })
	for _, t := range c.outcomes {
		switch {
		case t.order <= f.order:
			f.violate(c.at(AppliedOnce, t), "its outcome has number %d, which was given before", t.order)
		case t.order > f.order+1:
			f.violate(c.at(NoSilentDrop, t), "its outcome has number %d, and those from %d on are of no task: outcomes are lost", t.order, f.order+1)
		}
		f.order = max(f.order, t.order)
	}
}
