package coordinator

import (
	"errors"
	"fmt"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// publish rings the doorbell for one dispatched task. A task whose recipe cannot be made fails, as its report.
func (l *leader) publish(t *spec.Task) {
	err := l.ring(t)
	if err == nil {
		return
	}
	failure := spec.FailureOf(err, spec.LaunchFailed, spec.PhaseLaunch)
	if failure.Details == nil {
		failure.Details = map[string]any{"cause": spec.CauseCannotStart}
	}
	l.inbox.force(arrival{event: engine.Reported{
		AttemptRef: spec.AttemptRef{Run: l.run, Task: t.Spec.ID, Attempt: t.Attempt, Claim: spec.ClaimID(newWriter())},
		Failure:    failure,
	}})
}

// ring publishes the doorbell message. It returns an error only for a task that can never be published: one without a
// recipe, or too large with it. Any other trouble passes: the task is published again when it is overdue.
func (l *leader) ring(t *spec.Task) error {
	recipe, err := l.recipe(t.Spec)
	if err != nil {
		return err
	}
	err = l.ports.doorbell.Publish(&bus.Dispatch{
		Version: bus.MessageVersion, Run: l.run, RunID: l.runID, Epoch: l.epoch, Class: t.Lease.Class,
		Task: t.Spec, Attempt: t.Attempt, Recipe: recipe, LeaseTTL: l.leaseTTL,
	})
	if errors.Is(err, bus.ErrTooLarge) {
		return fmt.Errorf("publish the task with its command and input: %w", err)
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

// rejected keeps what was refused where a person finds it.
func (l *leader) rejected(r engine.Rejection) {
	l.metrics.rejections.Inc()
	l.log.Warn("refused", "reason", r.Reason, "task", r.Task, "attempt", r.Attempt, "child", r.Child,
		"worker", r.Worker, "bytes", len(r.Body))
}
