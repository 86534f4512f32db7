//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// execution is one process of a task, as it told itself.
type execution struct {
	number, attempt, pid int
	start, end           time.Time // end is zero for one that was killed
}

// history is the log of all executions, in the order of their starts.
type history struct {
	executions []*execution
	strays     int // executions of what is no task of the tree
}

// readHistory reads the log of the experiments; there may be none yet.
func readHistory(path string) (history, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return history{}, err
	}
	return parseHistory(string(text))
}

func parseHistory(text string) (h history, err error) {
	running := map[int]*execution{}
	for line := range strings.Lines(text) {
		var what string
		var at int64
		e := &execution{}
		if _, err := fmt.Sscan(line, &what, &e.number, &e.attempt, &e.pid, &at); err != nil {
			return h, fmt.Errorf("log of executions: %q: %w", line, err)
		}
		e.start = time.Unix(0, at)
		switch begun := running[e.pid]; {
		case what == "start":
			h.executions = append(h.executions, e)
			running[e.pid] = e
		case what == "end" && begun != nil && begun.number == e.number && begun.attempt == e.attempt:
			begun.end = e.start
			delete(running, e.pid)
		default:
			h.strays++
		}
	}
	return h, nil
}

// ends returns when executions ended by themselves, oldest first.
func (h *history) ends() []time.Time {
	var ends []time.Time
	for _, e := range h.executions {
		if !e.end.IsZero() {
			ends = append(ends, e.end)
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	return ends
}

// again returns how many executions were not the first of their task.
func (h *history) again() (count int) {
	seen := map[int]bool{}
	for _, e := range h.executions {
		if seen[e.number] {
			count++
		}
		seen[e.number] = true
	}
	return count
}

// killed returns how many executions did not end by themselves.
func (h *history) killed() (count int) {
	for _, e := range h.executions {
		if e.end.IsZero() {
			count++
		}
	}
	return count
}

// overlaps returns how many executions began while another of their task ran. Of one that was killed nobody knows how
// long it ran.
func (h *history) overlaps() (count int) {
	until := map[int]time.Time{}
	for _, e := range h.executions {
		if e.start.Before(until[e.number]) {
			count++
		}
		if e.end.After(until[e.number]) {
			until[e.number] = e.end
		}
	}
	return count
}

// recovery returns the time from a moment until the first execution that began after it has ended; ok is false if none has.
func (h *history) recovery(healed time.Time) (took time.Duration, ok bool) {
	for _, e := range h.executions {
		if e.start.After(healed) && !e.end.IsZero() && (!ok || e.end.Sub(healed) < took) {
			took, ok = e.end.Sub(healed), true
		}
	}
	return took, ok
}

// span is a time from one moment to another.
type span struct{ from, to time.Time }

// longestGap returns the longest time without any end of an execution, from the first to the last of them, and when it
// began. Time inside of spans, which are disjoint, does not count.
func (h *history) longestGap(except []span) (longest time.Duration, began time.Time) {
	ends := h.ends()
	for i := 1; i < len(ends); i++ {
		gap := ends[i].Sub(ends[i-1])
		for _, s := range except {
			from, to := latest(s.from, ends[i-1]), earliest(s.to, ends[i])
			gap -= max(0, to.Sub(from))
		}
		if gap > longest {
			longest, began = gap, ends[i-1]
		}
	}
	return longest, began
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// outages returns the times at which nothing could go on: too few members of a group were left untouched by faults.
func outages(began time.Time, happened []struck) []span {
	var moments []time.Duration
	for _, s := range happened {
		moments = append(moments, s.began, s.ended)
	}
	slices.Sort(moments)
	var spans []span
	for i := 1; i < len(moments); i++ {
		var names []string
		for _, s := range happened {
			if s.began <= moments[i-1] && s.ended >= moments[i] {
				names = append(names, s.targets...)
			}
		}
		if strikesAll(natsNodes, names, 2) || strikesAll(coordinators, names, 1) || strikesAll(workers, names, 1) {
			spans = append(spans, span{began.Add(moments[i-1]), began.Add(moments[i])})
		}
	}
	return spans
}
