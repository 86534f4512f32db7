package engine

import "autoresearch/pkg/spec"

// tree has the kids of each task, also of one that has not come yet: the last of them, which knows the others. Most parents of a
// long run have one or a few, and a list in a circle takes a third less memory for them than a slice.
type tree map[spec.TaskID]*kid

type kid struct {
	id   spec.TaskID
	next *kid // below the same parent; after the last the first
}

// adopt puts a task below its parent, after its other kids.
func (t tree) adopt(parent, id spec.TaskID) {
	if parent == "" {
		return
	}
	k := &kid{id: id}
	if last := t[parent]; last == nil {
		k.next = k
	} else {
		k.next, last.next = last.next, k
	}
	t[parent] = k
}

// of yields a task's kids in the order in which they were adopted.
func (t tree) of(parent spec.TaskID) func(yield func(spec.TaskID) bool) {
	return func(yield func(spec.TaskID) bool) {
		last := t[parent]
		for k := last; k != nil; {
			if k = k.next; !yield(k.id) || k == last {
				return
			}
		}
	}
}

// isAbove reports whether a task is an ancestor of another.
func (t tree) isAbove(ancestor, id spec.TaskID) bool {
	if t[ancestor] == nil {
		return false
	}
	next := []spec.TaskID{ancestor}
	for seen := make(map[spec.TaskID]bool); len(next) > 0; {
		parent := next[0]
		next = next[1:]
		for kid := range t.of(parent) {
			if kid == id {
				return true
			}
			if !seen[kid] { // it is else in a circle, which only damage makes
				seen[kid] = true
				next = append(next, kid)
			}
		}
	}
	return false
}
