package coordinator

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// fold is the state that a journal adds up to. It applies the journal's rules and refuses what breaks them: a record of
// an older epoch, a commit number that is not the next, a part out of place.
type fold struct {
	runID     string
	epoch     uint64 // 0: not known, before the first record after the mirror
	commit    uint64 // the last commit applied
	writer    uint64 // who wrote the last record
	time      spec.EngineTime
	watermark uint64
	meta      spec.Meta
	seq       uint64          // the last record read
	mirrored  uint64          // the mirror has everything up to this record
	base      *bus.MirrorBase // where the journal was purged to; nil: it was not

	tasks map[spec.TaskID]*folded
	order []*folded     // tasks in order of arrival; nil when it must be found anew
	parts []*bus.Record // an incomplete series
}

// folded is a task with the journal position its state was taken at.
type folded struct {
	seq  uint64
	task *spec.Task
}

// newFold returns a fold for about so many tasks.
func newFold(tasks int) *fold { return &fold{tasks: make(map[spec.TaskID]*folded, tasks)} }

// startAt begins the fold where the mirror ends.
func (f *fold) startAt(m *bus.MirrorMeta) {
	f.runID, f.epoch, f.commit, f.writer = m.RunID, m.Epoch, m.Commit, m.Writer
	f.time, f.watermark, f.meta, f.seq = m.Time, m.Watermark, m.Meta, m.JournalSeq
	f.mirrored = m.JournalSeq
}

// put takes one value of the mirror.
func (f *fold) put(v *bus.MirrorValue) {
	f.tasks[v.Task.Spec.ID] = &folded{seq: v.JournalSeq, task: v.Task}
	f.order = nil
}

// read applies the record at seq.
func (f *fold) read(seq uint64, r *bus.Record) error {
	if err := f.check(seq, r); err != nil {
		return err
	}
	f.runID, f.epoch, f.writer, f.seq = r.RunID, r.Epoch, r.Writer, seq
	if r.Kind == bus.RecordEpoch {
		f.parts = nil // whoever wrote the beginning of a series was fenced before its end
	}
	if r.Part < r.Parts {
		f.parts = append(f.parts, r)
		return nil
	}
	series := slices.Concat(f.parts, []*bus.Record{r})
	f.parts = nil
	for _, part := range series {
		if err := f.apply(seq, part); err != nil {
			return err
		}
	}
	f.commit, f.time, f.watermark = r.Commit, r.Time, r.Watermark
	return nil
}

func (f *fold) check(seq uint64, r *bus.Record) error {
	switch {
	case f.seq != 0 && seq != f.seq+1:
		return &spec.FoldError{Seq: seq, Reason: fmt.Sprintf("it follows record %d: %v", f.seq, bus.ErrGap)}
	case f.runID != "" && r.RunID != f.runID:
		return &spec.FoldError{Seq: seq, Reason: fmt.Sprintf("it is of run %s, not %s", r.RunID, f.runID)}
	case r.Epoch < f.epoch:
		return &spec.FoldError{Seq: seq, Reason: fmt.Sprintf("epoch %d after epoch %d", r.Epoch, f.epoch)}
	case r.Kind == bus.RecordEpoch && r.Epoch == f.epoch && f.seq != 0:
		return &spec.FoldError{Seq: seq, Reason: fmt.Sprintf("a second epoch record of epoch %d", r.Epoch)}
	case r.Epoch > f.epoch && r.Kind != bus.RecordEpoch && (f.epoch != 0 || f.seq == 0):
		return &spec.FoldError{Seq: seq, Reason: fmt.Sprintf("epoch %d began without its epoch record", r.Epoch)}
	case r.Commit != f.commit+1:
		return &spec.FoldError{Seq: seq, Reason: fmt.Sprintf("commit %d after commit %d", r.Commit, f.commit)}
	case r.Kind != bus.RecordEpoch && r.Part != len(f.parts)+1:
		return &spec.FoldError{Seq: seq, Reason: fmt.Sprintf("part %d of %d where part %d was due", r.Part, r.Parts, len(f.parts)+1)}
	}
	return nil
}

func (f *fold) apply(seq uint64, r *bus.Record) error {
	if r.Meta != nil {
		f.meta = *r.Meta
	}
	for _, c := range r.Changes {
		if err := f.change(seq, c); err != nil {
			return err
		}
	}
	return nil
}

// inOrder returns the tasks in order of arrival.
func (f *fold) inOrder() []*folded {
	if f.order == nil {
		f.order = f.placed()
	}
	if f.order == nil {
		f.order = slices.SortedFunc(maps.Values(f.tasks), func(a, b *folded) int { return cmp.Compare(a.task.Seq, b.task.Seq) })
	}
	return f.order
}

// placed returns the tasks by their numbers, which are those of their arrival; nil where one has no place of its own, as only
// damage or a restore leaves it.
func (f *fold) placed() []*folded {
	order := make([]*folded, len(f.tasks))
	for _, folded := range f.tasks {
		place := folded.task.Seq - 1
		if place >= uint64(len(order)) || order[place] != nil {
			return nil
		}
		order[place] = folded
	}
	return order
}

// change applies one change, unless the mirror was ahead of it.
func (f *fold) change(seq uint64, c spec.Change) error {
	known := f.tasks[c.Task.Spec.ID]
	var base *spec.Task
	if known != nil {
		if known.seq >= seq {
			return nil
		}
		base = known.task
	}
	task, err := c.Apply(base)
	if err != nil {
		return fmt.Errorf("journal record %d: %w", seq, err)
	}
	f.tasks[c.Task.Spec.ID] = &folded{seq: seq, task: task}
	f.order = nil
	return nil
}
