package coordinator

import (
	"errors"
	"fmt"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// publish rings the doorbell for one dispatched task; more says that another follows. A task that can never be published
// fails, as its report.
func (l *leader) publish(t *spec.Task, more bool) {
	if err := l.ring(t, more); err != nil {
		l.failDispatch(t.Spec.ID, t.Attempt, err)
	}
}

// unpublishable is told by the courier of what it could not publish.
func (l *leader) unpublishable(d *bus.Dispatch, err error) { l.failDispatch(d.Task.ID, d.Attempt, err) }

func (l *leader) failDispatch(id spec.TaskID, attempt uint32, err error) {
	failure := boundedFailure(spec.FailureOf(err, spec.LaunchFailed, spec.PhaseLaunch))
	if failure.Details == nil {
		failure.Details = map[string]any{"cause": spec.CauseCannotStart}
	}
	if errors.Is(err, errBlobMissing) {
		failure.Details["cause"] = spec.CauseBlobMissing
	}
	l.inbox.force(arrival{event: engine.Reported{
		AttemptRef: spec.AttemptRef{Run: l.run, Task: id, Attempt: attempt, Claim: spec.ClaimID(newWriter())},
		Failure:    failure,
	}})
}

// ring publishes the doorbell message, by the courier where it is too large. It returns an error only for a task that can
// never be published: one without a recipe, or without its payload. Any other trouble passes: the task is published again
// when it is overdue.
func (l *leader) ring(t *spec.Task, more bool) error {
	if stored := t.Spec.Stored; !stored.IsZero() && t.Spec.Payload == nil {
		return fmt.Errorf("its payload, blob %s, cannot be had: %w", stored, errBlobMissing)
	}
	recipe, err := l.recipe(t.Spec)
	if err != nil {
		return err
	}
	dispatch := &bus.Dispatch{
		Version: bus.MessageVersion, Run: l.run, RunID: l.runID, Epoch: l.epoch, Class: t.Lease.Class,
		Task: t.Spec, Attempt: t.Attempt, Recipe: recipe, LeaseTTL: l.leaseTTL,
		ResultMax: l.resultMax, Avoid: t.Lease.Avoid,
	}
	err = l.ports.doorbell.Publish(dispatch, more)
	if errors.Is(err, bus.ErrTooLarge) {
		l.courier.send(dispatch)
		return nil
	}
	if err != nil {
		l.log.Warn("publish a dispatched task", "task", t.Spec.ID, "attempt", t.Attempt, "err", err)
	}
	return nil
}

// answer sends each worker one message with its stops, receipts and requests to send again.
func (l *leader) answer(out *engine.Output) {
	if len(out.Stops)+len(out.Receipts)+len(out.SendAgain) == 0 {
		return
	}
	answers := &answerSet{epoch: l.epoch, run: l.run, byWorker: make(map[spec.WorkerID]int)}
	for _, s := range out.Stops {
		a := answers.of(s.Worker)
		a.Stop = append(a.Stop, bus.StopOrder{AttemptRef: l.ref(s.AttemptRef), Reason: s.Reason})
	}
	for _, r := range out.Receipts {
		a := answers.of(r.Worker)
		a.Receipt = append(a.Receipt, l.ref(r.AttemptRef))
	}
	for _, r := range out.SendAgain {
		a := answers.of(r.Worker)
		a.SendAgain = append(a.SendAgain, l.ref(r.AttemptRef))
	}
	answers.send(l)
}

func (l *leader) ref(r spec.AttemptRef) spec.AttemptRef {
	r.Run = l.run
	return r
}

// answerSet gathers the answers of one turn, in the order of the workers' first mention.
type answerSet struct {
	run      spec.RunName
	epoch    uint64
	byWorker map[spec.WorkerID]int
	workers  []spec.WorkerID
	answers  []bus.Answer
}

func (s *answerSet) of(w spec.WorkerID) *bus.Answer {
	i, ok := s.byWorker[w]
	if !ok {
		i = len(s.answers)
		s.byWorker[w] = i
		s.workers = append(s.workers, w)
		s.answers = append(s.answers, bus.Answer{Version: bus.MessageVersion, Run: s.run, Epoch: s.epoch})
	}
	return &s.answers[i]
}

func (s *answerSet) send(l *leader) {
	for i, w := range s.workers {
		if w == "" {
			continue // the coordinator's own report of a recipe that cannot be made
		}
		if err := l.ports.uplinks.Answer(w, s.answers[i]); err != nil {
			// The worker's next heartbeat asks again.
			l.log.Debug("answer a worker", "worker", w, "err", err)
		}
	}
}

// rejected keeps what the engine refused where a person finds it.
func (l *leader) rejected(r engine.Rejection) {
	l.rejects.keep(bus.Rejected{
		Rule: r.Rule, Reason: r.Reason, Worker: r.Worker, AttemptRef: l.ref(r.AttemptRef), Child: r.Child, Data: r.Body,
		Size: max(int64(len(r.Body)), r.Stored.Size), Stored: r.Stored,
	})
}
