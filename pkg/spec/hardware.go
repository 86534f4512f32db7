package spec

// Hardware is what an attempt had to itself, beside the processors of its host. It is zero for a slot without GPUs.
type Hardware struct {
	// GPU is the model of its GPUs, or of the MIG instances it had.
	GPU string
	// GPUs are their UUIDs, as CUDA_VISIBLE_DEVICES named them.
	GPUs   []string
	Driver string
}

// IsZero reports whether there was nothing.
func (h Hardware) IsZero() bool { return h.GPU == "" && len(h.GPUs) == 0 && h.Driver == "" }

// The states of a worker's GPU.
const (
	GPUFree        = "free"
	GPUBusy        = "busy"
	GPUChecking    = "checking"    // an attempt on it has ended, and it is not yet known to be as it was before
	GPUQuarantined = "quarantined" // not offered until it is fit again
)

// Quarantine names a worker's GPU that is quarantined.
type Quarantine struct {
	Worker WorkerID
	GPU    string // its UUID
}

// GPUStatus is what a worker says of one of its GPUs, or MIG instances.
type GPUStatus struct {
	UUID   string
	Model  string
	Driver string
	Class  string // of the slot that it belongs to
	State  string // one of the above
	Reason string // why it is quarantined, or not yet free
}
