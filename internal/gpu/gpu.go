// Package gpu tells which GPUs this machine has and how they are. All it knows comes from the program nvidia-smi, so that
// nothing here needs cgo or a driver's library, and from the kernel's log where that may be read.
//
// nvidia-smi can hang on a sick GPU, in a way that not even SIGKILL ends. A look therefore never takes longer than its
// timeout and a little, and while a call hangs no other is made.
package gpu

import (
	"slices"
	"strings"
)

// Device is what an experiment can be given: a whole GPU, or one MIG instance of it.
type Device struct {
	// UUID is the name for CUDA_VISIBLE_DEVICES: GPU-... or MIG-...
	UUID string
	// Parent is the UUID of the GPU that it is, or is a part of.
	Parent string
	Model  string
	Driver string
}

// Whole reports whether the device is a whole GPU.
func (d Device) Whole() bool { return d.UUID == d.Parent }

// State is how one GPU is, its MIG instances included.
type State struct {
	UUID string
	// Bus is its PCI address as the kernel's log writes it: 0000:3b:00.
	Bus string
	// MemoryUsed is in MiB; -1 when nobody tells.
	MemoryUsed int64
	// Uncorrected counts ECC errors since the driver was loaded; -1 when nobody tells.
	Uncorrected int64
	// Processes are those that compute on it, as far as they can be seen from here.
	Processes []int
	// Sick is what nvidia-smi says in place of values when the GPU does not answer or must be reset.
	Sick string
}

// Look is what one look at the machine's GPUs showed.
type Look struct {
	Devices []Device
	GPUs    map[string]State // by UUID
}

// Visible returns those devices that a list in the form of CUDA_VISIBLE_DEVICES names, in its order: UUIDs or their
// beginnings, or numbers in the order of the PCI bus. As for CUDA, what follows an item that names nothing is not visible.
func Visible(devices []Device, list string) (visible []Device) {
	for item := range strings.SplitSeq(list, ",") {
		found := slices.IndexFunc(devices, func(d Device) bool { return named(d, devices, strings.TrimSpace(item)) })
		if found < 0 {
			return visible
		}
		visible = append(visible, devices[found])
	}
	return visible
}

func named(d Device, devices []Device, item string) bool {
	if n, ok := number(item); ok {
		whole := slices.DeleteFunc(slices.Clone(devices), func(d Device) bool { return !d.Whole() })
		return n >= 0 && n < int64(len(whole)) && whole[n].UUID == d.UUID
	}
	return item != "" && strings.HasPrefix(d.UUID, item)
}
