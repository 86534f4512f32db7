package worker

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// failureRow is one row of the contract's table.
type failureRow struct {
	name      string
	with      []func(*bus.Dispatch)
	kind      spec.FailureKind
	phase     spec.FailurePhase
	cause     string
	retryable bool
	preempted bool
	message   string         // what the message must contain
	details   map[string]any // what the details must hold
	// meanwhile ends the attempt from outside once it has made progress; nil for one that ends by itself.
	meanwhile func(b *bench, task spec.TaskID)
}

func limits(timeout, stall time.Duration) func(*bus.Dispatch) {
	return func(d *bus.Dispatch) {
		d.Recipe.Timeout, d.Recipe.StallTimeout, d.Recipe.Grace = timeout, stall, 300*time.Millisecond
	}
}

func proposer(d *bus.Dispatch) { d.Recipe.Proposer = true }

func argv(words ...string) func(*bus.Dispatch) {
	return func(d *bus.Dispatch) { d.Recipe.Argv = words }
}

var failureTable = []failureRow{
	{
		name: "no such program", with: []func(*bus.Dispatch){argv("no-such-program")},
		kind: spec.LaunchFailed, phase: spec.PhaseLaunch, cause: spec.CauseCannotStart, message: "no-such-program",
	},
	{
		name: "no such directory", with: []func(*bus.Dispatch){script(), func(d *bus.Dispatch) { d.Recipe.Dir = "/no/such" }},
		kind: spec.LaunchFailed, phase: spec.PhaseLaunch, cause: spec.CauseCannotStart, message: "/no/such",
	},
	{
		name: "not executable", with: []func(*bus.Dispatch){argv("/etc/passwd")},
		kind: spec.LaunchFailed, phase: spec.PhaseLaunch, cause: spec.CauseCannotStart, message: "permission denied",
	},
	{
		name: "no command", with: nil,
		kind: spec.LaunchFailed, phase: spec.PhaseLaunch, cause: spec.CauseCannotStart, message: `kind "train" has no command`,
	},
	{
		name: "exit before progress", with: []func(*bus.Dispatch){script("say hello", "warn first", "warn ValueError: no", "exit 3")},
		kind: spec.JobStartupFailed, phase: spec.PhaseJob, cause: spec.CauseExit, retryable: true,
		message: "exit status 3 before the first progress or metric: ValueError: no",
		details: map[string]any{"exit_code": int64(3), "stderr_tail": "first\nValueError: no"},
	},
	{
		name: "exit after progress", with: []func(*bus.Dispatch){script("say [autoresearch] loss=2", "exit 1")},
		kind: spec.JobRuntimeFailed, phase: spec.PhaseJob, cause: spec.CauseExit, retryable: true,
		details: map[string]any{"exit_code": int64(1)},
	},
	{
		name: "signal before progress", with: []func(*bus.Dispatch){script("kill 1")},
		kind: spec.JobStartupFailed, phase: spec.PhaseJob, cause: spec.CauseSignal, retryable: true,
		details: map[string]any{"signal": "SIGHUP"},
	},
	{
		name: "signal after progress", with: []func(*bus.Dispatch){script("say [autoresearch] here", "kill 15")},
		kind: spec.JobRuntimeFailed, phase: spec.PhaseJob, cause: spec.CauseSignal, retryable: true,
		details: map[string]any{"signal": "SIGTERM"},
	},
	{
		name: "CUDA out of memory", with: []func(*bus.Dispatch){script("warn RuntimeError: CUDA out of memory. Tried", "exit 1")},
		kind: spec.JobRuntimeFailed, phase: spec.PhaseJob, cause: spec.CauseOutOfMemory, retryable: true,
	},
	{
		name: "MemoryError", with: []func(*bus.Dispatch){script("say [autoresearch] a=1", "warn MemoryError", "exit 1")},
		kind: spec.JobRuntimeFailed, phase: spec.PhaseJob, cause: spec.CauseOutOfMemory, retryable: true,
	},
	{
		name: "timeout", with: []func(*bus.Dispatch){script("say [autoresearch] a=1", "forever"), limits(300*time.Millisecond, 0)},
		kind: spec.JobRuntimeFailed, phase: spec.PhaseJob, cause: spec.CauseTimeout, retryable: true,
		message: "still running after 300ms",
	},
	{
		name: "timeout is no success", with: []func(*bus.Dispatch){script("await", "result {}"), limits(300*time.Millisecond, 0)},
		kind: spec.JobRuntimeFailed, phase: spec.PhaseJob, cause: spec.CauseTimeout, retryable: true,
	},
	{
		name: "timeout, SIGTERM ignored", with: []func(*bus.Dispatch){script("ignore", "forever"), limits(300*time.Millisecond, 0)},
		kind: spec.JobRuntimeFailed, phase: spec.PhaseJob, cause: spec.CauseTimeout, retryable: true,
	},
	{
		name: "stalled", with: []func(*bus.Dispatch){script("say [autoresearch] a=1", "forever"), limits(0, 100*time.Millisecond)},
		kind: spec.JobStalled, phase: spec.PhaseJob, cause: spec.CauseStalled, retryable: true,
	},
	{
		name: "result is not JSON", with: []func(*bus.Dispatch){script(`result {"metrics": nope}`)},
		kind: spec.MetricsCollectionFailed, phase: spec.PhaseMetrics, cause: spec.CauseBadResult, message: "result.json",
	},
	{
		name: "a metric is no number", with: []func(*bus.Dispatch){script(`result {"metrics": {"loss": "low"}}`)},
		kind: spec.MetricsCollectionFailed, phase: spec.PhaseMetrics, cause: spec.CauseBadResult, message: "loss",
	},
	{
		name: "the experiment's own word", with: []func(*bus.Dispatch){
			script(`result {"failure": {"kind": "build_failed", "phase": "build", "message": "nvcc"}}`)},
		kind: spec.BuildFailed, phase: spec.PhaseBuild, cause: "", message: "nvcc",
		details: map[string]any{"exit_code": int64(0)},
	},
	{
		name: "its own word with an exit status", with: []func(*bus.Dispatch){
			script(`result {"failure": {"kind": "analysis_failed", "phase": "analysis", "retryable": false}}`, "exit 7")},
		kind: spec.AnalysisFailed, phase: spec.PhaseAnalysis, cause: spec.CauseExit, message: "exit status 7",
		details: map[string]any{"exit_code": int64(7)},
	},
	{
		name: "exit status with a broken result", with: []func(*bus.Dispatch){script(`result {`, "exit 7")},
		kind: spec.JobStartupFailed, phase: spec.PhaseJob, cause: spec.CauseExit, retryable: true,
	},
	{
		name: "proposer exits", with: []func(*bus.Dispatch){script("exit 2"), proposer},
		kind: spec.PlanningFailed, phase: spec.PhasePlanning, cause: spec.CauseProposer, retryable: true,
		details: map[string]any{"reason": spec.CauseExit},
	},
	{
		name: "proposer prints prose", with: []func(*bus.Dispatch){script("say I propose: {}"), proposer},
		kind: spec.PlanningFailed, phase: spec.PhasePlanning, cause: spec.CauseProposer, retryable: true, message: "I propose",
	},
	{
		name: "proposer prints too much", with: []func(*bus.Dispatch){script("flood 8300"), proposer},
		kind: spec.PlanningFailed, phase: spec.PhasePlanning, cause: spec.CauseProposer, message: "too large",
	},
	{
		name: "proposer cannot start", with: []func(*bus.Dispatch){argv("no-such-program"), proposer},
		kind: spec.PlanningFailed, phase: spec.PhasePlanning, cause: spec.CauseProposer,
	},
	{
		name: "interruption", with: []func(*bus.Dispatch){script("say [autoresearch] a=1", "await", "exit 3")},
		kind: spec.Interrupted, phase: spec.PhaseRunner, cause: spec.CauseCancelled, message: "cancelled",
		meanwhile: func(b *bench, task spec.TaskID) { b.tell(stopOf(b.awaitStart(task), spec.CauseCancelled)) },
	},
	{ // the last: the worker leaves
		name: "preemption", with: []func(*bus.Dispatch){script("say [autoresearch] a=1", "await", "exit 3")},
		kind: spec.Interrupted, phase: spec.PhaseRunner, cause: spec.CausePreempted, retryable: true, preempted: true, message: "the worker leaves",
		meanwhile: func(b *bench, _ spec.TaskID) { b.stop() },
	},
}

