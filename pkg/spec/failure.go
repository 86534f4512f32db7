package spec

import (
	"errors"
	"fmt"
	"slices"
)

// FailureKind says what failed. The values are a persistence contract: a record with another one is refused.
type FailureKind string

// The failure kinds, in the contract's order.
const (
	CodeChangeFailed           FailureKind = "code_change_failed"
	SourceRestoreFailed        FailureKind = "source_restore_failed"
	BuildFailed                FailureKind = "build_failed"
	LaunchFailed               FailureKind = "launch_failed"
	JobStartupFailed           FailureKind = "job_startup_failed"
	JobRuntimeFailed           FailureKind = "job_runtime_failed"
	JobFailed                  FailureKind = "job_failed"
	JobStalled                 FailureKind = "job_stalled"
	MetricsCollectionFailed    FailureKind = "metrics_collection_failed"
	AnalysisFailed             FailureKind = "analysis_failed"
	PlanningFailed             FailureKind = "planning_failed"
	SetupInstrumentationFailed FailureKind = "setup_instrumentation_failed"
	SetupSourceFailed          FailureKind = "setup_source_failed"
	UnexpectedException        FailureKind = "unexpected_exception"
	Interrupted                FailureKind = "interrupted"
)

// FailureKinds lists every failure kind in the contract's order.
func FailureKinds() []FailureKind {
	return []FailureKind{
		CodeChangeFailed, SourceRestoreFailed, BuildFailed, LaunchFailed, JobStartupFailed, JobRuntimeFailed, JobFailed,
		JobStalled, MetricsCollectionFailed, AnalysisFailed, PlanningFailed, SetupInstrumentationFailed,
		SetupSourceFailed, UnexpectedException, Interrupted,
	}
}

// Valid reports whether k is one of the contract's kinds.
func (k FailureKind) Valid() bool { return slices.Contains(FailureKinds(), k) }

// FailurePhase says in which phase of an experiment's life it failed. The values are a persistence contract.
type FailurePhase string

// The failure phases, in the contract's order.
const (
	PhasePrepare         FailurePhase = "prepare"
	PhaseSource          FailurePhase = "source"
	PhaseCodeChange      FailurePhase = "code_change"
	PhaseBuild           FailurePhase = "build"
	PhaseLaunch          FailurePhase = "launch"
	PhaseJob             FailurePhase = "job"
	PhaseMetrics         FailurePhase = "metrics"
	PhaseAnalysis        FailurePhase = "analysis"
	PhasePlanning        FailurePhase = "planning"
	PhaseSetup           FailurePhase = "setup"
	PhaseInstrumentation FailurePhase = "instrumentation"
	PhaseRunner          FailurePhase = "runner"
)

// FailurePhases lists every failure phase in the contract's order.
func FailurePhases() []FailurePhase {
	return []FailurePhase{
		PhasePrepare, PhaseSource, PhaseCodeChange, PhaseBuild, PhaseLaunch, PhaseJob, PhaseMetrics, PhaseAnalysis,
		PhasePlanning, PhaseSetup, PhaseInstrumentation, PhaseRunner,
	}
}

// Valid reports whether p is one of the contract's phases.
func (p FailurePhase) Valid() bool { return slices.Contains(FailurePhases(), p) }

// The values of FailureRecord.Details["cause"] that this engine itself sets: finer than the kind.
const (
	CauseCannotStart    = "cannot_start"
	CauseExit           = "exit"
	CauseSignal         = "signal"
	CauseOutOfMemory    = "out_of_memory"
	CauseCPULimit       = "cpu_limit"
	CauseHardware       = "hardware_fault"
	CauseTimeout        = "timeout"
	CauseStalled        = "stalled"
	CauseLost           = "lost"
	CauseBadResult      = "bad_result"
	CauseResultTooLarge = "result_too_large"
	CauseBlobMissing    = "blob_missing"
	CauseHook           = "hook"
	CauseProposer       = "proposer"
	CauseCancelled      = "cancelled"
	CausePreempted      = "preempted"
	CauseDeclined       = "declined" // of a preemption: the worker never began
	CauseUnknownKind    = "unknown_kind"
	CauseBug            = "bug"
)

// FailureRecord is a failure as it is kept in files and shown to people.
type FailureRecord struct {
	Kind  FailureKind
	Phase FailurePhase
	// Message is one line for a person; "" by default.
	Message string
	// Retryable says whether another attempt may succeed; false by default.
	Retryable bool
	// Details is free; Details["cause"] tells finer than Kind where the engine set it. Numbers read from JSON are
	// json.Number, exact.
	Details map[string]any
	// ExceptionType, JobID and CreatedAt (ISO 8601) are "" where the file says null.
	ExceptionType string
	JobID         string
	CreatedAt     string
	// Extra holds unknown keys, kept on a rewrite.
	Extra []Field
}

// Cause returns Details["cause"], or "" when there is none.
func (f *FailureRecord) Cause() string {
	if f == nil {
		return ""
	}
	cause, _ := f.Details["cause"].(string)
	return cause
}

// Validate refuses a record whose kind or phase is not one of the contract's.
func (f *FailureRecord) Validate() error {
	if !f.Kind.Valid() {
		return fmt.Errorf("failure record: field kind: unknown failure kind %q", f.Kind)
	}
	if !f.Phase.Valid() {
		return fmt.Errorf("failure record: field phase: unknown failure phase %q", f.Phase)
	}
	return nil
}

// AutoresearchError is an expected failure that carries its record. A Runner or a hook that returns one (wrapped or
// not) decides how the failure is filed; any other error becomes unexpected_exception.
type AutoresearchError struct {
	Record FailureRecord
	Err    error // the underlying error; may be nil
}

// Error returns the kind, the phase and the message.
func (e *AutoresearchError) Error() string {
	msg := e.Record.Message
	if msg == "" && e.Err != nil {
		msg = e.Err.Error()
	}
	return fmt.Sprintf("%s in %s: %s", e.Record.Kind, e.Record.Phase, msg)
}

// Unwrap returns the underlying error.
func (e *AutoresearchError) Unwrap() error { return e.Err }

// FailureOf returns the record an error is filed under: the one it carries if it wraps an AutoresearchError, else a
// record of the given kind and phase with the error's text. It returns nil for a nil error.
func FailureOf(err error, kind FailureKind, phase FailurePhase) *FailureRecord {
	if err == nil {
		return nil
	}
	var carried *AutoresearchError
	if errors.As(err, &carried) {
		record := carried.Record
		if record.Message == "" && carried.Err != nil {
			record.Message = carried.Err.Error()
		}
		return &record
	}
	return &FailureRecord{Kind: kind, Phase: phase, Message: err.Error()}
}
