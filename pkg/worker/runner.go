package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// outcome is how an attempt ended.
type outcome struct {
	// result is what is reported; its failure may be that of a preemption.
	result spec.TaskResult
	// preempted says that the attempt was given up, not failed. discarded says that nothing is to be reported.
	preempted bool
	discarded bool
}

// execute runs an attempt to its end and files the outcome.
func (w *worker) execute(a *attempt) {
	defer w.ledger.letGo(a)
	defer w.fileUnreturned(a)
	kind := a.dispatch.Task.Kind
	missing := w.fetch(a)
	trouble := w.awaitGPUs(a)
	switch runner := w.o.Runners[kind]; {
	case a.surplus:
		w.finish(a, handedBack("its slots were taken meanwhile", spec.CauseDeclined))
	case a.dispatch.Avoid == w.who.ID:
		w.finish(a, handedBack("its hardware failed the attempt before, and others can run it", spec.CauseDeclined))
	case a.ctx.Err() != nil:
		w.finish(a, endedBy(a.stopCause(), nil, &a.dispatch.Recipe))
	case missing != nil:
		w.finish(a, failed(missing))
	case trouble != "":
		w.finish(a, handedBack(trouble, spec.CausePreempted))
	case runner != nil:
		w.conclude(a, w.callRunner(a, runner))
	case len(a.dispatch.Recipe.Argv) == 0 || a.dispatch.Recipe.Argv[0] == "":
		w.finish(a, failed(noCommand(kind, a.pool.class)))
	default:
		w.conclude(a, w.runCommand(a))
	}
}

// fileUnreturned, deferred, files the attempt of a goroutine that ends without an outcome: by a panic of ours, or by
// runtime.Goexit in a Runner.
func (w *worker) fileUnreturned(a *attempt) {
	value := recover()
	if a.decided.Load() && value == nil {
		return
	}
	if value == nil {
		value = "the Runner ended its goroutine (runtime.Goexit)"
	}
	w.log.Error("an attempt panicked", "run", a.ref.Run, "task", a.ref.Task, "attempt", a.ref.Attempt, "panic", value)
	w.finish(a, failed(panicked(value)))
}

func failed(f *spec.FailureRecord) outcome { return outcome{result: spec.TaskResult{Failure: f}} }

// callRunner runs an attempt in this process.
func (w *worker) callRunner(a *attempt, runner spec.Runner) outcome {
	files := w.filesOf(a)
	given := spec.Attempt{
		Run: a.ref.Run, Task: a.dispatch.Task, Number: a.ref.Attempt, Claim: a.ref.Claim, Recipe: a.dispatch.Recipe,
		Dir: files.dir, CheckpointDir: files.checkpoint, CodeDir: files.code, GPUs: a.hardware().GPUs, Progress: a.news.note,
	}
	a.watchLimits(w.stop)
	ctx := context.WithValue(a.ctx, preparerKey{}, preparer{worker: w, attempt: a})
	result, failure := guard(ctx, runner, given)
	cause := a.stopCause()
	switch {
	case errors.Is(cause, errTimeout), errors.Is(cause, errStalled), errors.Is(cause, errCancelled):
		return endedBy(cause, &result, &a.dispatch.Recipe)
	case cause != nil && failure != nil:
		return endedBy(cause, &result, &a.dispatch.Recipe)
	case failure != nil:
		result.Failure = failure
	}
	return outcome{result: result}
}

// guard calls the runner and turns its error or panic into a failure.
func guard(ctx context.Context, runner spec.Runner, given spec.Attempt) (result spec.TaskResult, failure *spec.FailureRecord) {
	defer func() {
		if value := recover(); value != nil {
			failure = panicked(value)
		}
	}()
	result, err := runner.Run(ctx, given)
	if err != nil {
		return result, runnerFailure(err)
	}
	return result, result.Failure
}

// endedBy is the outcome of an attempt that was asked to end and did not succeed. result, which may be nil, is what it left.
func endedBy(cause error, result *spec.TaskResult, recipe *spec.Recipe) outcome {
	var out outcome
	if result != nil {
		out.result = *result
	}
	switch {
	case errors.Is(cause, errSuperseded), errors.Is(cause, errKilled):
		out.discarded = true
	case errors.Is(cause, errPreempted):
		out.preempted = true
	}
	if !out.discarded {
		out.result.Failure = stoppedRunner(cause, recipe)
	}
	return out
}

// errTooLarge: the result exceeds what a message may carry.
var errTooLarge = errors.New("the result is too large")

// inlineMax is the largest encoded result that travels in a message, in bytes, where the server would take more.
const inlineMax = 240 << 10

