package spec

import (
	"fmt"
	"math"
	"math/bits"
	"time"
)

// Spent is what attempts have used up.
type Spent struct {
	// LeaseTime is how long they held slots: engine time from the claim to the end of the lease.
	LeaseTime time.Duration
	// GPUTime is the same for each GPU that they had to themselves.
	GPUTime time.Duration
	// Cost is what the prices of their classes make of that, and what they reported themselves; Reported is the latter alone.
	Cost     Cost
	Reported Cost
}

// Plus returns the sum. What would be more than a field holds is the most that it holds.
func (s Spent) Plus(other Spent) Spent {
	return Spent{
		LeaseTime: plus(s.LeaseTime, other.LeaseTime), GPUTime: plus(s.GPUTime, other.GPUTime), Cost: plus(s.Cost, other.Cost),
		Reported: plus(s.Reported, other.Reported),
	}
}

// IsZero reports whether nothing was used.
func (s Spent) IsZero() bool { return s == Spent{} }

// plus adds two amounts, neither below 0.
func plus[T ~int64](a, b T) T {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// Cost is an amount of money in millionths of the unit in which the workflow's prices are: whole numbers, so that a sum is the
// same in any order.
type Cost int64

// CostMax is the largest amount; CostReportedMax is the most that one result may report.
const (
	CostMax         Cost = math.MaxInt64
	CostReportedMax Cost = 1e12 * costUnit
)

const costUnit = 1_000_000

// CostOf returns an amount given in units. It is refused unless it is finite, not below 0, and small enough to be held.
func CostOf(units float64) (Cost, error) {
	if !(units >= 0) || units > 1e12 {
		return 0, fmt.Errorf("%v is no cost: it is a number from 0 to 10^12", units)
	}
	return Cost(math.Round(units * costUnit)), nil
}

// Units returns the amount in units.
func (c Cost) Units() float64 { return float64(c) / costUnit }

// Over returns what a price per hour makes of a time, rounded down.
func (c Cost) Over(held time.Duration) Cost {
	if c <= 0 || held <= 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(c), uint64(held))
	return PerHours(high, low)
}

// PerHours divides prices per hour times times, a sum of 128 bits, by an hour.
func PerHours(high, low uint64) Cost {
	if high >= uint64(time.Hour) {
		return CostMax
	}
	cost, _ := bits.Div64(high, low, uint64(time.Hour))
	return Cost(min(cost, uint64(CostMax)))
}

// Prices are what a workflow says of the slots of classes. Unit is for people: a currency.
type Prices struct {
	Unit    string
	Classes map[string]Price
}

// Price is what a slot of a class costs.
type Price struct {
	// SlotHour is for each hour that an attempt holds the slot, GPUHour for each hour of each GPU that it has.
	SlotHour, GPUHour Cost
}

// PerHour returns what an attempt with so many GPUs costs in an hour.
func (p Price) PerHour(gpus int) Cost {
	perHour := p.SlotHour
	for range gpus {
		perHour = plus(perHour, p.GPUHour)
	}
	return perHour
}

// GPUsMax is the most GPUs that one attempt can be said to have.
const GPUsMax = 1000

// Spent returns what the attempt has used up by an engine time. It is nothing for one that nobody has claimed, or that an older
// version leased, which did not say since when.
func (l *Lease) Spent(by EngineTime) Spent {
	if l.Since == 0 || by <= l.Since {
		return Spent{}
	}
	held := by - l.Since
	high, gpuTime := bits.Mul64(uint64(held), uint64(l.GPUs))
	if high > 0 || gpuTime > math.MaxInt64 {
		gpuTime = math.MaxInt64
	}
	return Spent{LeaseTime: held, GPUTime: time.Duration(gpuTime), Cost: l.PerHour.Over(held)}
}
