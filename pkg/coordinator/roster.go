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
	byID map[spec.WorkerID]*heard
}

// heard is a worker as its last heartbeat showed it, and the newest attempts of this run that it has started since: as many as
// it has slots.
type heard struct {
	Worker
	started []spec.Holding
}

func newRoster(run spec.RunName) *roster {
	return &roster{run: run, byID: make(map[spec.WorkerID]*heard)}
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
		w = &heard{Worker: Worker{ID: u.Worker, Boot: u.Boot}}
		r.byID[u.Worker] = w
	}
	if u.Boot < w.Boot {
		return nil
	}
	w.Host, w.Heard = cmp.Or(u.Host, w.Host), now
	if !u.Full {
		w.note(ours(r.run, u.Running))
		return nil
	}
	quarantined = newlyQuarantined(w.GPUs, u.GPUs)
	w.Leaving, w.Slots, w.Running, w.started = u.Leaving, u.Slots, ours(r.run, u.Running), nil
	w.Others = len(u.Running) - len(w.Running)
	w.Labels, w.GPUs, w.Breaker = u.Labels, u.GPUs, u.Breaker
	return quarantined
}

// ours returns what is of a run; the whole list if all of it is.
func ours(run spec.RunName, running []spec.Holding) []spec.Holding {
	others := func(h spec.Holding) bool { return h.Run != run }
	if !slices.ContainsFunc(running, others) {
		return running
	}
	return slices.DeleteFunc(slices.Clone(running), others)
}

// note takes what a start notice lists.
func (w *heard) note(started []spec.Holding) {
	w.started = append(w.started, started...)
	slots := 0
	for _, s := range w.Slots {
		slots += s.Total
	}
	if over := len(w.started) - max(slots, len(started)); over > 0 {
		w.started = w.started[over:]
	}
}

// holds returns what the worker runs, as far as it said: what it has started since its last heartbeat may be listed in it.
func (w *heard) holds() []spec.Holding {
	listed := make(map[spec.AttemptRef]bool, len(w.started))
	for i := range w.started {
		listed[w.started[i].AttemptRef] = true
	}
	held := slices.DeleteFunc(slices.Clone(w.Running), func(h spec.Holding) bool { return listed[h.AttemptRef] })
	return append(held, w.started...)
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
	maps.DeleteFunc(r.byID, func(_ spec.WorkerID, w *heard) bool { return now.Sub(w.Heard) > rosterKeep })
}

// workers returns those that were heard lately, by name.
func (r *roster) workers(now time.Time) []Worker {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	list := make([]Worker, 0, len(r.byID))
	for _, w := range r.byID {
		shown := w.Worker
		shown.Running = w.holds()
		list = append(list, shown)
	}
	slices.SortFunc(list, func(a, b Worker) int { return cmp.Compare(a.ID, b.ID) })
	return list
}
