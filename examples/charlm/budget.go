package main

import "fmt"

// defaultBudget is the work of one experiment, in multiply-adds. It buys
// training steps and validation scores alike: a larger model takes fewer steps.
// Work is counted, not timed, so that the result is the same on a slow machine.
const defaultBudget = 1.2e10

// reports is how often, evenly over the run, validation is scored.
const reports = 5

// The rest of the arithmetic, in multiply-adds of the same duration (measured
// on one machine, once; what matters is that it is fixed).
const (
	softmaxWork    = 16.0 // one logit, once forward and once back
	activationWork = 12.0 // one hidden unit, likewise
	transposeWork  = 4.0  // one weight
)

// optimizerWork is that of one parameter in one step, clipping included.
var optimizerWork = map[string]float64{"sgd": 6, "momentum": 8, "adam": 22}

// steps is how many training steps the budget pays for, once it has paid for
// the scores of that many validation bytes.
func (m *model) steps(p params, budget float64, scored int) (int, error) {
	left := budget - float64(reports*scored)*m.forwardWork()
	steps := int(left / m.stepWork(p))
	if steps < reports {
		return 0, usageError{fmt.Errorf("budget: %g multiply-adds are too few for %d steps of this model", budget, reports)}
	}
	return steps, nil
}

// forwardWork is the work of one example, forward.
func (m *model) forwardWork() float64 {
	work := float64(m.symbols) * softmaxWork
	for i, l := range m.layers {
		work += float64(l.in * l.out)
		if i > 0 {
			work += float64(l.in) * activationWork
		}
	}
	return work
}

// stepWork is the work of one training step: the backward pass takes two
// products per weight where the forward pass takes one.
func (m *model) stepWork(p params) float64 {
	example, parameter := m.forwardWork(), optimizerWork[p.Optimizer]
	weights := 0.0
	for _, l := range m.layers {
		example += 2 * float64(l.in*l.out)
		weights += float64(l.in * l.out)
	}
	return float64(p.Batch)*example + weights*transposeWork + float64(len(m.values))*parameter
}
