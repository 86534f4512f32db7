package spec

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"time"
)

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

// Or returns a with what it leaves open taken from other.
func (a Allowance) Or(other Allowance) Allowance {
	return Allowance{
		Experiments: cmp.Or(a.Experiments, other.Experiments), Duration: cmp.Or(a.Duration, other.Duration),
		GPUTime: cmp.Or(a.GPUTime, other.GPUTime), Cost: cmp.Or(a.Cost, other.Cost),
	}
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

// KeyAllowance is the key by which a TaskSpec limits what it and all its descendants may spend, together:
// {"max_experiments": 40, "max_gpu_hours": 10, "max_cost": 50}, each optional. The original ignores it.
const KeyAllowance = "allowance"

// AllowanceHoursMax is the most GPU-hours that may be allowed.
const AllowanceHoursMax = 1e6

// allowanceJSON is an allowance as specs have it.
type allowanceJSON struct {
	Experiments *int     `json:"max_experiments,omitempty"`
	GPUHours    *float64 `json:"max_gpu_hours,omitempty"`
	Cost        *float64 `json:"max_cost,omitempty"`
}

// Allowance returns what the task and all its descendants may spend, by the spec; zero where it does not say.
func (t TaskSpec) Allowance() (a Allowance, err error) {
	for _, field := range t.Extra {
		if field.Name != KeyAllowance {
			continue
		}
		if a, err = parseAllowance(field.Value); err != nil {
			return Allowance{}, fmt.Errorf("task %q: field %s: %w", t.ID, KeyAllowance, err)
		}
	}
	return a, nil
}

func parseAllowance(text []byte) (a Allowance, err error) {
	fields, err := DecodeFields(text)
	if err != nil {
		return a, err
	}
	for _, field := range fields {
		var amount float64
		if err := json.Unmarshal(field.Value, &amount); err != nil || !(amount > 0) {
			return a, fmt.Errorf("%s: %s is not a number above 0", field.Name, field.Value)
		}
		switch Limit(field.Name) {
		case LimitExperiments:
			if a.Experiments = int(min(amount, math.MaxInt32)); float64(a.Experiments) != amount {
				return a, fmt.Errorf("%s: %s is not a whole number, or too large", field.Name, field.Value)
			}
		case LimitGPUHours:
			if amount > AllowanceHoursMax {
				return a, fmt.Errorf("%s: %s is too large; the most is %.0f", field.Name, field.Value, AllowanceHoursMax)
			}
			a.GPUTime = max(1, time.Duration(amount*float64(time.Hour)))
		case LimitCost:
			if a.Cost, err = CostOf(amount); err != nil {
				return a, fmt.Errorf("%s: %w", field.Name, err)
			}
			a.Cost = max(1, a.Cost)
		default:
			return a, fmt.Errorf("unknown limit %q; known are %s, %s, %s", field.Name, LimitExperiments, LimitGPUHours, LimitCost)
		}
	}
	return a, nil
}

// Field returns the allowance as specs have it. A limit on active time is the run's alone and left out.
func (a Allowance) Field() Field {
	var form allowanceJSON
	if a.Experiments > 0 {
		form.Experiments = &a.Experiments
	}
	if hours := a.GPUTime.Hours(); hours > 0 {
		form.GPUHours = &hours
	}
	if cost := a.Cost.Units(); cost > 0 {
		form.Cost = &cost
	}
	text, err := json.Marshal(form)
	if err != nil {
		panic(fmt.Sprintf("spec: encode an allowance: %v", err)) // numbers always have a form
	}
	return Field{Name: KeyAllowance, Value: text}
}
