package spec

import "time"

// Allowance is the most that may be spent: by a run, which then stops, or by a task and all its descendants. Zero fields are no
// limit.
type Allowance struct {
	// Experiments is how many tasks of counted kinds may be dispatched for the first time.
	Experiments int
	// Duration is for how long the run may be active, in engine time; only a run has it.
	Duration time.Duration
	// GPUTime and Cost are of Spent.
	GPUTime time.Duration
	Cost    Cost
}

// IsZero reports whether there is no limit.
func (a Allowance) IsZero() bool { return a == Allowance{} }

// Of returns one limit of the allowance: a count, nanoseconds, or millionths; 0 is none.
func (a Allowance) Of(l Limit) int64 {
	switch l {
	case LimitExperiments:
		return int64(a.Experiments)
	case LimitDuration:
		return int64(a.Duration)
	case LimitGPUHours:
		return int64(a.GPUTime)
	case LimitCost:
		return int64(a.Cost)
	}
	return 0
}

// Limit names a part of an Allowance, as workflows, reasons and metrics do. The values are stored in journals: never rename
// them.
type Limit string

// The limits.
const (
	LimitExperiments Limit = "max_experiments"
	LimitDuration    Limit = "max_duration"
	LimitGPUHours    Limit = "max_gpu_hours"
	LimitCost        Limit = "max_cost"
)

// LimitsAll are the parts of an Allowance.
var LimitsAll = [...]Limit{LimitExperiments, LimitDuration, LimitGPUHours, LimitCost}

// Units returns an amount as people count it: tasks, seconds, GPU-hours, units of the prices.
func (l Limit) Units(amount int64) float64 {
	switch l {
	case LimitDuration:
		return time.Duration(amount).Seconds()
	case LimitGPUHours:
		return time.Duration(amount).Hours()
	case LimitCost:
		return Cost(amount).Units()
	}
	return float64(amount)
}

// WarnAt is the part of a limit at which people are warned: four fifths.
func WarnAt(allowed int64) int64 { return allowed - allowed/5 }
