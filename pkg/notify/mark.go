package notify

import (
	"encoding/json"
	"slices"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
)

// mark is how far people were told of a run: the fold of its events up to a position.
type mark struct {
	RunID string `json:"run_id"` // of the journal; a mark of another journal says nothing
	Seq   uint64 `json:"seq"`
	Index int    `json:"index"`

	Best   *float64    `json:"best,omitempty"`
	Status spec.Status `json:"status,omitempty"`
	// Stopped is the end of which people were told last: a leader that takes a stopped run over lets it stop once more.
	Stopped *stop `json:"stopped,omitempty"`
	// Said are the times without progress of which people were told.
	Said map[string]float64 `json:"said,omitempty"`
}

// stop is an end of the run: why, and how many experiments had ended.
type stop struct {
	Reason string `json:"reason,omitempty"`
	Ended  int    `json:"ended"`
}

func (m *mark) position() coordinator.Position {
	return coordinator.Position{Seq: m.Seq, Index: m.Index}
}

func (m *mark) encode() ([]byte, error) { return json.Marshal(m) }

// decodeMark reads a mark; ok is false for one of another journal, or one that cannot be read.
func decodeMark(data []byte, runID string) (m mark, ok bool) {
	if json.Unmarshal(data, &m) != nil || m.RunID != runID {
		return mark{}, false
	}
	return m, true
}

// firstMark begins where a term began: with the best of what had ended before, of which events says what ended since.
func firstMark(v *coordinator.View, events []coordinator.Event) mark {
	began := v.Beginning()
	m := mark{RunID: v.RunID(), Seq: began.Seq, Index: began.Index}
	var since []spec.TaskID
	for _, e := range events {
		if e.Change != nil && e.Change.Task.State == spec.StateCompleted {
			since = append(since, e.Change.Task.Spec.ID)
		}
	}
	slices.Sort(since)
	for _, s := range v.Scores() {
		if _, found := slices.BinarySearch(since, s.Task); !found {
			m.improve(v.Objective(), s.Value)
		}
	}
	return m
}

// improve takes a value that is the best so far, and reports whether it is.
func (m *mark) improve(o spec.Objective, value float64) bool {
	best := 0.0
	if m.Best != nil {
		best = *m.Best
	}
	if !o.Improves(value, best, m.Best != nil) {
		return false
	}
	m.Best = &value
	return true
}
