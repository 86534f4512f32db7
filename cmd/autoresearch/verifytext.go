package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"autoresearch/pkg/verify"
)

// verdictMax is how many violations the text lists, and lineMax how long one is; -o json has all.
const (
	verdictMax = 20
	lineMax    = 500
)

// writeVerdict prints a report for people.
func writeVerdict(out io.Writer, r *verify.Report) error {
	w := &verdictWriter{out: out}
	w.say("run %q (%s): %s\n", r.Run, r.RunID, r.Status)
	w.counts(&r.Counts)
	if r.Sound() {
		w.say("\nno promise is broken\n")
	} else {
		w.say("\n%s broken:\n", plural(len(r.Violations), "promise is", "promises are"))
		for i, v := range r.Violations {
			if i == verdictMax {
				w.say("  and %d more: -o json lists all\n", len(r.Violations)-verdictMax)
				break
			}
			w.say("  %s\n", harmless(v.String(), lineMax))
		}
	}
	w.list("doubtful:", r.Doubts)
	w.list("not judged:", r.Unjudged)
	return w.err
}

type verdictWriter struct {
	out io.Writer
	err error
}

func (w *verdictWriter) say(format string, args ...any) {
	_, err := fmt.Fprintf(w.out, format, args...)
	w.err = errors.Join(w.err, err)
}

func (w *verdictWriter) list(title string, lines []string) {
	for i, line := range lines {
		switch i {
		case 0:
			w.say("\n%s\n", title)
		case verdictMax:
			w.say("  and %d more: -o json lists all\n", len(lines)-verdictMax)
			return
		}
		w.say("  %s\n", harmless(line, lineMax))
	}
}

func (w *verdictWriter) counts(n *verify.Counts) {
	rows := [][2]string{
		{"journal", fmt.Sprintf("%d records, %d commits, %s", n.Records, n.Commits, plural(int(n.Epochs), "epoch", "epochs"))},
		{"tasks", fmt.Sprintf("%d: %d completed, %d failed, %d cancelled, %d in flight", n.Tasks, n.Completed, n.Failed, n.Cancelled, n.InFlight)},
		{"attempts", fmt.Sprintf("%d: %d retries, %d lapses, %d preempted", n.Attempts, n.Retries, n.Lapses, n.Preempted)},
		{"executions", fmt.Sprintf("%d in %s, %d wasted", n.Executions, plural(n.WorkerLogs, "worker's log", "workers' logs"), n.Wasted)},
		{"results", fmt.Sprintf("%d: %d applied, %d counted, %d superseded, %d open; %d duplicates, %d rejected",
			n.Reports, n.Applied, n.Counted, n.Superseded, n.Open, n.Duplicates, n.RejectedAll())},
	}
	if n.Purged > 0 {
		rows[0][1] += fmt.Sprintf("; %d records were purged since", n.Purged)
	}
	w.table(rows)
}

// table prints rows of two columns.
func (w *verdictWriter) table(rows [][2]string) {
	t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		_, err := fmt.Fprintf(t, "  %s\t%s\n", row[0], row[1])
		w.err = errors.Join(w.err, err)
	}
	w.err = errors.Join(w.err, t.Flush())
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
