package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"sync"

	"autoresearch/pkg/spec"
)

// load is the work to be done: tasks numbered from 0. With a fan, the children of task i are numbered fan*i+1 to
// fan*i+fan, as far as there are so many tasks, and only task 0 is there at the start; without one, all are. Its fields
// are exported for the way to a child process.
type load struct {
	Name    string // begins the ids: two loads of one run must not share them
	Tasks   int
	Fan     int
	Payload int    // bytes of each task
	Window  int    // the most tasks under way: the engine's budget and slots, raw's unanswered messages
	Seed    uint64 // draws the priorities; 0: they are all the same
}

// warmup is a small load of the same kind, to be done before the clock starts.
func (l load) warmup() load {
	l.Name, l.Tasks = "warm", min(l.Tasks, 10*l.Window)
	return l
}

// roots is how many tasks are there at the start: the first ones.
func (l load) roots() int {
	if l.Fan > 0 {
		return min(1, l.Tasks)
	}
	return l.Tasks
}

// children returns the numbers of a task's children: first and those up to end, without end.
func (l load) children(i int) (first, end int) {
	first = min(l.Tasks, l.Fan*i+1)
	return first, min(l.Tasks, l.Fan*(i+1)+1)
}

// spec returns a task as the engine takes it, its payload a JSON object of the load's size.
func (l load) spec(i int) spec.TaskSpec {
	return spec.TaskSpec{
		ID: spec.TaskID(l.Name + "-" + strconv.Itoa(i)), Kind: spec.KindDefault, Priority: l.priority(i), Payload: l.object(i),
	}
}

func (l load) specs(first, end int) []spec.TaskSpec {
	specs := make([]spec.TaskSpec, 0, max(0, end-first))
	for i := first; i < end; i++ {
		specs = append(specs, l.spec(i))
	}
	return specs
}

func (l load) priority(i int) float64 {
	if l.Seed == 0 {
		return spec.PriorityDefault
	}
	return rand.New(rand.NewPCG(l.Seed, uint64(i))).Float64()
}

// object returns {"n":i,"pad":"..."} of exactly the payload's size, or the shortest that is larger.
func (l load) object(i int) spec.Payload {
	object := fmt.Appendf(make([]byte, 0, l.Payload), `{"n":%d,"pad":"`, i)
	for left := l.Payload - len(object) - len(`"}`); left > 0; {
		pad := padding()[i%paddingText*paddingStep%(paddingText/2):]
		pad = pad[:min(left, len(pad))]
		object, left = append(object, pad...), left-len(pad)
	}
	return append(object, `"}`...)
}

// padding is text that payloads are filled with, each with a piece of its own: what keeps payloads compressed must not look better
// than it is.
var padding = sync.OnceValue(func() []byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	random, text := rand.New(rand.NewPCG(1, 2)), make([]byte, paddingText)
	for i := range text {
		text[i] = letters[random.IntN(len(letters))]
	}
	return text
})

// paddingText is how long the text is. By paddingStep, the golden section of half of it, the pieces of neighbours lie far apart.
const (
	paddingText = 1 << 20
	paddingStep = 324_027
)

// number is the inverse of spec's id.
func (l load) number(id spec.TaskID) (int, error) {
	prefix := l.Name + "-"
	if len(id) <= len(prefix) || string(id[:len(prefix)]) != prefix {
		return 0, fmt.Errorf("task %q is not of load %s", id, l.Name)
	}
	i, err := strconv.Atoi(string(id[len(prefix):]))
	if err != nil || i < 0 || i >= l.Tasks || i > math.MaxUint32 {
		return 0, fmt.Errorf("task %q is none of the %d of load %s", id, l.Tasks, l.Name)
	}
	return i, nil
}

// tally counts finished tasks, each once. It is not safe for concurrent use.
type tally struct {
	seen []bool
	left int
}

func newTally(tasks int) tally { return tally{seen: make([]bool, tasks), left: tasks} }

// finish counts a task; false when it was counted before.
func (t *tally) finish(i int) bool {
	if t.seen[i] {
		return false
	}
	t.seen[i] = true
	t.left--
	return true
}

// finished is how many were counted.
func (t *tally) finished() int { return len(t.seen) - t.left }
