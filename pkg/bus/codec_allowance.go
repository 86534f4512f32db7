package bus

import (
	"maps"
	"math"
	"slices"
	"time"

	"autoresearch/pkg/spec"
)

// fieldAllowances writes allowances by task: e experiments, d duration, g GPU time, c cost.
func (w *wire) fieldAllowances(key string, allowances map[spec.TaskID]spec.Allowance) {
	if len(allowances) == 0 {
		return
	}
	w.key(key)
	w.mapLen(len(allowances))
	for _, id := range slices.Sorted(maps.Keys(allowances)) {
		a := allowances[id]
		w.text(string(id))
		mark := w.openMap()
		fieldInt(w, "e", a.Experiments)
		fieldInt(w, "d", a.Duration)
		fieldInt(w, "g", a.GPUTime)
		fieldInt(w, "c", a.Cost)
		w.closeMap(mark)
	}
}

func (c *cursor) allowances() map[spec.TaskID]spec.Allowance {
	n := c.mapLen()
	allowances := make(map[spec.TaskID]spec.Allowance, min(n, 64))
	for ; n > 0 && c.err == nil; n-- {
		id := spec.TaskID(c.text())
		allowances[id] = c.allowance()
	}
	return allowances
}

func (c *cursor) allowance() (a spec.Allowance) {
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "e":
			a.Experiments = int(c.uint(math.MaxInt32))
		case "d":
			a.Duration = time.Duration(c.uint(math.MaxInt64))
		case "g":
			a.GPUTime = time.Duration(c.uint(math.MaxInt64))
		case "c":
			a.Cost = spec.Cost(c.uint(math.MaxInt64))
		default:
			return false
		}
		return true
	})
	return a
}
