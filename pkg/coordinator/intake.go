package coordinator

import (
	"context"
	"errors"
	"fmt"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// intake turns what comes out of the results stream into events of the loop. Nothing that a worker sends is believed before
// it was checked here, off the loop and without taking memory for it: what is malformed or over a limit costs its own task.
// The goroutine that reads the stream calls its methods.
type intake struct {
	t       *term
	limits  spec.SizeLimits
	blobs   *blobs
	rejects *rejectKeeper
	faults  map[spec.AttemptRef]int // how often a result of the attempt came and was of no use
	message bus.ResultMessage       // that is being taken; the next one is read into its memory
}

// faultsMax is how often a worker is asked for a result again that came and cannot be used, before its attempt fails: what
// is wrong on the way may pass, what is wrong at its source does not. attemptsAtFault bounds how many are remembered.
const (
	faultsMax       = 3
	attemptsAtFault = 10_000
)

func newIntake(t *term, limits spec.SizeLimits, b *blobs, r *rejectKeeper) *intake {
	return &intake{t: t, limits: limits, blobs: b, rejects: r, faults: make(map[spec.AttemptRef]int)}
}

// take takes one message of the results stream.
func (in *intake) take(ctx context.Context, seq uint64, from spec.WorkerID, data []byte) {
	m := &in.message
	if err := m.Decode(data); err != nil {
		in.malformed(ctx, from, data, err)
		in.t.put(ctx, arrival{results: seq, heard: true})
		return
	}
	if !bus.IsFrom(from, m.Worker) {
		in.forged(from, m.Worker, m.Boot, data)
		in.t.put(ctx, arrival{results: seq, heard: true})
		return
	}
	for i := range m.Reports {
		a := arrival{heard: true, event: in.event(ctx, m, &m.Reports[i])}
		if i == len(m.Reports)-1 {
			a.results = seq // the watermark moves only when the whole message is taken
		}
		in.t.put(ctx, a)
	}
	if len(m.Reports) == 0 {
		in.t.put(ctx, arrival{results: seq, heard: true})
	}
}

// malformed keeps a message that cannot be decoded, and asks again for the results that it can be told to be about.
func (in *intake) malformed(ctx context.Context, from spec.WorkerID, data []byte, err error) {
	worker, boot, refs := bus.SalvageResults(data)
	if worker == "" {
		worker = from
	}
	if !bus.IsFrom(from, worker) {
		in.forged(from, worker, boot, data)
		return
	}
	rejected := bus.Rejected{
		Rule: spec.RuleMalformed, Reason: err.Error(), Worker: worker, Boot: boot, Data: data, Size: int64(len(data)),
	}
	if len(refs) > 0 {
		rejected.AttemptRef = refs[0]
	}
	in.rejects.keep(rejected)
	for _, ref := range refs {
		if ref.Run != in.t.leader.run || !in.wanted(ref) || in.askAgain(worker, ref) {
			continue
		}
		in.t.put(ctx, arrival{event: engine.Reported{
			AttemptRef: ref, Worker: worker, Failure: unusable(spec.CauseBadResult, "its result came malformed: %v", err),
		}})
	}
}

// forged keeps a message that speaks for another worker than the one whose subject it came by, which NATS vouches for where
// permissions pin groups. Nothing else of it counts. Any goroutine may call it.
func (in *intake) forged(from, claimed spec.WorkerID, boot uint64, data []byte) {
	in.rejects.keep(bus.Rejected{
		Rule: spec.RuleForged, Reason: fmt.Sprintf("it came from worker %q and names worker %q", from, claimed), Worker: from, Boot: boot,
		Data: data, Size: int64(len(data)),
	})
}

// event is what one report means to the engine; nil when that is nothing.
func (in *intake) event(ctx context.Context, m *bus.ResultMessage, r *bus.Report) engine.Event {
	if r.Run != in.t.leader.run {
		in.reject(m, r, spec.RuleAnotherRun, fmt.Sprintf("it names run %q", r.Run))
		return nil
	}
	reported := engine.Reported{
		AttemptRef: r.AttemptRef, Worker: m.Worker, Failure: r.Failure, Preempted: r.Preempted, Body: r.Body,
		Stored: r.Stored, Cost: r.Cost,
	}
	if in.costly(r) && !in.wanted(r.AttemptRef) {
		return reported // the engine says why it counts for nothing
	}
	usable := reported
	fault := in.usable(ctx, &usable)
	switch {
	case fault == nil:
		return usable
	case !in.wanted(r.AttemptRef):
		return reported
	}
	in.reject(m, r, fault.rule, fault.failure.Message)
	if fault.mayPass && in.askAgain(m.Worker, r.AttemptRef) {
		return nil
	}
	reported.Body, reported.Stored = nil, spec.Blob{}
	if reported.Failure == nil {
		reported.Failure, reported.Preempted = fault.failure, false
	}
	return reported
}

// costly reports whether it takes the object store to make use of a result.
func (in *intake) costly(r *bus.Report) bool {
	return !r.Stored.IsZero() || len(r.Body) > in.blobs.inline()
}

// wanted reports whether a result may still decide something: only then it is worth the object store, or a complaint. What the
// ledger does not know yet was not published yet, and what it has packed is decided.
func (in *intake) wanted(ref spec.AttemptRef) bool {
	t, unpacked := in.t.ledger.unpacked(ref.Task)
	return unpacked && t.Outcome == nil && ref.Claim != 0 && ref.Attempt > 0 && ref.Attempt <= t.Attempt
}

// fault is why a result cannot be used. One that may pass is not of the result itself.
type fault struct {
	rule    spec.Rule
	failure *spec.FailureRecord
	mayPass bool
}

func faulty(rule spec.Rule, cause, format string, args ...any) *fault {
	return &fault{rule: rule, failure: unusable(cause, format, args...)}
}

// unusable is the failure of an attempt whose result cannot be used.
func unusable(cause, format string, args ...any) *spec.FailureRecord {
	return &spec.FailureRecord{
		Kind: spec.MetricsCollectionFailed, Phase: spec.PhaseMetrics, Message: clip(fmt.Sprintf(format, args...)),
		Details: map[string]any{"cause": cause},
	}
}

// usable brings a result into the form in which the journal takes it: its bytes at hand, checked, and where they are too
// large for a record also in the object store.
func (in *intake) usable(ctx context.Context, r *engine.Reported) *fault {
	if size := max(int64(len(r.Body)), r.Stored.Size); size > in.limits.Result {
		return faulty(spec.RuleResultTooLarge, spec.CauseResultTooLarge,
			"its result takes %d bytes, the limit is %d (limits.result); leave large data in files", size, in.limits.Result)
	}
	if !r.Stored.IsZero() {
		body, err := in.blobs.get(ctx, r.Stored, in.limits.Result)
		if err != nil {
			f := faulty(spec.RuleBlobMissing, spec.CauseBlobMissing, "its result, blob %s, cannot be had: %v", r.Stored, err)
			f.mayPass = true
			return f
		}
		r.Body = body
	}
	if fault := in.check(r.Body); fault != nil {
		return fault
	}
	r.Failure = boundedFailure(r.Failure)
	return in.store(ctx, r)
}

// check looks at a result's bytes.
func (in *intake) check(body []byte) *fault {
	if len(body) == 0 {
		return nil
	}
	children, err := bus.CheckResult(body, in.limits.Children)
	switch {
	case err != nil:
		return faulty(spec.RuleBadResult, spec.CauseBadResult, "its result cannot be read: %v", err)
	case children > in.limits.Children:
		f := faulty(spec.RuleTooManyChildren, spec.CauseBadResult, "it returned %d children; the limit is %d (limits.children)",
			children, in.limits.Children)
		f.failure.Kind, f.failure.Phase = spec.PlanningFailed, spec.PhasePlanning
		return f
	}
	return nil
}

// store puts a result into the object store that no record holds and that its worker did not put there.
func (in *intake) store(ctx context.Context, r *engine.Reported) *fault {
	if !r.Stored.IsZero() || len(r.Body) <= in.blobs.inline() {
		return nil
	}
	blob, err := in.blobs.put(ctx, r.Body)
	if err != nil {
		return faulty(spec.RuleResultTooLarge, spec.CauseResultTooLarge,
			"its result takes %d bytes, too many for a record, and could not be stored: %v", len(r.Body), err)
	}
	r.Stored = blob
	return nil
}

// askAgain asks the worker for a result once more, unless that was done often enough.
func (in *intake) askAgain(worker spec.WorkerID, ref spec.AttemptRef) bool {
	if len(in.faults) >= attemptsAtFault {
		clear(in.faults)
	}
	in.faults[ref]++
	if in.faults[ref] >= faultsMax {
		delete(in.faults, ref)
		return false
	}
	l := in.t.leader
	err := l.ports.uplinks.Answer(worker, bus.Answer{
		Version: bus.MessageVersion, Run: l.run, Epoch: l.epoch, SendAgain: []bus.AttemptRef{ref},
	})
	if err != nil { // its next heartbeat lists the result, and the engine asks
		l.log.Debug("ask for a result again", "worker", worker, "task", ref.Task, "err", err)
	}
	return true
}

func (in *intake) reject(m *bus.ResultMessage, r *bus.Report, rule spec.Rule, reason string) {
	size := max(int64(len(r.Body)), r.Stored.Size)
	in.rejects.keep(bus.Rejected{
		Rule: rule, Reason: reason, Worker: m.Worker, Boot: m.Boot, AttemptRef: r.AttemptRef, Data: r.Body, Size: size, Stored: r.Stored,
	})
}

// The bounds of a failure record that comes from outside: it stands in records whole.
const (
	messageMax = 4 << 10
	failureMax = 32 << 10
)

// boundedFailure returns a failure that a record holds: of one that is too large the details go.
func boundedFailure(f *spec.FailureRecord) *spec.FailureRecord {
	if f == nil {
		return nil
	}
	bounded := *f
	bounded.Message = clip(f.Message)
	if size := len(bounded.AppendJSON(nil)); size > failureMax {
		bounded.Details = map[string]any{"cause": f.Cause(), "details_left_out": size}
		bounded.Extra = nil
		bounded.ExceptionType, bounded.JobID = clip(f.ExceptionType), clip(f.JobID)
		bounded.CreatedAt = clip(f.CreatedAt)
	}
	return &bounded
}

// errBlobMissing: what a task names is not in the object store.
var errBlobMissing = errors.New("it is not in the object store")
