package coordinator

import (
	"slices"
	"strings"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// What of a GPU a record holds at most, in bytes.
const (
	gpuUUIDMax   = 128
	gpuReasonMax = 256
)

// gpusOf is what the engine is told of a worker's GPUs, bounded: it comes from outside, and goes into records.
func gpusOf(u *bus.Uplink) []spec.GPUStatus {
	gpus := slices.DeleteFunc(slices.Clone(u.GPUs), func(g spec.GPUStatus) bool { return len(g.UUID) > gpuUUIDMax })
	for i := range gpus {
		reason := &gpus[i].Reason
		*reason = strings.ToValidUTF8((*reason)[:min(len(*reason), gpuReasonMax)], "")
	}
	return gpus
}
