package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// fate is what became of one result.
type fate int

const (
	applied    fate = iota // it decided its task
	counted                // a failure or a preemption: another attempt followed
	superseded             // another one had decided, or holds the task
	awaited                // it would count, and has not arrived
	late                   // the same, of a success whose attempt does not hold the task any more
)

// fateOf says what became of the result of an attempt, by the fold.
func (t *task) fateOf(ref spec.AttemptRef, success bool) fate {
	switch {
	case t.order != 0 && t.claim == ref.Claim:
		return applied
	case !success && ref.Attempt <= t.closed:
		return counted
	case t.order != 0:
		return superseded
	case !success && t.changedHands(ref):
		return superseded
	case t.lastHeld(ref):
		return awaited
	case success:
		return late
	}
	return superseded
}

// changedHands reports whether another claim held the attempt before this one: a failure of this one may have come then.
func (t *task) changedHands(ref spec.AttemptRef) bool {
	return slices.ContainsFunc(t.past, func(h holding) bool { return h.attempt == ref.Attempt && h.claim != ref.Claim })
}

// lastHeld reports whether a failure of the attempt would count now.
func (t *task) lastHeld(ref spec.AttemptRef) bool {
	l := t.lease
	if l.attempt != ref.Attempt || ref.Attempt <= t.closed {
		return false
	}
	return l.claim == ref.Claim || l.claim == 0 && t.state != spec.StateRunning
}

func (f *Fold) countFate(of fate) {
	n := &f.counts
	switch of {
	case applied:
		n.Applied++
	case counted:
		n.Counted++
	case superseded:
		n.Superseded++
	case awaited, late:
		n.Open++
	}
}

// ResultsFunc calls fn for every message that a results stream holds and returns when the stream was created: that is its
// identity. It returns bus.ErrMissing when there is none.
type ResultsFunc func(ctx context.Context, fn func(seq uint64, data []byte) error) (created time.Time, err error)

// results is what a results stream holds, and how often what was rejected for which rule.
type results struct {
	id       uint64
	reports  []arrived
	rejected map[string]int
}

// arrived is one result and its position in the stream.
type arrived struct {
	seq uint64
	spec.AttemptRef
	success bool
	far     bool // its body lies in the object store: it may have been asked for again
	plain   bool // it is a small success without children, which nothing can be wrong with
}

func readResults(ctx context.Context, source ResultsFunc, rejects bus.Rejects) (*results, error) {
	r := &results{rejected: make(map[string]int)}
	if rejects != nil {
		err := rejects.List(ctx, func(_ uint64, rejected *bus.Rejected) error {
			r.rejected[string(rejected.Rule)]++
			return nil
		})
		if err != nil && !errors.Is(err, bus.ErrMissing) {
			return nil, fmt.Errorf("read what was rejected: %w", err)
		}
	}
	if source == nil {
		return r, nil
	}
	created, err := source(ctx, func(seq uint64, data []byte) error {
		m, err := bus.DecodeResultMessage(data)
		if err != nil {
			return nil //nolint:nilerr // a message that cannot be read was rejected as that
		}
		for i := range m.Reports {
			r.reports = append(r.reports, arrivedOf(seq, &m.Reports[i]))
		}
		return nil
	})
	if err != nil && !errors.Is(err, bus.ErrMissing) {
		return nil, fmt.Errorf("read the results stream: %w", err)
	}
	r.id = uint64(created.UnixNano())
	return r, nil
}

func arrivedOf(seq uint64, report *bus.Report) arrived {
	a := arrived{
		seq: seq, AttemptRef: report.AttemptRef, success: report.Failure == nil && !report.Preempted, far: !report.Stored.IsZero(),
	}
	if a.success && !a.far && len(report.Body) < plainMax {
		result, err := bus.DecodeResult(report.Body)
		a.plain = err == nil && len(result.Children) == 0
	}
	return a
}

// plainMax is a size, in bytes, that no limit refuses.
const plainMax = 4 << 10

// judgeResults holds that whatever the watermark has passed is in the journal. Results that a worker's log told of are
// not counted again.
func (f *Fold) judgeResults(r *results, e *executions) {
	f.counts.Rejected = r.rejected
	known := make(map[spec.ClaimID]int)
	for _, x := range e.list {
		known[x.Claim] = 1
	}
	for i := range r.reports {
		report := &r.reports[i]
		if f.refused(report) {
			continue
		}
		of := f.tasks[report.Task].fateOf(report.AttemptRef, report.success)
		passed := r.id == f.meta.ResultsID && report.seq <= f.watermark && !report.far
		if passed && (of == awaited || of == late && report.plain) {
			f.violate(Violation{Invariant: NoSilentDrop, Task: report.Task, Attempt: report.Attempt},
				"the watermark has passed its result (message %d of the results stream), and the journal does not have it", report.seq)
		}
		if known[report.Claim]++; known[report.Claim] == 1 {
			f.counts.Reports++
			f.countFate(of)
		} else if known[report.Claim] > 2 {
			f.counts.Duplicates++
		}
	}
}

// refused reports whether a result can count for nothing, whatever the run is like.
func (f *Fold) refused(r *arrived) bool {
	t, known := f.tasks[r.Task]
	return !known || r.Run != f.run || r.Attempt == 0 || r.Attempt > t.attempt || r.Claim == 0
}
