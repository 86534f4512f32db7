package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
)

// Cadence of the display: a line that redraws itself on a terminal, plain lines elsewhere.
const (
	redrawInterval = 250 * time.Millisecond
	plainInterval  = 5 * time.Second
)

// display shows how a search goes. It is safe for concurrent use.
type display struct {
	out      *os.File
	terminal bool

	mu   sync.Mutex
	line string // what the last line of the terminal shows
}

func newDisplay(out *os.File) *display {
	return &display{out: out, terminal: term.IsTerminal(int(out.Fd()))}
}

// follow shows the run's status until ctx ends.
func (d *display) follow(ctx context.Context, c *coordinator.Coordinator) {
	interval := plainInterval
	if d.terminal {
		interval = redrawInterval
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var last string
	for {
		select {
		case <-ctx.Done():
			d.draw("")
			return
		case <-tick.C:
		}
		s, err := c.Status()
		if err != nil {
			continue // not leading yet
		}
		switch line := progressLine(s); {
		case d.terminal:
			d.draw(line)
		case line != last:
			d.say("%s", line)
			last = line
		}
	}
}

// draw replaces the terminal's last line.
func (d *display) draw(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.terminal {
		return
	}
	if width, _, err := term.GetSize(int(d.out.Fd())); err == nil && width > 1 && len(line) >= width {
		line = line[:width-1]
	}
	d.line = line
	d.write("\r\x1b[K" + line)
}

// say prints a line that stays.
func (d *display) say(format string, args ...any) {
	d.print(fmt.Sprintf(format, args...) + "\n")
}

func (d *display) print(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.terminal && d.line != "" {
		text = "\r\x1b[K" + text + d.line
	}
	d.write(text)
}

// write ignores errors: a display that nobody can see must not end a run.
func (d *display) write(text string) { _, _ = io.WriteString(d.out, text) }

// logs returns a writer that prints log lines above the progress line.
func (d *display) logs() io.Writer { return logWriter{d} }

type logWriter struct{ d *display }

func (w logWriter) Write(p []byte) (int, error) {
	w.d.print(string(p))
	return len(p), nil
}

// progressLine is a run at a glance, in one line.
func progressLine(s coordinator.Status) string {
	n := s.Experiments
	var b strings.Builder
	fmt.Fprintf(&b, "%d done, %d running, %d queued, %d failed", n.Completed, n.Running, n.Queued, n.Failed)
	if n.Cancelled > 0 {
		fmt.Fprintf(&b, ", %d cancelled", n.Cancelled)
	}
	if s.Best != nil {
		fmt.Fprintf(&b, " | best %.5g (%s)", s.Best.Value, s.Best.Task)
	}
	if s.PerMinute > 0 {
		fmt.Fprintf(&b, " | %.3g/min", s.PerMinute)
		if left := n.Queued + n.Running; left > 0 {
			eta := time.Duration(float64(left) / s.PerMinute * float64(time.Minute))
			fmt.Fprintf(&b, " | queue empty in %s", eta.Round(time.Second))
		}
	}
	if s.Reason != "" {
		fmt.Fprintf(&b, " | %s", s.Reason)
	}
	return b.String()
}

// describe says how a run ended.
func describe(s coordinator.Status) string {
	ended := string(s.Status)
	if s.Status == spec.StatusStopped && s.Reason != "" {
		ended += " (" + s.Reason + ")"
	}
	s.Reason, s.PerMinute = "", 0
	return ended + ": " + progressLine(s)
}
