package main

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"autoresearch/pkg/api"
	"autoresearch/pkg/spec"
)

// Widths of the columns of top.
const (
	topBar    = 20
	topMetric = 36
)

// frame draws a glance for a terminal of a size: never more lines than it has, and none longer.
func (g *glance) frame(width, height int) []string {
	lines := g.head()
	room := height - len(lines) - 4 // the titles, and the last line
	workers := g.workerLines()
	running := g.runningLines()
	queue := g.queueLines()
	workers = atMost(workers, max(2, room/4))
	room -= len(workers)
	queued := min(len(queue), max(3, room/3))
	running = atMost(running, max(2, room-queued))
	queue = atMost(queue, max(2, room-len(running)))
	lines = append(lines, title("RUNNING", width))
	lines = append(lines, running...)
	lines = append(lines, title("NEXT", width))
	lines = append(lines, queue...)
	lines = append(lines, title("WORKERS", width))
	lines = append(lines, workers...)
	lines = append(lines, g.foot())
	for i := range lines {
		lines[i] = clipLine(lines[i], width)
	}
	return lines[:min(len(lines), max(1, height))]
}

// head says how the run is.
func (g *glance) head() []string {
	r := &g.run
	status := r.Status
	switch {
	case r.Paused:
		status += ", PAUSED"
	case r.Drained:
		status += ", draining"
	}
	if r.Reason != "" {
		status += " (" + harmless(r.Reason, 100) + ")"
	}
	lines := []string{fmt.Sprintf("%s  %s  active %s", name(r.Name), status, duration(time.Duration(r.ActiveSeconds*float64(time.Second))))}
	if n := r.Counts; n != nil {
		lines = append(lines, fmt.Sprintf("%d running of %d   %d queued   %d completed   %d failed   %d cancelled   %.3g/min",
			n.Running+n.Dispatched, r.Budget, n.Queued+n.Delayed, n.Completed, n.Failed, n.Cancelled, r.PerMinute))
	}
	if used := limitsText(r); used != "" {
		lines = append(lines, used)
	}
	if r.Best != nil && r.Objective != nil {
		lines = append(lines, fmt.Sprintf("best %s = %s", harmless(r.Objective.Metric, 40), bestText(r.Best)))
	}
	return lines
}

// runningLines lists what runs: how long, how far, and its newest metrics.
func (g *glance) runningLines() []string {
	live := make(map[spec.TaskID]*api.Holding)
	for i := range g.workers {
		for j := range g.workers[i].Running {
			h := &g.workers[i].Running[j]
			live[h.Task] = h
		}
	}
	var lines []string
	for i := range g.running {
		t := &g.running[i]
		took := ""
		if t.StartedAt != nil {
			took = duration(g.now.Sub(*t.StartedAt))
		}
		progress, values := "", ""
		if h := live[t.ID]; h != nil {
			progress, values = progressText(h.Progress), metrics(h.Metrics)
		}
		if t.State != "running" {
			progress = t.State
		}
		lines = append(lines, fmt.Sprintf("%-24s %10s  %s  %s", fit(name(t.ID), 24), took, pad(progress, topBar+2), fit(values, topMetric)))
	}
	return lines
}

// progressText is a bar if the line says how far it is, and else the line.
func progressText(line string) string {
	if done, ok := share(line); ok {
		return bar(done, topBar)
	}
	return fit(harmless(line, 100), topBar+2)
}

func (g *glance) queueLines() []string {
	var lines []string
	for i := range g.queue {
		t := &g.queue[i]
		lines = append(lines, fmt.Sprintf("%-24s %10s  %s %s", fit(name(t.ID), 24), t.Priority, name(t.Kind), why(t)))
	}
	return lines
}

func (g *glance) workerLines() []string {
	var lines []string
	for i := range g.workers {
		w := &g.workers[i]
		var slots []string
		for _, s := range w.Slots {
			slots = append(slots, fmt.Sprintf("%s %d/%d", name(s.Class), s.Total-s.Free, s.Total))
		}
		lines = append(lines, fmt.Sprintf("%-24s %-20s %s  %s", fit(name(w.ID), 24), fit(name(w.Host), 20), strings.Join(slots, ", "), heard(w)))
	}
	return lines
}

func (g *glance) foot() string {
	if g.trouble != "" {
		return "! " + harmless(g.trouble, 500)
	}
	return "q quit   p pause or resume"
}

func title(text string, width int) string {
	return text + " " + strings.Repeat("-", max(0, width-len(text)-1))
}

// atMost shortens a list, and says in its last line how many are left out.
func atMost(lines []string, most int) []string {
	if len(lines) == 0 {
		return []string{"(none)"}
	}
	if len(lines) <= most {
		return lines
	}
	return append(lines[:max(0, most-1):max(0, most-1)], fmt.Sprintf("... %d more", len(lines)-most+1))
}

// fit cuts a text to a width, pad fills it up to one.
func fit(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:max(0, width-1)]) + "~"
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

func clipLine(line string, width int) string { return strings.TrimRight(fit(line, width), " ") }
