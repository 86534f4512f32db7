package coordinator

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// Worker is what a worker said of itself last.
type Worker struct {
	ID      spec.WorkerID
	Boot    uint64
	Host    string
	Leaving bool // it drains: it takes nothing more
	Slots   []spec.ClassSlots
	// Running are its attempts of this run; Others counts those of other runs.
	Running []spec.Holding
	Others  int
	// Labels, GPUs and Breaker (why it takes nothing; "" when it does) are as it said them.
	Labels  []string
	GPUs    []spec.GPUStatus
	Breaker string
	// Heard is when it was heard last, by the leader's wall clock.
	Heard time.Time
}

// rosterKeep is how long a worker is shown after it was heard last.
const rosterKeep = 15 * time.Minute

// roster is the readers' copy of what workers say in their heartbeats. It is for people: who holds what is the engine's to
// know.
type roster struct {
	run spec.RunName

	mu   sync.Mutex
	byID map[spec.WorkerID]*Worker
}

func newRoster(run spec.RunName) *roster {
	return &roster{run: run, byID: make(map[spec.WorkerID]*Worker)}
}

// hear takes one message of a worker, and returns those of its GPUs that have just been quarantined. The slices it keeps
// are replaced, never changed.
func (r *roster) hear(u *bus.Uplink, now time.Time) (quarantined []spec.GPUStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w, known := r.byID[u.Worker]
	if !known {
		r.forget(now)
	}
	if !known || u.Boot > w.Boot {
		w = &Worker{ID: u.Worker, Boot: u.Boot}
		r.byID[u.Worker] = w
	}
	if u.Boot < w.Boot {
		return nil
	}
	w.Host, w.Heard = cmp.Or(u.Host, w.Host), now
	ours := slices.DeleteFunc(slices.Clone(u.Running), func(h spec.Holding) bool { return h.Run != r.run })
	if !u.Full {
		w.Running = append(slices.DeleteFunc(slices.Clone(w.Running), func(h spec.Holding) bool {
			return slices.ContainsFunc(ours, func(n spec.Holding) bool { return n.AttemptRef == h.AttemptRef })
		}), ours...)
		return nil
	}
	quarantined = newlyQuarantined(w.GPUs, u.GPUs)
	w.Leaving, w.Slots, w.Running, w.Others = u.Leaving, u.Slots, ours, len(u.Running)-len(ours)
	w.Labels, w.GPUs, w.Breaker = u.Labels, u.GPUs, u.Breaker
	return quarantined
}

// newlyQuarantined returns the GPUs that are quarantined now and were not before.
func newlyQuarantined(before, now []spec.GPUStatus) (list []spec.GPUStatus) {
	was := map[string]bool{}
	for _, g := range before {
		was[g.UUID] = g.State == spec.GPUQuarantined
	}
	for _, g := range now {
		if g.State == spec.GPUQuarantined && !was[g.UUID] {
			list = append(list, g)
		}
	}
	return list
}

func (r *roster) forget(now time.Time) {
	maps.DeleteFunc(r.byID, func(_ spec.WorkerID, w *Worker) bool { return now.Sub(w.Heard) > rosterKeep })
}

// workers returns those that were heard lately, by name.
func (r *roster) workers(now time.Time) []Worker {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	list := make([]Worker, 0, len(r.byID))
	for _, w := range r.byID {
		list = append(list, *w)
	}
	slices.SortFunc(list, func(a, b Worker) int { return cmp.Compare(a.ID, b.ID) })
	return list
}