func TestFailureTable(t *testing.T) {
	t.Parallel()
	b := startBench(t, func(o *Options) { o.Slots[testClass] = 4 }) // two of them for those that wait to be ended
	for _, row := range failureTable {
		b.give(dispatch(spec.TaskID(row.name), row.with...))
	}
	for _, row := range failureTable {
		t.Run(row.name, func(t *testing.T) {
			task := spec.TaskID(row.name)
			if row.meanwhile != nil {
				b.awaitProgress(task)
				row.meanwhile(b, task)
			}
			report, result := b.report(task, 1)
			row.check(t, report, result)
		})
	}
}

func (row *failureRow) check(t *testing.T, report bus.Report, result spec.TaskResult) {
	t.Helper()
	f := report.Failure
	if f == nil {
		t.Fatal("it succeeded")
	}
	if report.Preempted != row.preempted {
		t.Errorf("preempted: %v", report.Preempted)
	}
	if f.Kind != row.kind || f.Phase != row.phase || f.Cause() != row.cause || f.Retryable != row.retryable {
		t.Errorf("filed under %s, %s, cause %q, retryable %v (%s)", f.Kind, f.Phase, f.Cause(), f.Retryable, f.Message)
	}
	if !strings.Contains(f.Message, row.message) {
		t.Errorf("message %q does not contain %q", f.Message, row.message)
	}
	if f.JobID != row.name+"/1" {
		t.Errorf("job id %q", f.JobID)
	}
	if at, err := time.Parse(time.RFC3339, f.CreatedAt); err != nil || time.Since(at) > time.Hour || at.Location() != time.UTC {
		t.Errorf("created at %q", f.CreatedAt)
	}
	if result.Failure == nil || result.Failure.Kind != f.Kind || result.Attempt != 1 || result.Host == "" {
		t.Errorf("the result says %+v", result)
	}
	for name, want := range row.details {
		if got := result.Failure.Details[name]; !sameDetail(got, want) {
			t.Errorf("detail %s is %v (%T), not %v", name, got, got, want)
		}
	}
}

