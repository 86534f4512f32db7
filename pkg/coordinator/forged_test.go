package coordinator

import (
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// TestNobodySpeaksForAnotherWorker: results and heartbeats that came by another worker's subject are kept as forged, and
// count for nothing.
func TestNobodySpeaksForAnotherWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.lead(newTree(0, 0))
	honest, thief := w.hostile("gpu/w1"), w.hostile("spot/w1")
	ref := honest.claim()
	body, err := bus.EncodeResult(spec.TaskResult{Attempt: ref.Attempt, Worker: honest.id})
	if err != nil {
		t.Fatal(err)
	}
	stolen, err := bus.EncodeResultMessage(&bus.ResultMessage{
		Version: 1, Worker: honest.id, Boot: 1, Reports: []bus.Report{{AttemptRef: ref, Failure: &spec.FailureRecord{
			Kind: spec.JobRuntimeFailed, Phase: spec.PhaseJob, Message: "forged",
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	thief.raw(stolen)
	beat, err := bus.EncodeUplink(&bus.Uplink{Version: 1, Worker: honest.id, Boot: 9, Full: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.conn.NATS().Publish(bus.UplinkSubject(thief.id), beat); err != nil {
		t.Fatal(err)
	}
	thief.raw(stolen[:len(stolen)-3]) // cut short, and forged as well
	for _, r := range w.kept(3) {
		if r.Rule != spec.RuleForged || r.Worker != thief.id {
			t.Errorf("kept as %s of %s: %s", r.Rule, r.Worker, r.Reason)
		}
	}
	honest.report(bus.Report{AttemptRef: ref, Body: body})
	honest.receipted(ref)
	eventually(t, "the task is completed", func() bool {
		done, ok := c.current.ledger.task(ref.Task)
		return ok && done.State == spec.StateCompleted
	})
}
