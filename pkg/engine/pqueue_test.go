package engine

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"autoresearch/pkg/spec"
)

// TestQueueAgainstModel compares a queue with a sorted list, under pushes, pops, removals from the middle and changes of
// a key in place.
func TestQueueAgainstModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		q := newReadyQueue(newRoll(0))
		var model []*task
		var seq uint64
		priority := rapid.SampledFrom([]float64{0, 1, -1, 2, math.Inf(1), math.Inf(-1)})
		rt.Repeat(map[string]func(*rapid.T){
			"push": func(rt *rapid.T) {
				seq++
				added := enrol(q, &spec.Task{Seq: seq, Priority: priority.Draw(rt, "priority")})
				q.add(added)
				model = append(model, added)
			},
			"pop": func(rt *rapid.T) {
				if len(model) == 0 {
					rt.Skip("empty")
				}
				least := slices.MinFunc(model, byUrgency)
				if q.first() != least {
					rt.Fatalf("on top is %+v, want %+v", q.first().Task, least.Task)
				}
				q.remove(0)
				model = drop(model, least)
			},
			"remove": func(rt *rapid.T) {
				if len(model) == 0 {
					rt.Skip("empty")
				}
				gone := rapid.SampledFrom(model).Draw(rt, "task")
				q.remove(q.roll.place(gone))
				model = drop(model, gone)
				if place := q.roll.place(gone); place != -1 {
					rt.Fatalf("a removed task says it is at %d", place)
				}
			},
			"change": func(rt *rapid.T) {
				if len(model) == 0 {
					rt.Skip("empty")
				}
				moved := rapid.SampledFrom(model).Draw(rt, "task")
				moved.Priority = priority.Draw(rt, "priority")
				q.items[q.roll.place(moved)].priority = moved.Priority
				q.fix(q.roll.place(moved))
			},
			"": func(rt *rapid.T) {
				if q.len() != len(model) {
					rt.Fatalf("%d in the queue, want %d", q.len(), len(model))
				}
				for _, each := range model {
					if q.items[q.roll.place(each)].number != each.number {
						rt.Fatalf("task %d is not where it says", each.Seq)
					}
				}
			},
		})
		slices.SortFunc(model, byUrgency)
		for _, want := range model {
			if got := q.first(); got != want {
				rt.Fatalf("%+v comes before %+v", got.Task, want.Task)
			}
			q.remove(0)
		}
	})
}

// enrol returns a task on the roll of a queue.
func enrol(q readyQueue, t *spec.Task) *task {
	added := &task{Task: t, number: q.roll.add(spec.TaskID(fmt.Sprint(t.Seq)))}
	q.roll.at(added.number).live = added
	return added
}

func byUrgency(a, b *task) int {
	if before(&queued{a.Priority, a.Seq, a.number}, &queued{b.Priority, b.Seq, b.number}) {
		return -1
	}
	return 1
}

func drop(tasks []*task, gone *task) []*task {
	return slices.DeleteFunc(tasks, func(t *task) bool { return t == gone })
}

// TestQueueGivesMemoryBack: a queue that was long once does not stay so.
func TestQueueGivesMemoryBack(t *testing.T) {
	t.Parallel()
	q := newReadyQueue(newRoll(0))
	const long = 20_000
	for i := range uint64(long) {
		q.add(enrol(q, &spec.Task{Seq: i, Priority: float64(i % 7)}))
	}
	for q.len() > 10 {
		q.remove(q.len() / 2)
	}
	if cap(q.items) > 5000 {
		t.Fatalf("%d of %d left, in a slice for %d", q.len(), long, cap(q.items))
	}
	for i := 1; i < q.len(); i++ {
		if before(&q.items[i], &q.items[(i-1)/arity]) {
			t.Fatal("the order was lost")
		}
	}
}
