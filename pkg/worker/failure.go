package worker

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"autoresearch/pkg/spec"
)

const (
	// messageMax bounds a failure's message, stackMax the stack of a panic in its details; in bytes.
	messageMax = 4 << 10
	stackMax   = 8 << 10
	// failureMax bounds a whole failure record, as JSON: leaders refuse larger ones.
	failureMax = 24 << 10
)

// ending is all that is known of a command that was started and has ended.
type ending struct {
	exit exit
	// stop is why we ended it; nil when it ended by itself.
	stop error
	// progressed says that there was progress or a metric.
	progressed bool
	// memory is the evidence that memory ran out; "" when there is none.
	memory string
	// hardware is the evidence that the hardware failed; "" when there is none.
	hardware string
	// stall is the quiet time that was allowed when it was found stalled.
	stall time.Duration
	// own is the failure in the result file; fileErr says why the file cannot be used.
	own     *spec.FailureRecord
	fileErr error
	// stderr is the end of standard error.
	stderr string
	recipe *spec.Recipe
}

// judge returns the failure of a command by the table of the contract, nil for success. Endings by preemption and
// supersession are the caller's.
func (e *ending) judge() *spec.FailureRecord {
	switch {
	case errors.Is(e.stop, errCancelled):
		return e.record(spec.Interrupted, spec.PhaseRunner, spec.CauseCancelled, false, "cancelled")
	case e.stop != nil:
		return e.proposing(e.stopped())
	case e.exit.code != 0:
		return e.proposing(e.refined(e.crashed()))
	case e.fileErr != nil:
		return e.proposing(e.unreadable())
	case e.own != nil:
		return e.completed(*e.own)
	}
	return nil
}

// stopped is the failure of a command that exceeded a limit.
func (e *ending) stopped() *spec.FailureRecord {
	if errors.Is(e.stop, errStalled) {
		return e.record(spec.JobStalled, spec.PhaseJob, spec.CauseStalled, true, fmt.Sprintf(
			"stalled: no output and no progress for %v", cmp.Or(e.stall, e.recipe.StallTimeout)))
	}
	return e.record(spec.JobRuntimeFailed, spec.PhaseJob, spec.CauseTimeout, true,
		fmt.Sprintf("timeout: still running after %v", e.recipe.Timeout))
}

// crashed is the failure of a command that ended badly by itself.
func (e *ending) crashed() *spec.FailureRecord {
	switch {
	case e.hardware != "":
		return e.record(spec.JobRuntimeFailed, spec.PhaseJob, spec.CauseHardware, true, "hardware fault: "+e.hardware)
	case e.memory != "":
		return e.record(spec.JobRuntimeFailed, spec.PhaseJob, spec.CauseOutOfMemory, true, "out of memory: "+e.memory)
	case e.exit.signal == "SIGXCPU":
		return e.record(spec.JobRuntimeFailed, spec.PhaseJob, spec.CauseCPULimit, true, "processor time limit: it has used all it may")
	}
	kind, when := spec.JobStartupFailed, "before the first progress or metric"
	if e.progressed {
		kind, when = spec.JobRuntimeFailed, "after the first progress or metric"
	}
	cause, what := spec.CauseExit, fmt.Sprintf("exit status %d", e.exit.code)
	if e.exit.signal != "" {
		cause, what = spec.CauseSignal, "ended by "+e.exit.signal
	}
	message := what + " " + when
	if last := lastLine(e.stderr); last != "" {
		message += ": " + clipText(last, 300)
	}
	return e.record(kind, spec.PhaseJob, cause, true, message)
}

// unreadable is the failure of a command that succeeded but left a result nobody can read. A program would leave the same
// again; a proposer may say something else the next time.
func (e *ending) unreadable() *spec.FailureRecord {
	if errors.Is(e.fileErr, errTooLarge) {
		return e.record(spec.MetricsCollectionFailed, spec.PhaseMetrics, spec.CauseResultTooLarge, false, e.fileErr.Error())
	}
	return e.record(spec.MetricsCollectionFailed, spec.PhaseMetrics, spec.CauseBadResult, e.recipe.Proposer, e.fileErr.Error())
}

// refined takes the experiment's own word on its failure, where it left one, and keeps what we saw in the details.
func (e *ending) refined(f *spec.FailureRecord) *spec.FailureRecord {
	if e.fileErr != nil {
		f.Details["result_file_error"] = clipText(e.fileErr.Error(), messageMax)
	}
	if e.own == nil {
		return f
	}
	own := e.completed(*e.own)
	if own.Cause() == "" {
		own.Details["cause"] = f.Cause()
	}
	if own.Message == "" {
		own.Message = f.Message
	}
	return own
}

// proposing files a failure of a proposer's command under planning, unless the proposer itself said what failed.
func (e *ending) proposing(f *spec.FailureRecord) *spec.FailureRecord {
	if !e.recipe.Proposer || e.own != nil && e.stop == nil && e.fileErr == nil {
		return f
	}
	f.Kind, f.Phase = spec.PlanningFailed, spec.PhasePlanning
	f.Details["reason"], f.Details["cause"] = f.Details["cause"], spec.CauseProposer
	f.Message = "proposer: " + f.Message
	return f
}

// record returns a failure with the details of the ending.
func (e *ending) record(
	kind spec.FailureKind, phase spec.FailurePhase, cause string, retryable bool, message string,
) *spec.FailureRecord {
	return e.completed(spec.FailureRecord{
		Kind: kind, Phase: phase, Message: message, Retryable: retryable, Details: map[string]any{"cause": cause},
	})
}

