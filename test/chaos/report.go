//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// report is what a chaos run found. Times are in seconds.
type report struct {
	Seed       uint64          `json:"seed"`
	Replay     string          `json:"replay"`
	Took       float64         `json:"took_s"`
	Faults     map[kind]int    `json:"faults"`
	NotDone    []string        `json:"faults_not_done,omitempty"` // with the reason
	Skipped    map[need]string `json:"skipped,omitempty"`         // what the machine does not grant, and why
	Tasks      int             `json:"tasks"`
	Executions int             `json:"executions"`
	Again      int             `json:"executions_again"`  // not the first of their task
	Killed     int             `json:"executions_killed"` // that did not end by themselves
	Overlaps   int             `json:"executions_overlapping"`
	Stall      stall           `json:"longest_stall"`
	StallUp    stall           `json:"longest_stall_served"` // the same, not counting the outage
	Outage     float64         `json:"outage_s"`             // how long nothing could run: no quorum, no coordinator or no worker was left alone
	Terms      int             `json:"leader_terms"`
	Recoveries []float64       `json:"recoveries_s"` // after each heal, until a task that began after it had ended
	Exits      []string        `json:"unasked_exits,omitempty"`
	Violations []string        `json:"violations"`
	Folder     string          `json:"folder,omitempty"` // kept when something was found
}

// stall is a time without any execution's end.
type stall struct {
	Lasted float64 `json:"lasted_s"`
	Began  float64 `json:"began_s"` // after the storm's begin
}

// reportOn gathers what a storm and the run left, but for the violations.
func (s *storm) reportOn(o *options, h *history) *report {
	r := &report{
		Seed: o.seed, Replay: o.replay(), Took: time.Since(s.began).Seconds(), Faults: map[kind]int{}, Skipped: s.lab.lacks,
		Tasks: s.lab.tree.Size, Executions: len(h.executions), Again: h.again(), Killed: h.killed(), Overlaps: h.overlaps(),
		Terms: terms(s.lab), Violations: []string{},
	}
	down := outages(s.began, s.struck)
	for _, d := range down {
		r.Outage += d.to.Sub(d.from).Seconds()
	}
	r.Stall, r.StallUp = s.longestStall(h, nil), s.longestStall(h, down)
	for _, f := range s.struck {
		r.Faults[f.kind]++
		if f.err != nil {
			r.NotDone = append(r.NotDone, fmt.Sprintf("%s: %v", f.fault, f.err))
		}
	}
	for _, healed := range s.heals {
		if took, ok := h.recovery(s.began.Add(healed)); ok {
			r.Recoveries = append(r.Recoveries, took.Seconds())
		}
	}
	for _, name := range everyone {
		for _, exit := range s.lab.members[name].selfExits() {
			r.Exits = append(r.Exits, name+": "+exit)
		}
	}
	return r
}

func (s *storm) longestStall(h *history, except []span) stall {
	gap, began := h.longestGap(except)
	return stall{gap.Seconds(), began.Sub(s.began).Seconds()}
}

var leading = regexp.MustCompile(`(?m)msg=leading.* epoch=(\d+)`)

// terms returns how many terms of leaders the coordinators' logs tell of.
func terms(l *lab) (last int) {
	for _, name := range coordinators {
		text, err := os.ReadFile(l.log(name))
		if err != nil {
			continue // it was never started
		}
		for _, found := range leading.FindAllStringSubmatch(string(text), -1) {
			if epoch, err := strconv.Atoi(found[1]); err == nil {
				last = max(last, epoch)
			}
		}
	}
	return last
}

// write writes the report as JSON.
func (r *report) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// print shows the report to a person.
func (r *report) print(out io.Writer) {
	line := func(what, format string, args ...any) {
		_, _ = fmt.Fprintf(out, "%-34s %s\n", what, fmt.Sprintf(format, args...))
	}
	total := 0
	for _, k := range slices.Sorted(keysOf(r.Faults)) {
		line(string(k), "%d", r.Faults[k])
		total += r.Faults[k]
	}
	line("faults", "%d, %d of them not wholly done", total, len(r.NotDone))
	for n, why := range r.Skipped {
		line("SKIPPED: what needs", "%s: %s", n, why)
	}
	line("tasks", "%d", r.Tasks)
	line("executions", "%d: %d again, %d killed, %d beside another of their task", r.Executions, r.Again, r.Killed, r.Overlaps)
	line("longest stall", "%.1fs from %.1fs on", r.Stall.Lasted, r.Stall.Began)
	line("  without the outage", "%.1fs from %.1fs on; nothing could run for %.1fs", r.StallUp.Lasted, r.StallUp.Began, r.Outage)
	line("leader's terms", "%d", r.Terms)
	line("recovery after each heal", "%s", secondsText(r.Recoveries))
	line("unasked exits", "%d", len(r.Exits))
	line("took", "%.0fs", r.Took)
	line("seed", "%d", r.Seed)
	for i, v := range r.Violations {
		if i == violationsShown {
			line("VIOLATION", "and %d more", len(r.Violations)-i)
			break
		}
		line("VIOLATION", "%s", v)
	}
	if len(r.Violations) > 0 {
		line("replay", "%s", r.Replay)
		line("kept", "%s", r.Folder)
	}
}

// violationsShown bounds how many violations are printed; the JSON has all.
const violationsShown = 20

func keysOf(m map[kind]int) func(func(kind) bool) {
	return func(yield func(kind) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func secondsText(list []float64) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = fmt.Sprintf("%.1fs", s)
	}
	return strings.Join(words, " ")
}
