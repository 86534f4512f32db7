package engine

import (
	"slices"
	"time"

	"autoresearch/pkg/spec"
)

const (
	// quarantinedMax bounds how many GPUs the run knows to be quarantined, and how many acts one heartbeat leaves.
	quarantinedMax = 64
	// gpusPause is how long nothing is said of a worker's GPUs once something was, so that one that comes and goes does not
	// fill the journal. Heartbeats say what is, not what has changed: only what was undone meanwhile is never said.
	gpusPause = 5 * time.Second
)

// gpus leaves an act for each of a worker's GPUs that is quarantined, or is no more, and was not known to be so. What is
// known is journaled with the act: no other leader says it again. A worker that lists no GPUs says nothing of them.
func (e *Engine) gpus(now Now, w *worker, list []spec.GPUStatus) {
	if len(list) == 0 || now.Engine < w.gpusDue {
		return
	}
	e.forgetGPUs(func(q spec.Quarantine) bool {
		return q.Worker == w.id && !slices.ContainsFunc(list, func(g spec.GPUStatus) bool { return g.UUID == q.GPU })
	})
	before := len(e.out.Acts)
	for i := range list {
		if len(e.out.Acts) < before+quarantinedMax {
			e.gpu(now, w, &list[i])
		}
	}
}

func (e *Engine) gpu(now Now, w *worker, g *spec.GPUStatus) {
	q := spec.Quarantine{Worker: w.id, GPU: g.UUID}
	known := slices.Contains(e.meta.Quarantined, q)
	act := spec.Act{Class: g.Class, GPU: g.UUID}
	switch {
	case g.State == spec.GPUQuarantined && !known && len(e.meta.Quarantined) < quarantinedMax && e.uses(g.Class):
		e.meta.Quarantined = append(slices.Clone(e.meta.Quarantined), q) // the old list may be in an Output
		act.Kind = spec.ActQuarantine
	case (g.State == spec.GPUFree || g.State == spec.GPUBusy) && known:
		e.forgetGPUs(func(other spec.Quarantine) bool { return other == q })
		act.Kind = spec.ActRelease
	default:
		return
	}
	e.metaDirty, w.gpusDue = true, now.Engine+gpusPause
	e.acted(now, Asked{By: string(w.id), Reason: g.Reason}, 1, act)
}

// forgetGPUs forgets, without a word, that GPUs are quarantined.
func (e *Engine) forgetGPUs(which func(spec.Quarantine) bool) {
	if slices.ContainsFunc(e.meta.Quarantined, which) {
		e.meta.Quarantined = slices.DeleteFunc(slices.Clone(e.meta.Quarantined), which)
		e.metaDirty = true
	}
}

// uses reports whether tasks of the run may run in the slots of a class, also where they require labels of it.
func (e *Engine) uses(class string) bool {
	for kind := range e.cfg.Kinds {
		if p, _ := e.cfg.policy(kind); spec.BaseClass(p.Class) == class {
			return true
		}
	}
	p, runs := e.cfg.policy("") // of a kind that is not listed
	return runs && spec.BaseClass(p.Class) == class
}
