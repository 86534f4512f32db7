package spec

import "encoding/json"

// The statuses of a hypothesis node, as files hold them. Reading accepts any other text too.
const (
	StatusQueued    = "queued"
	StatusNodeRuns  = "running"
	StatusCompleted = "completed"
	StatusFailed    = "failed"
)

// TerminalStatuses lists the node statuses that are final.
func TerminalStatuses() []string { return []string{StatusCompleted, StatusFailed} }

// HypothesisNode is one node of the hypothesis tree as engine/tree.json holds it.
type HypothesisNode struct {
	// NodeID and Name are required.
	NodeID string
	Name   string
	// ParentID is "" for a root (null in the file).
	ParentID string
	// Commit is the code's commit; "" when unknown.
	Commit string
	// Spec is the task's payload.
	Spec Payload
	// Status is "queued" by default.
	Status string
	// JobID names the attempt ("003_wider/2"); "" when it never ran.
	JobID string
	// LaunchedAt is in Unix seconds, Duration in seconds; nil (null in the file) when it never ran or is unknown.
	LaunchedAt *float64
	Duration   *float64
	// Result is a JSON object ({"metrics": {...}, "output": {...}}); nil when there is none.
	Result json.RawMessage
	// Children are node ids, in order.
	Children []string
	// Priority: the lower number runs first.
	Priority float64
	// Failure is nil unless the node failed.
	Failure *FailureRecord
	// Extra holds unknown keys, kept on a rewrite.
	Extra []Field
}

// AnalysisResult is what an analysis of a result says.
type AnalysisResult struct {
	// Structured is any JSON value; nil when there is none.
	Structured json.RawMessage
	// Duration is in seconds; nil (null in the file) when unknown.
	Duration *float64
	// Improved says whether the result beat the best so far.
	Improved bool
	Failure  *FailureRecord
	// Extra holds unknown keys, kept on a rewrite.
	Extra []Field
}