// sameDetail compares a decoded detail, whose numbers may have another type.
func sameDetail(got, want any) bool {
	if text, ok := got.(interface{ Int64() (int64, error) }); ok {
		n, err := text.Int64()
		return err == nil && n == want
	}
	if n, ok := got.(int); ok {
		return int64(n) == want
	}
	return got == want
}

func TestRunnerFailures(t *testing.T) {
	t.Parallel()
	known := &spec.AutoresearchError{Record: spec.FailureRecord{Kind: spec.AnalysisFailed, Phase: spec.PhaseAnalysis}, Err: errors.New("odd")}
	rows := map[string]struct {
		run       spec.RunnerFunc
		kind      spec.FailureKind
		cause     string
		retryable bool
		message   string
	}{
		"error": {func(context.Context, spec.Attempt) (spec.TaskResult, error) {
			return spec.TaskResult{}, errors.New("plain")
		},
			spec.JobFailed, "", true, "plain"},
		"own record": {func(context.Context, spec.Attempt) (spec.TaskResult, error) { return spec.TaskResult{}, known },
			spec.AnalysisFailed, "", false, "odd"},
		"failure in the result": {func(context.Context, spec.Attempt) (spec.TaskResult, error) {
			return spec.TaskResult{Failure: &spec.FailureRecord{Kind: spec.JobFailed, Phase: spec.PhaseJob, Message: "m"}}, nil
		}, spec.JobFailed, "", false, "m"},
		"unknown kind": {func(context.Context, spec.Attempt) (spec.TaskResult, error) {
			return spec.TaskResult{Failure: &spec.FailureRecord{Kind: "oops", Phase: spec.PhaseJob}}, nil
		}, spec.UnexpectedException, spec.CauseBug, false, "oops"},
		"panic": {func(context.Context, spec.Attempt) (spec.TaskResult, error) { panic("boom") },
			spec.UnexpectedException, spec.CauseBug, false, "boom"},
		"goexit": {func(context.Context, spec.Attempt) (spec.TaskResult, error) {
			runtime.Goexit()
			return spec.TaskResult{}, nil
		},
			spec.UnexpectedException, spec.CauseBug, false, "Goexit"},
		"child without id": {func(context.Context, spec.Attempt) (spec.TaskResult, error) {
			return spec.TaskResult{Children: []spec.TaskSpec{{}}}, nil
		}, spec.MetricsCollectionFailed, spec.CauseBadResult, false, "child 1"},
		"too large": {func(context.Context, spec.Attempt) (spec.TaskResult, error) {
			return spec.TaskResult{Output: []byte(`{"a":"` + strings.Repeat("x", inlineMax) + `"}`)}, nil
		}, spec.MetricsCollectionFailed, spec.CauseResultTooLarge, false, "at most"},
	}
	byKind := map[string]spec.RunnerFunc{}
	for name, row := range rows {
		byKind[name] = row.run
	}
	b := startBench(t, runners(byKind))
	for name, row := range rows {
		b.give(dispatch(spec.TaskID(name), kind(name)))
		t.Run(name, func(t *testing.T) {
			report, _ := b.report(spec.TaskID(name), 1)
			f := report.Failure
			if f == nil || f.Kind != row.kind || f.Cause() != row.cause || f.Retryable != row.retryable {
				t.Fatalf("filed as %+v", f)
			}
			if !strings.Contains(f.Message, row.message) {
				t.Errorf("message %q", f.Message)
			}
		})
	}
	report, _ := b.report("panic", 1)
	if stack, _ := report.Failure.Details["stack"].(string); !strings.Contains(stack, "failure_test.go") {
		t.Errorf("the stack does not show the place: %q", stack)
	}
}

func TestResultTooLargeKeepsFileAndMetrics(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	big := strings.Repeat("y", 100<<10)
	line := `result {"metrics": {"loss": 1}, "output": {"a": "` + big + `"}}`
	b.o.AttemptDir = attemptDirDefault(b.o.Dir)
	b.change(func() { b.max = 128 << 10 })
	b.give(dispatch("big", script(line)))
	report, result := b.report("big", 1)
	if report.Failure.Cause() != spec.CauseResultTooLarge || result.Metrics["loss"] != 1 {
		t.Errorf("reported %+v with metrics %v", report.Failure, result.Metrics)
	}
	path := filepath.Join(b.o.AttemptDir(testRun, "big", 1), resultFileName)
	if _, written, err := readResult(path, resultFileMin); !written || err != nil {
		t.Errorf("the file is not kept: %v", err)
	}
}
