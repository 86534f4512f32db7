package engine

// pqueue is a min-heap whose elements know their place, so that any of them can be removed or moved in O(log n). less must be
// a strict total order; moved is told every element's new index, -1 when it leaves.
type pqueue[T any] struct {
	items []T
	less  func(a, b *T) bool
	moved func(item *T, index int)
	held  T // the element for which up or down looks for a place
}

// arity is how many children a node of the heap has. A step down moves one element, whose place is noted, and looks at children that
// stand side by side: with four of them a long queue costs half the cache misses of one with two.
const arity = 4

func (q *pqueue[T]) len() int { return len(q.items) }

// top returns the least element; the queue must not be empty.
func (q *pqueue[T]) top() *T { return &q.items[0] }

func (q *pqueue[T]) push(item T) {
	q.items = append(q.items, item)
	q.up(len(q.items) - 1)
}

// remove takes out the element at index i.
func (q *pqueue[T]) remove(i int) {
	last := len(q.items) - 1
	q.moved(&q.items[i], -1)
	if i != last {
		q.items[i] = q.items[last]
	}
	var zero T
	q.items[last] = zero
	q.items = q.items[:last]
	if i != last {
		q.fix(i)
	}
	q.shrink()
}

// fix restores the order after the element at index i changed.
func (q *pqueue[T]) fix(i int) {
	if !q.down(i) {
		q.up(i)
	}
}

func (q *pqueue[T]) up(i int) {
	q.held = q.items[i]
	for i > 0 {
		parent := (i - 1) / arity
		if !q.less(&q.held, &q.items[parent]) {
			break
		}
		q.set(i, q.items[parent])
		i = parent
	}
	q.set(i, q.held)
}

// down reports whether the element moved.
func (q *pqueue[T]) down(i int) bool {
	q.held = q.items[i]
	start := i
	for {
		child := arity*i + 1
		if child >= len(q.items) {
			break
		}
		for other := child + 1; other < min(arity*(i+1)+1, len(q.items)); other++ {
			if q.less(&q.items[other], &q.items[child]) {
				child = other
			}
		}
		if !q.less(&q.items[child], &q.held) {
			break
		}
		q.set(i, q.items[child])
		i = child
	}
	q.set(i, q.held)
	return i != start
}

func (q *pqueue[T]) set(i int, item T) {
	q.items[i] = item
	q.moved(&q.items[i], i)
}

// shrink gives memory back when a queue that was long has become short.
func (q *pqueue[T]) shrink() {
	if cap(q.items) > 4096 && len(q.items) < cap(q.items)/4 {
		q.items = append(make([]T, 0, cap(q.items)/2), q.items...)
	}
}
