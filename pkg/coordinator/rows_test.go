package coordinator

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"autoresearch/pkg/spec"
)

// TestRowsKeepTheTree adds tasks in any order, kids before their parents too, and compares the tree with a plain map.
func TestRowsKeepTheTree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r, want := newRows(0), map[spec.TaskID][]spec.TaskID{}
		ids := rapid.Permutation(slices.Collect(func(yield func(int) bool) {
			for i := range 30 {
				if !yield(i) {
					return
				}
			}
		})).Draw(t, "order")
		waiting := map[spec.TaskID][]spec.TaskID{}
		for _, i := range ids {
			task := &spec.Task{Spec: spec.TaskSpec{ID: spec.TaskID(fmt.Sprint(i))}}
			if p := rapid.IntRange(-1, 32).Draw(t, "parent"); p >= 0 && p != i {
				task.Parent = spec.TaskID(fmt.Sprint(p))
			}
			id := task.Spec.ID
			if _, known := r.find(task.Parent); !known {
				waiting[task.Parent] = append(waiting[task.Parent], id)
			} else {
				want[task.Parent] = append(want[task.Parent], id)
			}
			r.add(task)
			want[id] = append(want[id], waiting[id]...)
			delete(waiting, id)
		}
		for id, kids := range want {
			if got := kidsOf(&r, id); id != "" && !slices.Equal(got, kids) {
				t.Fatalf("below %s: %v, want %v", id, got, kids)
			}
		}
	})
}

func kidsOf(r *rows, id spec.TaskID) (kids []spec.TaskID) {
	if parent, known := r.find(id); known {
		for place := r.at(parent).kid; place != 0; place = r.at(int(place - 1)).next {
			kids = append(kids, r.at(int(place-1)).task.Spec.ID)
		}
	}
	return kids
}
