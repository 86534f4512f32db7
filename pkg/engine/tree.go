package engine

import "autoresearch/pkg/spec"

// kin is a task's place in the tree, by numbers from 1; 0 is nobody. The last of its kids knows the others: they are a circle.
type kin struct {
	last int32 // kid
	next int32 // below the same parent; after the last the first
}

func (r *roll) kin(number int32) *kin {
	return &r.pages[number/rollPageSize].kin[number%rollPageSize]
}

// adopt puts a task below its parent, after its other kids. The parent may come later.
func (r *roll) adopt(parent spec.TaskID, kid int32) {
	if parent == "" {
		return
	}
	if number, found := r.ids.Find(parent); found {
		k := r.kin(int32(number))
		k.last = r.join(k.last, kid)
		return
	}
	r.orphans[parent] = r.join(r.orphans[parent], kid)
}

// join puts a kid behind the last of a circle and returns who is last then.
func (r *roll) join(last, kid int32) int32 {
	next := kid + 1
	if last > 0 {
		next, r.kin(last-1).next = r.kin(last-1).next, next
	}
	r.kin(kid).next = next
	return kid + 1
}

// kids yields a task's kids in the order in which they were adopted, circle those of the parent whose last kid it is given.
func (r *roll) kids(parent int32) func(yield func(int32) bool) { return r.circle(r.kin(parent).last) }

func (r *roll) circle(last int32) func(yield func(int32) bool) {
	return func(yield func(int32) bool) {
		for k := last; k > 0; {
			if k = r.kin(k - 1).next; !yield(k-1) || k == last {
				return
			}
		}
	}
}

// below yields a task and its descendants, level by level; each once, even where they are in a circle, which only damage makes.
func (r *roll) below(top int32) func(yield func(int32) bool) {
	return func(yield func(int32) bool) {
		next, seen := []int32{top}, map[int32]bool{top: true}
		for len(next) > 0 {
			number := next[0]
			next = next[1:]
			if !yield(number) {
				return
			}
			for kid := range r.kids(number) {
				if !seen[kid] {
					seen[kid] = true
					next = append(next, kid)
				}
			}
		}
	}
}

// isAbove reports whether a task is another, or an ancestor of it.
func (r *roll) isAbove(ancestor int32, id spec.TaskID) bool {
	wanted, found := r.ids.Find(id)
	if !found {
		return false
	}
	if r.kin(ancestor).last == 0 { // it has no kids, as most that are new
		return wanted == int(ancestor)
	}
	for number := range r.below(ancestor) {
		if int(number) == wanted {
			return true
		}
	}
	return false
}
