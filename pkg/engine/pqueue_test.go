package engine

import (
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
		q := newReadyQueue()
		var model []*task
		var seq uint64
		priority := rapid.SampledFrom([]float64{0, 1, -1, 2, math.Inf(1), math.Inf(-1)})
		rt.Repeat(map[string]func(*rapid.T){
			"push": func(rt *rapid.T) {
				seq++
				added := &task{Task: &spec.Task{Seq: seq, Priority: priority.Draw(rt, "priority")}, queuePos: -1}
				q.push(queued{added.Priority, added.Seq, added})
				model = append(model, added)
			},
			"pop": func(rt *rapid.T) {
				if len(model) == 0 {
					rt.Skip("empty")
				}
				least := slices.MinFunc(model, byUrgency)
				if q.top().task != least {
					rt.Fatalf("on top is %+v, want %+v", q.top().task.Task, least.Task)
				}
				q.remove(0)
				model = drop(model, least)
			},
			"remove": func(rt *rapid.T) {
				if len(model) == 0 {
					rt.Skip("empty")
				}
				gone := rapid.SampledFrom(model).Draw(rt, "task")
				q.remove(int(gone.queuePos))
				model = drop(model, gone)
				if gone.queuePos != -1 {
					rt.Fatalf("a removed task says it is at %d", gone.queuePos)
				}
			},
			"change": func(rt *rapid.T) {
				if len(model) == 0 {
					rt.Skip("empty")
				}
				moved := rapid.SampledFrom(model).Draw(rt, "task")
				moved.Priority = priority.Draw(rt, "priority")
				q.items[moved.queuePos].priority = moved.Priority
				q.fix(int(moved.queuePos))
			},
			"": func(rt *rapid.T) {
				if q.len() != len(model) {
					rt.Fatalf("%d in the queue, want %d", q.len(), len(model))
				}
				for _, each := range model {
					if q.items[each.queuePos].task != each {
						rt.Fatalf("task %d is not where it says", each.Seq)
					}
				}
			},
		})
		slices.SortFunc(model, byUrgency)
		for _, want := range model {
			if got := q.top().task; got != want {
				rt.Fatalf("%+v comes before %+v", got.Task, want.Task)
			}
			q.remove(0)
		}
	})
}

func newReadyQueue() *pqueue[queued] {
	return &pqueue[queued]{less: before, moved: func(q *queued, i int) { q.task.queuePos = int32(i) }}
}

func byUrgency(a, b *task) int {
	if before(&queued{a.Priority, a.Seq, a}, &queued{b.Priority, b.Seq, b}) {
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
	q := newReadyQueue()
	const long = 20_000
	for i := range uint64(long) {
		q.push(queued{float64(i % 7), i, &task{}})
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
