package ids

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"autoresearch/pkg/spec"
)

// TestTableAgainstModel: a table finds what was added and nothing else, also when many ids share a hash.
func TestTableAgainstModel(t *testing.T) {
	t.Parallel()
	ids := rapid.StringMatching(`[a-c]{0,3}|x{0,300}`)
	for name, hash := range map[string]func(spec.TaskID) uint64{
		"its own":    nil,
		"few":        func(id spec.TaskID) uint64 { return uint64(len(id) % 3) },
		"last ones":  func(spec.TaskID) uint64 { return 1<<64 - 2 },
		"one by one": func(id spec.TaskID) uint64 { return uint64(len(id)) },
	} {
		t.Run(name, rapid.MakeCheck(func(rt *rapid.T) {
			table := New(0)
			if hash != nil {
				table.hash = hash
			}
			model := make(map[spec.TaskID]int)
			rt.Repeat(map[string]func(*rapid.T){
				"add": func(rt *rapid.T) {
					id := spec.TaskID(ids.Draw(rt, "id"))
					if _, there := model[id]; there {
						rt.Skip("it is there")
					}
					if number := table.Add(id); number != len(model) {
						rt.Fatalf("%q has number %d, it is the %dth", id, number, len(model))
					}
					model[id] = len(model)
				},
				"find": func(rt *rapid.T) {
					id := spec.TaskID(ids.Draw(rt, "id"))
					want, there := model[id]
					if number, ok := table.Find(id); ok != there || number != want {
						rt.Fatalf("%q: %d, %t; want %d, %t", id, number, ok, want, there)
					}
				},
				"note": func(rt *rapid.T) {
					if id := spec.TaskID(ids.Draw(rt, "id")); model[id] > 0 {
						table.Note(id, model[id])
					}
				},
				"": func(rt *rapid.T) {
					if table.Len() != len(model) {
						rt.Fatalf("%d ids, want %d", table.Len(), len(model))
					}
				},
			})
			checkAll(rt, table, model)
		}))
	}
}

func checkAll(rt *rapid.T, table *Table, model map[spec.TaskID]int) {
	seen := 0
	for number, id := range table.All {
		if number != seen || model[id] != number {
			rt.Fatalf("%q comes as number %d in place %d, want %d", id, number, seen, model[id])
		}
		seen++
	}
	if seen != len(model) {
		rt.Fatalf("%d of %d ids came", seen, len(model))
	}
}

// TestTablePages crosses pages, with ids of all lengths, and stops in the middle.
func TestTablePages(t *testing.T) {
	t.Parallel()
	table := New(0)
	id := func(i int) spec.TaskID { return spec.TaskID(fmt.Sprint(i, strings.Repeat("-", i%200))) }
	const count = 2*pageIDs + 5
	for i := range count {
		table.Add(id(i))
	}
	for i := range count {
		if number, ok := table.Find(id(i)); !ok || number != i {
			t.Fatalf("id %d has number %d, %t", i, number, ok)
		}
	}
	if number, ok := table.Find(id(count)); ok {
		t.Fatalf("an id that was not added has number %d", number)
	}
	seen := 0
	for number, name := range table.All {
		if name != id(number) {
			t.Fatalf("number %d is %q, want %q", number, name, id(number))
		}
		if seen++; seen == pageIDs+1 {
			break
		}
	}
	if seen != pageIDs+1 {
		t.Fatalf("%d ids came", seen)
	}
}

// TestFindAllocatesNothing: it is called for each thing that happens to a task.
func TestFindAllocatesNothing(t *testing.T) {
	table := New(0)
	table.Add("a")
	if n := testing.AllocsPerRun(100, func() {
		table.Find("a")
		table.Find("b")
	}); n > 0 {
		t.Fatalf("%v allocations", n)
	}
}
