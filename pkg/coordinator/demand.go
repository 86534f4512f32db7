package coordinator

import (
	"maps"
	"slices"
	"time"

	"autoresearch/pkg/spec"
)

// demand counts the live tasks of each kind. Kinds that the workflow does not list count as spec.KindDefault: what a task says
// of itself never becomes a metric's label. The ledger keeps it under its lock.
type demand map[string]kindDemand

// kindDemand is what the tasks of a kind want or have.
type kindDemand struct {
	waiting int // queued, backing off included
	leased  int // dispatched or running
}

// count adds a task, or takes it away.
func (d demand) count(kind string, t *spec.Task, by int) {
	k := d[kind]
	switch {
	case t.State == spec.StateQueued:
		k.waiting += by
	case t.State.Leased():
		k.leased += by
	default:
		return
	}
	d[kind] = k
}

// listed returns the name under which a kind is counted.
func (g *ledger) listed(kind string) string {
	if _, listed := g.kinds[kind]; listed {
		return kind
	}
	return spec.KindDefault
}

// demands returns a copy of the counts by kind; a listed kind without tasks is there too.
func (g *ledger) demands() demand {
	g.mu.RLock()
	defer g.mu.RUnlock()
	d := make(demand, len(g.kinds))
	for kind := range g.kinds {
		d[kind] = kindDemand{}
	}
	maps.Copy(d, g.demand)
	return d
}

// active reports whether the run dispatches more once there is room.
func (g *ledger) active() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	m := g.last.meta
	return m.Status == spec.StatusRunning && !m.Paused && !m.Drained && g.last.reason == ""
}

// classDemand is a class of slots as one run sees it.
type classDemand struct {
	wanted int // slots that tasks hold, or could use within the budgets
	slots  int // of live workers that take tasks
	each   int // slots of the largest worker; 0 when there is none
}

// workers is how many workers the run wants of a class. While none was heard each is taken to have one slot.
func (d classDemand) workers() int {
	each := max(1, d.each)
	return (d.wanted + each - 1) / each
}

// demands returns what the run wants and has of each class that one of its kinds runs in. The run's budget caps each class by
// itself: how it is shared between classes only the queue decides.
func (t *term) demands(now time.Time) map[string]classDemand {
	meta, active := t.ledger.meta(), t.ledger.active()
	budget := meta.Budget
	if budget == 0 {
		budget = t.cfg.Budget
	}
	found := make(map[string]classDemand)
	counted := make(map[string]int) // of kinds that count against the budget
	parked := t.ledger.parked()
	for kind, k := range t.ledger.demands() {
		class := t.ledger.class(kind)
		c, wants := found[class], k.leased
		if active && !slices.Contains(meta.PausedClasses, class) {
			wants += k.waiting
		}
		if t.ledger.uncounted(kind) {
			c.wanted += wants
		} else {
			counted[class] += wants
		}
		found[class] = c
	}
	for class, c := range found {
		if active && !slices.Contains(meta.PausedClasses, class) {
			counted[class] = max(0, counted[class]-parked[class])
		}
		c.wanted += min(counted[class], max(1, budget))
		if limit := meta.ClassBudgets[class]; limit > 0 {
			c.wanted = min(c.wanted, limit)
		}
		c.slots, c.each = t.roster.slots(class, now)
		found[class] = c
	}
	return found
}

// used returns how much of each limit of the run is used up.
func (t *term) used() map[string]float64 {
	allowed, ratios, spent := t.allowance(), make(map[string]float64), t.ledger.spent()
	if allowed.Experiments > 0 {
		ratios["experiments"] = float64(t.ledger.status(t.c.host.Now()).Counts.Experiments) / float64(allowed.Experiments)
	}
	if allowed.Duration > 0 {
		ratios["duration"] = min(1, t.ledger.time().Seconds()/allowed.Duration.Seconds())
	}
	if allowed.GPUTime > 0 {
		ratios["gpu_hours"] = spent.GPUTime.Hours() / allowed.GPUTime.Hours()
	}
	if allowed.Cost > 0 {
		ratios["cost"] = spent.Cost.Units() / allowed.Cost.Units()
	}
	return ratios
}

// slots returns how many slots of a class live workers have that are not about to leave, and the most that one has.
func (r *roster) slots(class string, now time.Time) (all, most int) {
	for _, w := range r.workers(now) {
		if w.Leaving || now.Sub(w.Heard) > rosterLive {
			continue
		}
		for _, s := range w.Slots {
			if s.Class == class {
				all, most = all+s.Total, max(most, s.Total)
			}
		}
	}
	return all, most
}

// rosterLive is how long after its last word a worker's slots count.
const rosterLive = time.Minute