// completed adds the details of the ending that f does not have.
func (e *ending) completed(f spec.FailureRecord) *spec.FailureRecord {
	details := map[string]any{"duration": math.Round(e.exit.duration.Seconds()*1000) / 1000}
	if e.exit.code >= 0 {
		details["exit_code"] = e.exit.code
	}
	if e.exit.signal != "" {
		details["signal"] = e.exit.signal
	}
	if e.stderr != "" {
		details["stderr_tail"] = e.stderr
	}
	if used := e.exit.usage; used.MaxRSS > 0 {
		details["max_rss"] = used.MaxRSS
		details["cpu_seconds"] = math.Round((used.User+used.System).Seconds()*1000) / 1000
	}
	for name, value := range f.Details {
		details[name] = value
	}
	f.Details = details
	return &f
}

// killedByOthers reports whether the command died of a SIGKILL that we did not send, as the kernel's out-of-memory killer
// sends it. A shell reports its child's as exit status 137.
func (e exit) killedByOthers() bool {
	return e.sent != syscall.SIGKILL && (e.signal == "SIGKILL" || e.code == 128+int(syscall.SIGKILL))
}

// lastLine returns the last line of text that is not blank.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// launchFailure is the failure of a command that could not be started.
func launchFailure(message string, retryable bool) *spec.FailureRecord {
	return &spec.FailureRecord{
		Kind: spec.LaunchFailed, Phase: spec.PhaseLaunch, Message: message, Retryable: retryable,
		Details: map[string]any{"cause": spec.CauseCannotStart},
	}
}

// cannotStart is launchFailure for an error. What a machine lacks for the moment (space, memory, processes, open files) is
// worth another attempt, elsewhere perhaps.
func cannotStart(doing string, err error) *spec.FailureRecord {
	retryable := false
	for _, passing := range []error{
		syscall.ENOSPC, syscall.EDQUOT, syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.ETXTBSY,
		syscall.EIO,
	} {
		retryable = retryable || errors.Is(err, passing)
	}
	return launchFailure(doing+": "+err.Error(), retryable)
}

// noCommand is the failure of a kind that this worker has no way to run.
func noCommand(kind, class string) *spec.FailureRecord {
	return launchFailure(fmt.Sprintf("kind %q has no command and this worker (class %s) no Runner for it: "+
		"give the kind a command in the workflow, or run workers whose binary registers a Runner for it", kind, class), false)
}

// panicked is the failure of a Runner that panicked with value.
func panicked(value any) *spec.FailureRecord {
	return &spec.FailureRecord{
		Kind: spec.UnexpectedException, Phase: spec.PhaseRunner, Message: fmt.Sprintf("panic: %v", value),
		ExceptionType: fmt.Sprintf("%T", value),
		Details: map[string]any{
			"cause": spec.CauseBug, "stack": strings.ToValidUTF8(clipText(string(debug.Stack()), stackMax), ""),
		},
	}
}

// runnerFailure is the failure of a Runner that returned an error. A plain error says nothing about its kind; like an exit
// status it is worth another attempt where the kind's policy allows one.
func runnerFailure(err error) *spec.FailureRecord {
	f := spec.FailureOf(err, spec.JobFailed, spec.PhaseJob)
	if carried := (*spec.AutoresearchError)(nil); !errors.As(err, &carried) {
		f.Retryable = true
		f.ExceptionType = fmt.Sprintf("%T", err)
	}
	return f
}

// badResult is the failure of a Runner whose result cannot be sent.
func badResult(err error) *spec.FailureRecord {
	cause := spec.CauseBadResult
	if errors.Is(err, errTooLarge) {
		cause = spec.CauseResultTooLarge
	}
	return &spec.FailureRecord{
		Kind: spec.MetricsCollectionFailed, Phase: spec.PhaseMetrics, Message: err.Error(),
		Details: map[string]any{"cause": cause},
	}
}

// unsendable is badResult, for a proposer as a failure of its planning.
func unsendable(err error, recipe *spec.Recipe) *spec.FailureRecord {
	e := ending{recipe: recipe}
	return e.proposing(badResult(err))
}

// stoppedRunner is the failure of an attempt that was ended for cause and of whose end nothing else is known.
func stoppedRunner(cause error, recipe *spec.Recipe) *spec.FailureRecord {
	e := ending{stop: cause, recipe: recipe, exit: exit{code: -1}}
	if errors.Is(cause, errPreempted) {
		return e.preempted()
	}
	return e.judge()
}

// preempted is the record that goes with a preemption: what the task ends with if it is preempted too often.
func (e *ending) preempted() *spec.FailureRecord {
	return e.record(spec.Interrupted, spec.PhaseRunner, spec.CausePreempted, true, "preempted: the worker leaves")
}

// signed makes f fit to be sent: a known kind and phase, one attempt's name and a time, a bounded size.
func signed(f *spec.FailureRecord, jobID string, now time.Time) *spec.FailureRecord {
	out := *f
	if err := f.Validate(); err != nil {
		out = spec.FailureRecord{
			Kind: spec.UnexpectedException, Phase: spec.PhaseRunner, Message: err.Error() + ": " + f.Message,
			Details: map[string]any{"cause": spec.CauseBug},
		}
	}
	out.Message = clipText(strings.ToValidUTF8(out.Message, "\uFFFD"), messageMax)
	if out.JobID == "" {
		out.JobID = jobID
	}
	if out.CreatedAt == "" {
		out.CreatedAt = now.UTC().Format(time.RFC3339)
	}
	if size := len(out.AppendJSON(nil)); size > failureMax {
		out.Details, out.Extra = map[string]any{"cause": f.Cause(), "details_left_out": size}, nil
		out.ExceptionType, out.JobID = clipText(out.ExceptionType, messageMax), clipText(out.JobID, messageMax)
		out.CreatedAt = clipText(out.CreatedAt, messageMax)
	}
	return &out
}
