// Package report makes the files of a workdir that people look at: report.md, summary.md, master_table.tsv,
// progress.png and hypothesis_tree.png.
//
// Everything is made from one Search, which is read from the durable files of the workdir (Load) or filled by the
// caller. The same Search gives the same bytes: no file holds the time it was made. Nothing here fails on odd content:
// a parent that is missing makes a root, a circle of parents is cut, a metric that is not a finite number is shown but
// is never the best, and text of any script or length is shortened and cleaned before it is shown.
package report

import "autoresearch/pkg/spec"

// Search is what a report is made from.
type Search struct {
	// Run names the run, Name its workflow; either may be empty.
	Run  string
	Name string
	// Objective names the metric that the search improves; an empty Metric means that none was declared, and then there
	// is no best experiment.
	Objective spec.Objective
	// Status is the run's status as its snapshot says it.
	Status spec.Status
	// StopReason says which stop rule ended the run; empty when none did.
	StopReason string
	// MaxConcurrency is the budget; 0 when unknown.
	MaxConcurrency int
	// Nodes are the experiments in order of arrival. Result is {"metrics": {...}, "output": {...}}; Extra may hold kind
	// (text), attempt (integer), worker, host (text), ended_at (Unix seconds) and cause (text).
	Nodes []spec.HypothesisNode
}

// Best returns the completed experiment with the best value of the objective, the earliest to end among equals. The
// node points into s.Nodes. ok is false when no objective is declared or no completed experiment has a finite value.
func Best(s Search) (node *spec.HypothesisNode, value float64, ok bool) {
	v := look(s)
	if v.best < 0 {
		return nil, 0, false
	}
	return v.node(v.best), v.facts[v.best].value, true
}
