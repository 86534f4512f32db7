package main

import "math"

const (
	momentumDecay  = 0.9   // share of the last step that momentum keeps
	adamDecay      = 0.9   // β1 of Adam
	adamSquareRate = 0.001 // 1-β2 of Adam
	adamEpsilon    = 1e-8
	maxGradNorm    = 1.0 // longer gradients are scaled down to this norm
)

// optimizer moves parameters against their gradients. The state slices have one
// entry per parameter.
type optimizer struct {
	rule   string
	first  []float32 // momentum: velocity; Adam: mean gradient
	second []float32 // Adam: mean squared gradient
	steps  int
}

func newOptimizer(rule string, parameters int) *optimizer {
	return &optimizer{rule: rule, first: make([]float32, parameters), second: make([]float32, parameters)}
}

// step moves values by one step of the given rate. It scales grads down first
// if they are longer than maxGradNorm (Pascanu et al., 2013), so that one bad
// batch cannot throw the weights away.
func (o *optimizer) step(values, grads []float32, rate float64) {
	clip(grads)
	o.steps++
	switch o.rule {
	case "sgd":
		addScaled(values, -float32(rate), grads)
	case "momentum":
		o.momentum(values, grads, float32(rate))
	case "adam":
		o.adam(values, grads, rate)
	}
}

// clip scales grads to the norm maxGradNorm if theirs is greater.
func clip(grads []float32) {
	var sum float64
	for _, g := range grads {
		sum += float64(g) * float64(g)
	}
	norm := math.Sqrt(sum)
	if norm <= maxGradNorm {
		return
	}
	scale := float32(maxGradNorm / norm)
	for i := range grads {
		grads[i] *= scale
	}
}

// momentum is the heavy-ball rule (Polyak, 1964).
func (o *optimizer) momentum(values, grads []float32, rate float32) {
	grads, velocity := grads[:len(values)], o.first[:len(values)]
	for i, g := range grads {
		velocity[i] = momentumDecay*velocity[i] + g
		values[i] -= rate * velocity[i]
	}
}

// adam is the rule of Kingma and Ba, "Adam: A Method for Stochastic
// Optimization" (ICLR 2015), in the order of arithmetic its section 2 proposes.
func (o *optimizer) adam(values, grads []float32, rate float64) {
	unbias := math.Sqrt(1 - math.Pow(1-adamSquareRate, float64(o.steps)))
	step := float32(rate * unbias / (1 - math.Pow(adamDecay, float64(o.steps))))
	epsilon := float32(adamEpsilon * unbias)
	n := len(values)
	grads, mean, square := grads[:n], o.first[:n], o.second[:n]
	for i, g := range grads {
		mean[i] += (1 - adamDecay) * (g - mean[i])
		square[i] += adamSquareRate * (g*g - square[i])
		root := float32(math.Sqrt(float64(square[i])))
		values[i] -= step * mean[i] / (root + epsilon)
	}
}

// rateFactor is the share of the highest learning rate to use after the given
// share, 0 to 1, of all steps.
func rateFactor(schedule string, done float64) float64 {
	switch schedule {
	case "linear":
		return 1 - done
	case "cosine": // Loshchilov and Hutter, "SGDR" (ICLR 2017), without restarts
		return (1 + math.Cos(math.Pi*done)) / 2
	}
	return 1
}
