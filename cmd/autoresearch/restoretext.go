package main

import (
	"fmt"
	"io"

	"autoresearch/pkg/restore"
)

// writePlan prints for people what a restore does, or did.
func writePlan(out io.Writer, p *restore.Plan, done bool) error {
	w := &verdictWriter{out: out}
	w.say("run %q (%s): %s\n\n", p.Run, p.RunID, harmless(p.Reason, lineMax))
	n := p.Tasks
	w.table([][2]string{
		{"known", fmt.Sprintf("mirror %s, tree %s, snapshot %s", upTo(p.Sources.Mirror), upTo(p.Sources.Tree), upTo(p.Sources.Snapshot))},
		{"tasks", fmt.Sprintf("%d: %d completed, %d failed, %d cancelled", n.All, n.Completed, n.Failed, n.Cancelled)},
		{"go on", fmt.Sprintf("%d running, %d with an outcome to apply, %d queued", n.Running, n.Reported, n.Queued)},
		{"journal", fmt.Sprintf("begins anew at record %d, epoch %d", p.Record, p.Epoch)},
	})
	if lost := p.Lost(); lost > 0 {
		w.say("\n%s after the newest of these had been acknowledged: what they held is lost, and what ended in them runs again\n",
			plural(int(lost), "record", "records"))
	}
	for i, id := range p.Missing {
		if i == verdictMax {
			w.say("  and %d more: -o json lists all\n", len(p.Missing)-verdictMax)
			break
		}
		w.say("  lost: task %q, a child that a finished task declared\n", harmless(string(id), lineMax))
	}
	if done {
		w.say("\nrestored: a coordinator that raised the alarm goes on by itself; an engine is started again\n")
	} else {
		w.say("\nnothing was changed: --yes does it\n")
	}
	return w.err
}

func upTo(seq uint64) string {
	if seq == 0 {
		return "is not there, or does not say"
	}
	return fmt.Sprintf("up to record %d", seq)
}
