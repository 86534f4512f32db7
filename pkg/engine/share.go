package engine

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"autoresearch/pkg/spec"
)

// Runs share the slots of a class by weight. Every leader hears the same workers, and what every other run wants, and works
// out alone how many slots are its own: the shares of one moment add up to no more than there are. A run keeps what it
// holds until it ends; what a run does not want goes to those that do.

// claimant is a run that wants slots of a class: it holds least, and would take most.
type claimant struct {
	run         spec.RunName
	weight      float64
	least, most int
}

// other is what is known of another run.
type other struct {
	run     spec.RunName
	weight  float64
	classes []spec.ClassDemand
	until   spec.EngineTime // forgotten then, unless it is heard of again
}

// demand takes what another run wants.
func (e *Engine) demand(now Now, d Demand) {
	i, known := slices.BinarySearchFunc(e.others, d.Run, func(o *other, run spec.RunName) int {
		return strings.Compare(string(o.run), string(run))
	})
	if !known {
		e.others = slices.Insert(e.others, i, &other{run: d.Run})
	}
	o := e.others[i]
	o.weight, o.classes, o.until = weight(d.Weight), d.Classes, now.Engine+e.cfg.DemandTTL
	e.sharesDue = true
}

func weight(w float64) float64 {
	if !(w > 0) || math.IsInf(w, 1) {
		return 1
	}
	return w
}

// forgetRuns drops the runs that were not heard of for too long.
func (e *Engine) forgetRuns(now Now) {
	before := len(e.others)
	e.others = slices.DeleteFunc(e.others, func(o *other) bool { return o.until <= now.Engine })
	e.sharesDue = e.sharesDue || len(e.others) != before
}

// share works the shares out again where something changed that they depend on.
func (e *Engine) share() {
	if !e.sharesDue {
		return
	}
	e.sharesDue = false
	for _, c := range e.order {
		c.share = math.MaxInt
		if claimants := e.claimants(c); len(claimants) > 0 {
			own := claimant{weight: weight(e.cfg.Weight), run: e.cfg.Run, least: c.taken(), most: max(c.taken(), c.total)}
			c.share = apportion(c.total, own, claimants)
		}
	}
}

// claimants are the other runs that hold or want slots of a class.
func (e *Engine) claimants(c *class) (list []claimant) {
	for _, o := range e.others {
		for _, d := range o.classes {
			if d.Class == c.name && d.Wants > 0 {
				least := max(0, d.Leases)
				list = append(list, claimant{run: o.run, weight: o.weight, least: least, most: max(least, d.Wants)})
			}
		}
	}
	return list
}

// at is what a claimant has at a level: so much per weight, but no less than it holds and no more than it wants.
func (c *claimant) at(level float64) int {
	return min(max(int(min(level*c.weight, math.MaxInt32)), c.least), c.most)
}

// apportion returns how many of total slots are own's. The level is raised for all alike until nothing is left; the
// slots that remain of its last step go one by one to whoever has the least for its weight.
func apportion(total int, own claimant, others []claimant) int {
	all := append(slices.Clone(others), own)
	sum := func(level float64) (n int) {
		for i := range all {
			n += all[i].at(level)
		}
		return n
	}
	low, high := 0.0, 1.0
	for sum(high) <= total && high < math.MaxInt32 {
		low, high = high, high*2
	}
	for range 40 {
		if middle := (low + high) / 2; sum(middle) <= total {
			low = middle
		} else {
			high = middle
		}
	}
	return all[len(all)-1].at(low) + rest(all, low, total-sum(low))
}

// rest is how many of the slots that remain at a level go to the last of all.
func rest(all []claimant, level float64, remain int) int {
	order := make([]int, 0, len(all))
	for i := range all {
		if all[i].at(level) < all[i].most {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &all[i], &all[j]
		return cmp.Or(
			cmp.Compare(float64(a.at(level)+1)/a.weight, float64(b.at(level)+1)/b.weight), strings.Compare(string(a.run), string(b.run)),
		)
	})
	if i := slices.Index(order, len(all)-1); i >= 0 && i < remain {
		return 1
	}
	return 0
}

// Demands returns what this run holds and wants of each class, for the other runs; a base's is that of all classes that use its
// slots, and no slot of it is promised twice. It holds until the next Step.
func (e *Engine) Demands() []spec.ClassDemand {
	e.demands = e.demands[:0]
	for _, c := range e.order {
		d := spec.ClassDemand{Class: c.name, Leases: c.taken()}
		if d.Wants = d.Leases; e.mayDispatch() {
			d.Wants += e.wanted(c)
		}
		e.demands = append(e.demands, d)
	}
	return e.demands
}

// Shares returns how many slots of each class are this run's, of the classes that other runs want too; nil when there are none.
func (e *Engine) Shares() map[string]int {
	var shares map[string]int
	for _, c := range e.order {
		if c.share == math.MaxInt {
			continue
		}
		if shares == nil {
			shares = make(map[string]int)
		}
		shares[c.name] = c.share
	}
	return shares
}

// wanted is how many more tasks would be dispatched to a class's slots if there were any free.
func (e *Engine) wanted(c *class) int {
	counted, uncounted := c.waiting()
	n := uncounted + max(0, min(counted, e.budget()-(e.counts.Leases()-e.counts.Planning)))
	if c.base != nil {
		n = min(n, e.wanted(c.base))
	}
	return n
}
