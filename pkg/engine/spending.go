package engine

import (
	"math/bits"

	"autoresearch/pkg/spec"
)

// Spending is what tasks have spent, and spend as time goes on: by leases that have ended, and by those that are held. Of
// these it keeps sums instead of a list, so that what was spent by any time costs the same to tell however many they are. What
// it says is what the leases' own records add up to; the cost of those that are held is rounded down once, and not for each.
// The zero value is of no task; a copy stays as it was.
type Spending struct {
	// Experiments is how many tasks of counted kinds were dispatched for the first time.
	Experiments int

	settled          spec.Spent // by leases that have ended, and as reported
	slots, gpus, fee flow       // of leases that are held, in slots, GPUs and prices per hour
}

// By returns what was spent by an engine time, which must not be before the last turn's.
func (s *Spending) By(now spec.EngineTime) spec.Spent {
	high, low := s.fee.by(now)
	return s.settled.Plus(spec.Spent{LeaseTime: s.slots.time(now), GPUTime: s.gpus.time(now), Cost: spec.PerHours(high, low)})
}

// Used returns how much of a limit is spent, in the measure of Allowance.Of.
func (s *Spending) Used(l spec.Limit, now spec.EngineTime) int64 {
	switch l {
	case spec.LimitExperiments:
		return int64(s.Experiments)
	case spec.LimitDuration:
		return int64(now)
	case spec.LimitGPUHours:
		return int64(s.By(now).GPUTime)
	case spec.LimitCost:
		return int64(s.By(now).Cost)
	}
	return 0
}

// Reached returns a limit of an allowance of which all is spent, so that a task may not begin; "" when there is none. That of
// experiments is for the first attempts of experiments only.
func (s *Spending) Reached(allowed spec.Allowance, first bool, now spec.EngineTime) spec.Limit {
	for _, l := range spec.LimitsAll {
		amount := allowed.Of(l)
		if amount > 0 && (first || l != spec.LimitExperiments) && s.Used(l, now) >= amount {
			return l
		}
	}
	return ""
}

// hold takes a lease that was claimed; release gives it up again.
func (s *Spending) hold(l *spec.Lease) {
	if l.Since > 0 {
		s.slots.begin(1, l.Since)
		s.gpus.begin(uint64(l.GPUs), l.Since)
		s.fee.begin(uint64(l.PerHour), l.Since)
	}
}

func (s *Spending) release(l *spec.Lease) {
	if l.Since > 0 {
		s.slots.end(1, l.Since)
		s.gpus.end(uint64(l.GPUs), l.Since)
		s.fee.end(uint64(l.PerHour), l.Since)
	}
}

// flow is a sum over leases of what each spends in a time, its rate, and of rate times the engine time since when it does,
// which takes 128 bits.
type flow struct{ rate, high, low uint64 }

func (f *flow) begin(rate uint64, since spec.EngineTime) {
	f.rate += rate
	high, low := bits.Mul64(rate, uint64(since))
	var carry uint64
	f.low, carry = bits.Add64(f.low, low, 0)
	f.high, _ = bits.Add64(f.high, high, carry)
}

func (f *flow) end(rate uint64, since spec.EngineTime) {
	f.rate -= rate
	high, low := bits.Mul64(rate, uint64(since))
	var borrow uint64
	f.low, borrow = bits.Sub64(f.low, low, 0)
	f.high, _ = bits.Sub64(f.high, high, borrow)
}

// by returns the sum over all leases of rate times the time for which each was held.
func (f *flow) by(now spec.EngineTime) (high, low uint64) {
	high, low = bits.Mul64(f.rate, uint64(now))
	low, borrow := bits.Sub64(low, f.low, 0)
	if high, borrow = bits.Sub64(high, f.high, borrow); borrow > 0 {
		return 0, 0 // a run's first leases begin at 1 ns, which may still be to come
	}
	return high, low
}

// time is by of a flow whose rates are counts.
func (f *flow) time(now spec.EngineTime) spec.EngineTime {
	high, low := f.by(now)
	if high > 0 || low > uint64(maxTime) {
		return maxTime
	}
	return spec.EngineTime(low)
}

// reaches returns when by will be as much as this, if every lease is held until then; maxTime when that is never.
func (f *flow) reaches(high, low uint64) spec.EngineTime {
	if f.rate == 0 {
		return maxTime
	}
	low, carry := bits.Add64(low, f.low, 0)
	high, _ = bits.Add64(high, f.high, carry)
	if high >= f.rate {
		return maxTime
	}
	at, rest := bits.Div64(high, low, f.rate)
	if rest > 0 {
		at++
	}
	return spec.EngineTime(min(at, uint64(maxTime)))
}

// maxTime is later than any time.
const maxTime spec.EngineTime = 1<<63 - 1
