package spec

import "time"

// AttemptRef names one claimed attempt of one task.
type AttemptRef struct {
	Run     RunName
	Task    TaskID
	Attempt uint32
	Claim   ClaimID // 0 where no claim is known
}

// StopSuperseded is why a worker is told to end an attempt when somebody else holds its task, or the task is over.
const StopSuperseded = "superseded"

// ClassSlots is what a worker announces for one class.
type ClassSlots struct {
	Class string
	// Total is the number of slots; Free is how many could start an attempt now. A worker that cannot pull announces
	// no free slot.
	Total int
	Free  int
}

// Holding is an attempt that a worker runs.
type Holding struct {
	AttemptRef
	Started time.Time
	// GPUs is how many of them the attempt has to itself.
	GPUs int
	// Progress is the newest progress line, Metrics the newest values; both may be empty.
	Progress string
	Metrics  map[string]float64
}

// ClassDemand is what a run says of a class to the other runs that share its slots.
type ClassDemand struct {
	Class string
	// Leases is how many slots the run's attempts take, Wants how many it would take if there were enough, those included.
	Leases int
	Wants  int
}
