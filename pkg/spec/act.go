package spec

// Act is a change that somebody asked for, that a worker told of, or a warning, as the journal keeps it: what, who, and why. It travels
// in the record of the change itself, so it is as durable and as exact as the change. Acts are for people: nothing is decided
// by them.
type Act struct {
	Kind ActKind
	// Task is the task it was about, of several submitted ones the first that was new; "" where it was about the run.
	Task TaskID
	// Origin is the task that a retry repeats.
	Origin TaskID
	// Class is the class it was about; "" where it was about the run or a task.
	Class string
	// GPU is the UUID of the GPU, or MIG instance, that it was about.
	GPU string
	// Subtree says that the descendants were meant too.
	Subtree bool
	// Value is the new priority (lower runs first), the new budget (0: the configured one), or the amount of a limit.
	Value float64
	// What says in words what became of a run's entry in the registry, or of an allowance; "" for all other acts.
	What string
	// Limit is the limit that it was about, of which Used is spent, both in units (Limit.Units).
	Limit Limit
	Used  float64
	// Count is how many tasks it reached.
	Count int
	// By says who asked, or which worker told, Reason why; Reason may be empty.
	By, Reason string
	// At is the wall-clock time at which the leader took it.
	At WallTime
	// Unknown holds fields written by a newer version, kept on a rewrite.
	Unknown map[string][]byte
}

// ActKind says what was asked for. The values are stored in journals: never rename them.
type ActKind string

// The kinds of acts.
const (
	ActSubmit       ActKind = "submit"
	ActRetry        ActKind = "retry"
	ActCancel       ActKind = "cancel"
	ActReprioritise ActKind = "reprioritise"
	ActPause        ActKind = "pause"
	ActResume       ActKind = "resume"
	ActBudget       ActKind = "budget"
	ActDrain        ActKind = "drain"
	ActConfigure    ActKind = "configure"
	ActQuarantine   ActKind = "quarantine" // a worker does not offer a GPU until it is fit again
	ActRelease      ActKind = "release"    // it is fit again
	ActAllow        ActKind = "allow"
	// ActWarn is the engine's own: most of a limit is spent.
	ActWarn ActKind = "warn"
)
