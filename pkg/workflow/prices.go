package workflow

import (
	"math"
	"time"

	"autoresearch/pkg/spec"
)

func (r *reader) pricesKeys(p *spec.Prices) keys {
	return keys{
		"unit":    func(n *node, field string) { p.Unit = r.text(n, field) },
		"classes": func(n *node, field string) { p.Classes = r.prices(n, field) },
	}
}

func (r *reader) priceKeys(p *spec.Price) keys {
	return keys{
		"slot_hour": func(n *node, field string) { p.SlotHour = r.cost(n, field, priceMax) },
		"gpu_hour":  func(n *node, field string) { p.GPUHour = r.cost(n, field, priceMax) },
	}
}

// allowanceKeys are those of a task's: what it and all its descendants may spend.
func (r *reader) allowanceKeys(a *spec.Allowance) keys {
	return keys{
		"max_experiments": func(n *node, field string) { a.Experiments = r.integer(n, field, 1, math.MaxInt32) },
		"max_gpu_hours":   func(n *node, field string) { a.GPUTime = r.hours(n, field) },
		"max_cost":        func(n *node, field string) { a.Cost = r.allowedCost(n, field) },
	}
}

// priceMax is the most that an hour may cost.
const priceMax = 1e6

// prices reads the price of each class.
func (r *reader) prices(n *node, field string) map[string]spec.Price {
	if !r.isObject(n, field) {
		return nil
	}
	prices := make(map[string]spec.Price, len(n.fields))
	for _, f := range n.fields {
		var price spec.Price
		r.object(f.value, under(field, f.name), r.priceKeys(&price))
		prices[f.name] = price
	}
	return prices
}

// cost reads an amount from 0 to high.
func (r *reader) cost(n *node, field string, high float64) spec.Cost {
	units, ok := r.float(n, field)
	switch {
	case !ok:
	case units < 0:
		r.refuse(n.at, field, "%s is below 0", n.text)
	case units > high:
		r.refuse(n.at, field, "%s is too large; the most is %.0f", n.text, high)
	default:
		cost, err := spec.CostOf(units)
		if err != nil {
			r.refuse(n.at, field, "%v", err)
		}
		return cost
	}
	return 0
}

// allowedCost reads what may be spent, which is more than nothing.
func (r *reader) allowedCost(n *node, field string) spec.Cost {
	before := len(r.problems)
	cost := r.cost(n, field, costMax)
	if cost == 0 && len(r.problems) == before {
		r.refuse(n.at, field, "%s is too small; the least is 0.000001", n.text)
	}
	return cost
}

// costMax and hoursMax are the most that may be allowed.
const (
	costMax  = 1e12
	hoursMax = spec.AllowanceHoursMax
)

// hours reads a number of hours above 0.
func (r *reader) hours(n *node, field string) time.Duration {
	hours, ok := r.float(n, field)
	held := time.Duration(min(max(hours, 0), hoursMax) * float64(time.Hour))
	switch {
	case !ok:
	case hours > hoursMax:
		r.refuse(n.at, field, "%s is too large; the most is %.0f", n.text, hoursMax)
	case held <= 0:
		r.refuse(n.at, field, "%s is too small; it is a number of hours above 0, like 0.5", n.text)
	}
	return held
}
