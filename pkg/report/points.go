package report

import (
	"math"

	"autoresearch/pkg/spec"
)

// Point is one completed experiment as it ended.
type Point struct {
	// Node points into Search.Nodes.
	Node *spec.HypothesisNode
	// Order is the experiment's place, from 1, among all that ended, failed ones included.
	Order int
	// Value is the objective's metric: NaN when the experiment has none, and as it is when it is infinite.
	Value float64
	// Best is the best finite value so far, this one included; NaN before the first.
	Best float64
	// Improved says that Value beat the best of all that ended before. The first finite value beats nothing.
	Improved bool
}

// Improvement is one step of the running best.
type Improvement struct {
	Point
	// Gain is how much better Value is than the best before it: positive whichever way the objective goes.
	Gain float64
}

// Progress returns the completed experiments in order of completion. Failed ones are left out, but count in Order.
func Progress(s Search) []Point { return look(s).points }

// Improvements returns the steps of the running best in order of completion. The first finite value is where the
// search starts and no step.
func Improvements(s Search) []Improvement { return look(s).improvements() }

// improvements picks the improved points and says by how much each was better.
func (v *survey) improvements() []Improvement {
	var steps []Improvement
	before := math.NaN()
	for _, p := range v.points {
		if p.Improved {
			steps = append(steps, Improvement{Point: p, Gain: math.Abs(p.Value - before)})
		}
		before = p.Best
	}
	return steps
}