// finish files the outcome of an attempt: to the spool, from there to the leader. The first outcome counts.
func (w *worker) finish(a *attempt, o outcome) {
	if !a.decide() {
		return
	}
	defer w.ledger.ended()
	now := time.Now()
	w.metrics.ended(a.pool.class, o, now.Sub(a.started))
	w.noteOutcome(a, o, now)
	if o.discarded {
		w.discard(a, o)
		return
	}
	r, err := w.newResult(a, w.report(a, o, now), now.Sub(a.started))
	if err != nil { // what was encoded once can be encoded again
		w.log.Error("cannot encode a result: the task will run again", "run", a.ref.Run, "task", a.ref.Task, "error", err)
		w.discard(a, o)
		return
	}
	r.ending = o.ending()
	r.late = time.AfterFunc(diskPatience, func() { w.handOnLate(r) })
	switch {
	case !r.large.IsZero():
		w.larges.add(r)
	case r.took < gatherMax && !a.prepared.Load():
		w.commits.gather(r)
	default:
		w.commits.add(r)
	}
}

// discard lets go of an attempt whose result goes nowhere.
func (w *worker) discard(a *attempt, o outcome) {
	w.notes.dropped(a.ref, o.ending())
	w.ledger.drop(a)
	w.ledger.letGo(a)
}

// report completes the result with what the worker knows and encodes it. A result that cannot be sent becomes a failure
// that says why.
func (w *worker) report(a *attempt, o outcome, now time.Time) bus.Report {
	result := o.result
	result.Cost = min(max(result.Cost, 0), spec.CostReportedMax) // a Runner may say anything
	result.Metrics = a.news.mergeInto(result.Metrics)
	result.Series, result.SeriesStored = inlineSeries(a.news.series()), a.kept.series
	result.Artifacts = a.kept.artifacts
	result.Attempt, result.Worker, result.Host = a.ref.Attempt, w.who.ID, w.host
	result.Hardware, result.Code = a.hardware(), a.dispatch.Task.Code
	result.Started, result.Duration = a.started, now.Sub(a.started)
	if result.Failure != nil {
		result.Failure = signed(result.Failure, jobID(a.ref), now)
	}
	body, err := encodeBounded(result, w.resultMax(a))
	if err != nil {
		result.Failure = signed(unsendable(err, &a.dispatch.Recipe), jobID(a.ref), now)
		result.Children, result.Output, result.Series, result.Artifacts = nil, nil, nil, nil
		body, err = encodeBounded(result, w.resultMax(a))
	}
	if err != nil { // the metrics alone are too large
		result.Metrics = nil
		body, err = encodeBounded(result, w.resultMax(a))
	}
	if err != nil {
		w.log.Error("a failure cannot be encoded", "run", a.ref.Run, "task", a.ref.Task, "error", err)
	}
	return bus.Report{AttemptRef: a.ref, Failure: result.Failure, Preempted: o.preempted, Cost: result.Cost, Body: body}
}

// jobID names an attempt in files.
func jobID(ref bus.AttemptRef) string { return fmt.Sprintf("%s/%d", ref.Task, ref.Attempt) }

func encodeBounded(result spec.TaskResult, limit int) ([]byte, error) {
	body, err := bus.EncodeResult(result)
	if err == nil && len(result.Metrics) > bus.MetricsMax {
		err = fmt.Errorf("%w: %d metrics, at most %d can be sent; leave large data in files", errTooLarge, len(result.Metrics), bus.MetricsMax)
	}
	if err == nil && len(body) > limit {
		err = fmt.Errorf("%w: %d bytes encoded, at most %d can be sent; leave large data in files", errTooLarge, len(body), limit)
	}
	return body, err
}

// inlineMax is the largest encoded result that travels in a message of this connection, in bytes.
func (w *worker) inlineMax() int {
	return min(inlineMax, (w.link.maxPayload()-messageReserve)/4)
}

// resultMax is the largest encoded result of an attempt that its leader takes, in bytes.
func (w *worker) resultMax(a *attempt) int {
	return max(w.inlineMax(), int(a.dispatch.ResultMax))
}

// newResult makes the report ready for the spool. A body too large for a message is to go to a file of its own.
func (w *worker) newResult(a *attempt, report bus.Report, took time.Duration) (*result, error) {
	m := bus.ResultMessage{Version: bus.MessageVersion, Worker: w.who.ID, Boot: w.who.Boot, Reports: []bus.Report{report}}
	r := &result{ref: a.ref, took: took, attempt: a, report: &m.Reports[0]}
	if body := report.Body; len(body) > w.inlineMax() {
		r.large, r.body = spec.BlobOf(body), body
		r.report.Body, r.report.Stored = nil, r.large
	}
	encoded, err := bus.EncodeResultMessage(&m)
	if err != nil {
		return nil, err
	}
	r.encoded, r.size = encoded, len(encoded)+int(r.large.Size)
	return r, nil
}
