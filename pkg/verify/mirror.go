package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

// mirror is what the key-value mirror of a run says.
type mirror struct {
	there  bool
	meta   *bus.MirrorMeta // nil: none
	base   *bus.MirrorBase // nil: none
	values []mirrored      // in the order of their journal positions
}

// mirrored is one value: a task as of a journal position.
type mirrored struct {
	seq  uint64
	id   spec.TaskID
	sums sums
	task *spec.Task // kept only where there is a base
}

// readMirror reads the whole mirror. A key that cannot be read is a violation, for which nobody else can be asked.
func readMirror(ctx context.Context, source kv.Mirror, found *findings) (*mirror, error) {
	m := &mirror{there: true}
	if err := m.readBase(ctx, source, found); err != nil {
		return nil, err
	}
	_, err := source.Load(ctx, func(key string, value []byte) error {
		if err := m.take(key, value); err != nil {
			found.violate(Violation{Invariant: OneTruth, File: "mirror key " + key}, "%v", err)
		}
		return nil
	})
	if errors.Is(err, bus.ErrMissing) {
		return &mirror{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the mirror: %w", err)
	}
	slices.SortFunc(m.values, func(a, b mirrored) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.id, b.id))
	})
	return m, nil
}

// readBase reads what the journal added up to where it was purged. It is read before the values: none of them is older.
func (m *mirror) readBase(ctx context.Context, source kv.Mirror, found *findings) error {
	value, err := source.Get(ctx, kv.KeyBase)
	if errors.Is(err, bus.ErrMissing) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the mirror: %w", err)
	}
	if m.base, err = bus.DecodeMirrorBase(value); err != nil {
		found.violate(Violation{Invariant: OneTruth, File: "mirror key " + kv.KeyBase}, "%v", err)
	}
	return nil
}

func (m *mirror) take(key string, value []byte) (err error) {
	switch key {
	case kv.KeyMeta:
		m.meta, err = bus.DecodeMirrorMeta(value)
		return err
	case kv.KeyBase:
		return nil
	}
	v, err := bus.DecodeMirrorValue(value)
	if err != nil {
		return err
	}
	if want := kv.TaskKey(v.Task.Spec.ID); key != want {
		return fmt.Errorf("it holds task %q, whose key is %s", v.Task.Spec.ID, want)
	}
	one := mirrored{seq: v.JournalSeq, id: v.Task.Spec.ID, sums: sumsOf(v.Task)}
	if m.base != nil {
		one.task = v.Task
	}
	m.values = append(m.values, one)
	return nil
}

// stops returns what is to be compared at which journal position.
func (m *mirror) stops() []stop {
	var stops []stop
	for from := 0; from < len(m.values); {
		to := from
		for to < len(m.values) && m.values[to].seq == m.values[from].seq {
			to++
		}
		same := m.values[from:to]
		stops = append(stops, stop{seq: same[0].seq, what: "the mirror", look: func(f *Fold) { m.compare(f, same) }})
		from = to
	}
	if m.meta != nil && m.meta.JournalSeq > 0 {
		stops = append(stops, stop{seq: m.meta.JournalSeq, what: "the mirror", look: m.complete})
	}
	return stops
}

// compare holds values against the fold at their position.
func (m *mirror) compare(f *Fold, values []mirrored) {
	for _, v := range values {
		t, known := f.tasks[v.id]
		at := Violation{Invariant: OneTruth, Task: v.id, Record: v.seq, File: "mirror"}
		switch {
		case !known:
			f.violate(at, "the journal does not have it")
		case t.vague: // it has not changed since the base
			f.learn(t, v)
		case t.seq > v.seq: // the fold begins later: complete tells whether the value is too old
		case t.sums.differs(v.sums) != "":
			f.violate(at, "%s is not what the journal says at this position", t.sums.differs(v.sums))
		}
	}
}

// complete holds the meta against the fold at its position, and that every task is in the mirror as it was then, or newer.
func (m *mirror) complete(f *Fold) {
	m.compareMeta(f)
	newest := make(map[spec.TaskID]uint64, len(m.values))
	for _, v := range m.values {
		newest[v.id] = max(newest[v.id], v.seq)
	}
	for _, t := range f.sorted() {
		seq, there := newest[t.id]
		at := Violation{Invariant: OneTruth, Task: t.id, Record: m.meta.JournalSeq, File: "mirror"}
		switch {
		case !there:
			f.violate(at, "it is missing, and the mirror says that it has everything up to here")
		case seq < t.seq:
			f.violate(at, "it is as of record %d; record %d changed it, and the mirror says that it has everything up to here", seq, t.seq)
		}
	}
}

func (m *mirror) compareMeta(f *Fold) {
	at := Violation{Invariant: OneTruth, Record: m.meta.JournalSeq, Commit: m.meta.Commit, File: "mirror key " + kv.KeyMeta}
	switch {
	case m.meta.RunID != f.runID:
		f.violate(at, "it is of run %s, the journal of run %s", m.meta.RunID, f.runID)
	case f.seq != m.meta.JournalSeq:
		// The fold begins later: what was then is gone.
	case m.meta.Commit != f.commit:
		f.violate(at, "it says commit %d, the journal commit %d", m.meta.Commit, f.commit)
	case m.meta.Watermark != f.watermark:
		f.violate(at, "it says watermark %d, the journal %d: results would be skipped, or taken twice", m.meta.Watermark, f.watermark)
	case m.meta.Tasks != 0 && m.meta.Tasks != uint64(len(f.tasks)):
		f.violate(at, "it says %d tasks, the journal %d", m.meta.Tasks, len(f.tasks))
	case metaSum(m.meta.Meta) != metaSum(f.meta):
		f.violate(at, "the run's state is not what the journal says: %+v, not %+v", m.meta.Meta, f.meta)
	}
}

// metaSum is a checksum of the run-level state, but for the numbers to come, which not every record tells.
func metaSum(m spec.Meta) uint64 {
	m.NextSeq, m.NextOrder = 0, 0
	form, err := bus.EncodeMirrorMeta(&bus.MirrorMeta{Meta: m})
	if err != nil {
		return 0 // it has no error to give
	}
	return checksum(form)
}
