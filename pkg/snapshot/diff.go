package snapshot

import (
	"fmt"
	"slices"
	"strings"

	"autoresearch/pkg/spec"
)

// diffLinesMax bounds the text of Diff: a queue may hold a million tasks.
const diffLinesMax = 200

// Diff returns the difference between two states for a person who must decide about an edit, one change a line: status,
// then the tasks removed (-), added (+) and changed (~) in the order of the file they stand in, by priority, kind,
// payload key, parent and place. It is "" when nothing differs but formatting, and says how many lines it left out
// beyond 200. Tasks of equal ids are matched in their order.
func Diff(before, after spec.EngineState) string {
	var d differ
	if before.Status != after.Status {
		d.line("status: %q -> %q", before.Status, after.Status)
	}
	olds, news := placed(before), placed(after)
	twin := match(olds, news)
	for i, task := range olds {
		if _, kept := twin.toNew[i]; !kept {
			d.line("- %q: removed from %s (priority %v)", clip(task.ID), task.list, task.Priority)
		}
	}
	for i, task := range news {
		if was, kept := twin.toOld[i]; kept {
			d.changed(olds[was], task)
		} else {
			d.line("+ %q: added to %s (priority %v, kind %q, payload %s)", clip(task.ID), task.list, task.Priority,
				clip(task.Kind), clip(task.Payload))
		}
	}
	if d.total == 0 && !inOrder(twin, len(news)) {
		d.line("the tasks stand in another order, which counts among equal priorities")
	}
	return d.String()
}

// placedTask is a task and the list it stands in.
type placedTask struct {
	*spec.TaskSpec
	list string
}

func placed(state spec.EngineState) []placedTask {
	tasks := make([]placedTask, 0, len(state.Queued)+len(state.Running))
	for i := range state.Queued {
		tasks = append(tasks, placedTask{&state.Queued[i], "queued"})
	}
	for i := range state.Running {
		tasks = append(tasks, placedTask{&state.Running[i], "running"})
	}
	return tasks
}

// twins pairs the places of tasks of the same id.
type twins struct{ toNew, toOld map[int]int }

// match pairs the first task of an id with the first of the same id, the second with the second, and so on.
func match(olds, news []placedTask) twins {
	byID := make(map[spec.TaskID][]int, len(olds))
	for i, task := range olds {
		byID[task.ID] = append(byID[task.ID], i)
	}
	twin := twins{map[int]int{}, map[int]int{}}
	for i, task := range news {
		if same := byID[task.ID]; len(same) > 0 {
			twin.toNew[same[0]], twin.toOld[i] = i, same[0]
			byID[task.ID] = same[1:]
		}
	}
	return twin
}

// inOrder reports whether the n tasks of the new state stand as in the old one.
func inOrder(twin twins, n int) bool {
	last := -1
	for i := range n {
		if twin.toOld[i] < last {
			return false
		}
		last = twin.toOld[i]
	}
	return true
}

// differ collects lines, up to a bound.
type differ struct {
	text  strings.Builder
	total int
}

func (d *differ) line(format string, args ...any) {
	d.total++
	if d.total <= diffLinesMax {
		fmt.Fprintf(&d.text, format+"\n", args...)
	}
}

// String returns the lines and how many were left out.
func (d *differ) String() string {
	if left := d.total - diffLinesMax; left > 0 {
		return fmt.Sprintf("%s... and %d more\n", d.text.String(), left)
	}
	return d.text.String()
}

// changed tells what differs between the two states of one task.
func (d *differ) changed(was, is placedTask) {
	id := clip(is.ID)
	if was.list != is.list {
		d.line("~ %q: moved from %s to %s", id, was.list, is.list)
	}
	if was.Priority != is.Priority {
		d.line("~ %q: priority %v -> %v", id, was.Priority, is.Priority)
	}
	if was.Kind != is.Kind {
		d.line("~ %q: kind %q -> %q", id, clip(was.Kind), clip(is.Kind))
	}
	if was.Parent != is.Parent {
		d.line("~ %q: parent %q -> %q", id, clip(was.Parent), clip(is.Parent))
	}
	if !spec.SameValue(was.Payload, is.Payload) {
		d.payload(id, members(was.Payload), members(is.Payload))
	}
}

// payload tells which keys of a payload differ.
func (d *differ) payload(id string, before, after map[string][]byte) {
	for _, key := range keysOf(before, after) {
		was, had := before[key]
		is, has := after[key]
		switch {
		case !has:
			d.line("~ %q: payload key %q removed (was %s)", id, clip(key), clip(was))
		case !had:
			d.line("~ %q: payload key %q added: %s", id, clip(key), clip(is))
		case !spec.SameValue(was, is):
			d.line("~ %q: payload key %q: %s -> %s", id, clip(key), clip(was), clip(is))
		}
	}
}

// members returns the members of a payload; one that cannot be read has none.
func members(payload spec.Payload) map[string][]byte {
	fields, err := spec.DecodeFields(payload)
	if err != nil {
		return nil
	}
	byKey := make(map[string][]byte, len(fields))
	for _, field := range fields {
		byKey[field.Name] = field.Value
	}
	return byKey
}

// keysOf returns the keys of both maps, sorted.
func keysOf(a, b map[string][]byte) []string {
	keys := make([]string, 0, len(a)+len(b))
	for key := range a {
		keys = append(keys, key)
	}
	for key := range b {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// clip shortens a value for one line.
func clip[T ~string | ~[]byte](value T) string {
	const limit = 80
	if len(value) <= limit {
		return string(value)
	}
	return string(value[:limit]) + "..."
}
