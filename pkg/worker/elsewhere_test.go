package worker

import (
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// TestDeclines: an attempt that this worker is to avoid is handed back unbegun; one that another is to avoid is run.
func TestDeclines(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.until("it has said its name", func() bool { return b.lastBeat().Worker != "" })
	avoid := func(w spec.WorkerID) func(*bus.Dispatch) { return func(d *bus.Dispatch) { d.Avoid = w } }
	b.give(dispatch("here", script("result {}"), avoid(b.lastBeat().Worker)))
	if report, _ := b.report("here", 1); !report.Preempted || report.Failure.Cause() != spec.CauseDeclined {
		t.Errorf("reported %+v", report)
	}
	b.give(dispatch("there", script("result {}"), avoid("another")))
	if report, _ := b.report("there", 1); report.Failure != nil {
		t.Errorf("reported %+v", report)
	}
}
