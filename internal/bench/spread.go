package bench

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// MinMax is the least and the most of a number over the rounds.
type MinMax [2]float64

// median returns the median of one number over rounds, and its extremes.
func median[T any](rounds []T, of func(T) float64) (float64, MinMax) {
	values := make([]float64, len(rounds))
	for i, r := range rounds {
		values[i] = of(r)
	}
	if len(values) == 0 {
		return 0, MinMax{}
	}
	slices.Sort(values)
	last := len(values) - 1
	return (values[last/2] + values[(last+1)/2]) / 2, MinMax{values[0], values[last]}
}

// Quantiles are of durations in milliseconds.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// quantiles are the smallest values that half, and 99 of 100, do not exceed. It sorts what it is given.
func quantiles(took []time.Duration) Quantiles {
	slices.Sort(took)
	at := func(q float64) float64 {
		if len(took) == 0 {
			return 0
		}
		rank := int(math.Ceil(q * float64(len(took))))
		return float64(took[rank-1]) / float64(time.Millisecond)
	}
	return Quantiles{P50: at(0.5), P99: at(0.99)}
}

// Timing is how long something took: quantiles of each round, the medians of these, and their extremes.
type Timing struct {
	Quantiles
	P50MinMax MinMax      `json:"p50_min_max"`
	P99MinMax MinMax      `json:"p99_min_max"`
	Rounds    []Quantiles `json:"rounds"`
}

// add takes a round in.
func (t *Timing) add(took []time.Duration) {
	t.Rounds = append(t.Rounds, quantiles(took))
	t.P50, t.P50MinMax = median(t.Rounds, func(q Quantiles) float64 { return q.P50 })
	t.P99, t.P99MinMax = median(t.Rounds, func(q Quantiles) float64 { return q.P99 })
}

func (t *Timing) line(what string) string {
	return fmt.Sprintf("  %-22s p50 %8.3f ms (%.3f to %.3f), p99 %8.3f ms (%.3f to %.3f)", what, t.P50, t.P50MinMax[0],
		t.P50MinMax[1], t.P99, t.P99MinMax[0], t.P99MinMax[1])
}
