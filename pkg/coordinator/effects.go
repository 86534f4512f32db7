package coordinator

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// batchBytes is about how large a message with several dispatches may be; one alone may be larger.
const batchBytes = 64 << 10

// publish rings the doorbell for dispatched tasks: for several of a class with one message, as far as whichever worker takes it
// has slots for them. What was published before goes alone, since a message of one replaces none that is there still.
func (l *leader) publish(out *engine.Output) {
	l.dispatches.begin(len(out.Publish))
	defer l.dispatches.end()
	messages := l.batches(out.Publish[:len(out.Publish)-out.Again])
	for _, t := range out.Publish[len(out.Publish)-out.Again:] {
		if d := l.dispatch(t); d != nil {
			messages = append(messages, []*bus.Dispatch{d})
		}
	}
	for i, m := range messages {
		l.ring(m, i < len(messages)-1)
	}
}

// dispatches is the memory of the dispatches of one turn: the next turn's stand in it again.
type dispatches []bus.Dispatch

// dispatchesKeptMax bounds what is kept of a large turn.
const dispatchesKeptMax = 1024

// begin makes room for so many: they do not move until the turn's end.
func (d *dispatches) begin(room int) { *d = slices.Grow((*d)[:0], room) }

// add returns where one stands, until the turn's end.
func (d *dispatches) add(one bus.Dispatch) *bus.Dispatch {
	*d = append(*d, one)
	return &(*d)[len(*d)-1]
}

// end lets go of what the dispatches refer to.
func (d *dispatches) end() {
	clear(*d)
	if cap(*d) > dispatchesKeptMax {
		*d = nil
	}
}

// batches are the messages for newly dispatched tasks, in the order of their first.
func (l *leader) batches(tasks []*spec.Task) (messages [][]*bus.Dispatch) {
	var few [8]batch // enough for the classes of most runs, and not on the heap
	filling := few[:0]
	for _, t := range tasks {
		d := l.dispatch(t)
		if d == nil {
			continue
		}
		i := slices.IndexFunc(filling, func(b batch) bool { return b.class == d.Class })
		if i < 0 {
			i = len(filling)
			most := min(l.engine.Batch(d.Class, countOf(tasks, d.Class)), bus.BatchMax)
			filling = append(filling, batch{class: d.Class, room: most, at: -1})
		}
		b, size := &filling[i], len(d.Task.Payload)+len(d.Recipe.Stdin)
		if b.at < 0 || len(messages[b.at]) == b.room || b.size+size > batchBytes {
			b.at, b.size = len(messages), 0
			messages = append(messages, nil)
		}
		messages[b.at] = append(messages[b.at], d)
		b.size += size
	}
	return messages
}

// batch is the message of a class to which dispatches are added.
type batch struct {
	class string
	room  int // for so many dispatches
	at    int // its place among the turn's messages; -1 before the first
	size  int // about, in bytes
}

