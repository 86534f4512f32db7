package spec

import "math"

// Improves reports whether value becomes the best: it is finite, and there is no best yet (hasBest false, or best not
// finite) or it is strictly better. NaN and infinities are never the best.
func (o Objective) Improves(value, best float64, hasBest bool) bool {
	if !isFinite(value) {
		return false
	}
	return !hasBest || !isFinite(best) || o.Better(value, best)
}

func isFinite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }
