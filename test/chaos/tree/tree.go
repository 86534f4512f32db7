// Package tree is the search tree that a chaos run grows. Every task of it is a pure function of a seed and a number, so
// that the experiment which runs a task and the oracle which judges the run need not talk to each other.
package tree

import (
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"time"
)

// Tree is a tree of Size tasks, numbered from 0, the root, in breadth-first order. Its methods may be called concurrently.
type Tree struct {
	Seed uint64
	Size int
	// first[n] is the number of the first child of n; that of n+1 ends them.
	first []int
}

// Purposes of the random numbers of a task.
const (
	forChildren = iota
	forPriority
	forDuration
	forValue
)

// childrenMax is one more than the most children of a task.
const childrenMax = 7

// New returns the tree of a seed with so many tasks, at least one.
func New(seed uint64, size int) *Tree {
	t := &Tree{Seed: seed, Size: max(1, size)}
	t.first = make([]int, t.Size+1)
	next := 1
	for n := range t.Size {
		t.first[n] = next
		children := int(t.draw(n, forChildren) % childrenMax)
		if n+1 == next { // nothing else would go on
			children = max(1, children)
		}
		next = min(t.Size, next+children)
	}
	t.first[t.Size] = next
	return t
}

// draw returns a number that looks random (the finaliser of splitmix64).
func (t *Tree) draw(n, purpose int) uint64 {
	x := t.Seed + uint64(n*4+purpose+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Task is one task of the tree.
type Task struct {
	ID       string  `json:"id"`
	Priority float64 `json:"priority"`
	Payload  Payload `json:"payload"`
}

// Payload is what a task carries, to see that it arrives as it was sent.
type Payload struct {
	Number int    `json:"number"`
	Check  uint64 `json:"check"`
}

// patterns make ids of which each would harm a subject, a key or a path.
var patterns = []string{"t%d", "a/../b.%d", "* > %d", "größe %d", "=%d..", "%d\t"}

// ID returns the id of a task.
func ID(n int) string { return fmt.Sprintf(patterns[n%len(patterns)], n) }

var digits = regexp.MustCompile(`[0-9]+`)

// Number returns the number of the task of an id; ok is false where no task has it.
func (t *Tree) Number(id string) (n int, ok bool) {
	n, err := strconv.Atoi(digits.FindString(id))
	return n, err == nil && n < t.Size && ID(n) == id
}

// Task returns a task by its number.
func (t *Tree) Task(n int) Task {
	return Task{
		ID: ID(n), Priority: float64(t.draw(n, forPriority) % 10),
		Payload: Payload{Number: n, Check: t.draw(n, forValue)},
	}
}

// Children returns the children of a task, in order.
func (t *Tree) Children(n int) []Task {
	var children []Task
	for child := t.first[n]; child < t.first[n+1]; child++ {
		children = append(children, t.Task(child))
	}
	return children
}

// Parent returns the number of a task's parent; ok is false for the root.
func (t *Tree) Parent(n int) (parent int, ok bool) {
	after := sort.Search(t.Size, func(k int) bool { return t.first[k] > n }) // the first task whose children come later
	return after - 1, n > 0
}

// Value is the metric of a task.
func (t *Tree) Value(n int) float64 { return float64(t.draw(n, forValue) % 1_000_003) }

// DurationMean is about how long a task takes on average.
const DurationMean = 230 * time.Millisecond

// Duration returns how long a task takes: most are short, some take seconds, and a few outlast the lease of a worker that
// is not heard.
func (t *Tree) Duration(n int) time.Duration {
	draw := t.draw(n, forDuration)
	share, within := draw%1000, time.Duration(draw>>12)
	switch {
	case share < 5:
		return 5*time.Second + within%(20*time.Second)
	case share < 100:
		return 300*time.Millisecond + within%(700*time.Millisecond)
	}
	return 20*time.Millisecond + within%(160*time.Millisecond)
}