// countOf counts the tasks of a class.
func countOf(tasks []*spec.Task, class string) (count int) {
	for _, t := range tasks {
		if t.Lease.Class == class {
			count++
		}
	}
	return count
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

// dispatch makes a task's dispatch, which is good until the end of publish; nil for one that can never be published, without a
// recipe or its payload: it fails, as its report.
func (l *leader) dispatch(t *spec.Task) *bus.Dispatch {
	if stored := t.Spec.Stored; !stored.IsZero() && t.Spec.Payload == nil {
		l.failDispatch(t.Spec.ID, t.Attempt, fmt.Errorf("its payload, blob %s, cannot be had: %w", stored, errBlobMissing))
		return nil
	}
	recipe, err := l.recipe(t.Spec)
	if err != nil {
		l.failDispatch(t.Spec.ID, t.Attempt, err)
		return nil
	}
	recipe.KeepCheckpoints = cmp.Or(l.keepCheckpoints, recipe.KeepCheckpoints)
	recipe.KeepCode = cmp.Or(l.keepCode, recipe.KeepCode)
	return l.dispatches.add(bus.Dispatch{
		Version: bus.MessageVersion, Run: l.run, RunID: l.runID, Epoch: l.epoch, Class: t.Lease.Class,
		Task: t.Spec, Attempt: t.Attempt, Recipe: recipe, LeaseTTL: l.leaseTTL,
		ResultMax: l.resultMax, Avoid: t.Lease.Avoid,
	})
}

// ring publishes one doorbell message; more says that another follows. What is too large goes alone, and by the courier. Any
// other trouble passes: a task is published again when it is overdue.
func (l *leader) ring(ds []*bus.Dispatch, more bool) {
	err := l.ports.doorbell.Publish(ds, more)
	switch {
	case err == nil:
	case !errors.Is(err, bus.ErrTooLarge):
		l.log.Warn("publish dispatched tasks", "task", ds[0].Task.ID, "attempt", ds[0].Attempt, "tasks", len(ds), "err", err)
	case len(ds) == 1:
		l.courier.send(*ds[0])
	default:
		for i := range ds {
			l.ring(ds[i:i+1], more || i < len(ds)-1)
		}
	}
}

// answer sends each worker one message with its stops, receipts and requests to send again.
func (l *leader) answer(out *engine.Output) {
	if len(out.Stops)+len(out.Receipts)+len(out.SendAgain) == 0 {
		return
	}
	answers := &l.answers
	for _, s := range out.Stops {
		a := answers.of(l, s.Worker)
		a.Stop = append(a.Stop, bus.StopOrder{AttemptRef: l.ref(s.AttemptRef), Reason: s.Reason})
	}
	for _, r := range out.Receipts {
		a := answers.of(l, r.Worker)
		a.Receipt = append(a.Receipt, l.ref(r.AttemptRef))
	}
	for _, r := range out.SendAgain {
		a := answers.of(l, r.Worker)
		a.SendAgain = append(a.SendAgain, l.ref(r.AttemptRef))
	}
	answers.send(l)
}

func (l *leader) ref(r spec.AttemptRef) spec.AttemptRef {
	r.Run = l.run
	return r
}

// answerSet gathers the answers of one turn, in the order of the workers' first mention. It is empty between turns, and its
// memory, that of the answers' lists included, is used again.
type answerSet struct {
	byWorker map[spec.WorkerID]int
	workers  []spec.WorkerID
	answers  []bus.Answer
}

func (s *answerSet) of(l *leader, w spec.WorkerID) *bus.Answer {
	i, ok := s.byWorker[w]
	if !ok {
		i = len(s.answers)
		s.byWorker[w] = i
		s.workers = append(s.workers, w)
		s.answers = slices.Grow(s.answers, 1)[:i+1]
		a := &s.answers[i]
		*a = bus.Answer{
			Version: bus.MessageVersion, Run: l.run, Epoch: l.epoch,
			Stop: a.Stop[:0], Receipt: a.Receipt[:0], SendAgain: a.SendAgain[:0],
		}
	}
	return &s.answers[i]
}

// send sends the answers, of which nobody keeps anything, and empties the set.
func (s *answerSet) send(l *leader) {
	for i, w := range s.workers {
		delete(s.byWorker, w)
		if w == "" {
			continue // the coordinator's own report of a recipe that cannot be made
		}
		if err := l.ports.uplinks.Answer(w, s.answers[i]); err != nil {
			// The worker's next heartbeat asks again.
			l.log.Debug("answer a worker", "worker", w, "err", err)
		}
	}
	s.workers, s.answers = s.workers[:0], s.answers[:0]
}

// rejected keeps what the engine refused where a person finds it.
func (l *leader) rejected(r engine.Rejection) {
	l.rejects.keep(bus.Rejected{
		Rule: r.Rule, Reason: r.Reason, Worker: r.Worker, AttemptRef: l.ref(r.AttemptRef), Child: r.Child, Data: r.Body,
		Size: max(int64(len(r.Body)), r.Stored.Size), Stored: r.Stored,
	})
}
