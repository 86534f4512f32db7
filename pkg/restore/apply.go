package restore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

// Target is where a run is restored to.
type Target struct {
	Mirror  kv.Mirror
	Journal bus.Journal
	Objects bus.Objects
	// Begin makes the journal's stream anew, empty, with a sequence for its first record, whatever was there.
	Begin func(ctx context.Context, first uint64) error
	// PayloadMax is how many bytes of a message the server takes.
	PayloadMax int
}

// Apply carries the plan out. It may be cut off anywhere and planned and applied again: until the last step every
// coordinator goes on raising the alarm.
func (p *Plan) Apply(ctx context.Context, t Target) error {
	if err := p.writeMirror(ctx, t); err != nil {
		return fmt.Errorf("run %q: %w", p.Run, err)
	}
	if err := t.Begin(ctx, p.Record); err != nil {
		return fmt.Errorf("run %q: begin the journal anew: %w", p.Run, err)
	}
	epoch, err := bus.AppendRecord(nil, &bus.Record{
		Version: bus.RecordVersion, Kind: bus.RecordEpoch, RunID: p.RunID, Epoch: p.Epoch, Commit: p.base.Commit + 1,
		Writer: rand.Uint64() | 1, Part: 1, Parts: 1, Time: p.base.Time, Watermark: p.base.Watermark, Wall: spec.WallTimeOf(time.Now()),
	})
	if err == nil {
		err = t.Journal.Append(ctx, p.base.JournalSeq, epoch)
	}
	if err != nil {
		return fmt.Errorf("run %q: the journal's first record: %w: restore it again", p.Run, err)
	}
	return nil
}

// writeMirror writes every task, and with the last batch what the journal is to have added up to.
func (p *Plan) writeMirror(ctx context.Context, t Target) error {
	if _, err := t.Mirror.Ensure(ctx); err != nil {
		return fmt.Errorf("create the mirror: %w", err)
	}
	last, err := t.Mirror.Last(ctx)
	if err != nil {
		return fmt.Errorf("look up the mirror: %w", err)
	}
	entries := make([]kv.Entry, 0, kv.BatchMax)
	for _, task := range p.tasks {
		entry, err := p.entry(ctx, t, task)
		if err != nil {
			return err
		}
		if entries = append(entries, entry); len(entries) == kv.BatchMax-2 {
			if last, err = flush(ctx, t.Mirror, last, entries); err != nil {
				return err
			}
			entries = entries[:0]
		}
	}
	ends, err := p.ends()
	if err != nil {
		return err
	}
	_, err = flush(ctx, t.Mirror, last, append(entries, ends...))
	return err
}

func flush(ctx context.Context, m kv.Mirror, last uint64, entries []kv.Entry) (uint64, error) {
	last, err := m.Flush(ctx, last, entries)
	if errors.Is(err, bus.ErrConflict) {
		return 0, fmt.Errorf("write the mirror: %w: a coordinator writes to it: stop it", err)
	}
	if err != nil {
		return 0, fmt.Errorf("write the mirror: %w", err)
	}
	return last, nil
}

// entry is the value of a task. What no message holds goes to the object store first, as always.
func (p *Plan) entry(ctx context.Context, t Target, task *spec.Task) (e kv.Entry, err error) {
	inline := t.PayloadMax / 4
	if len(task.Spec.Payload) > inline && task.Spec.Stored.IsZero() {
		task.Spec.Stored, err = store(ctx, t.Objects, task.Spec.Payload)
	}
	if o := task.Outcome; err == nil && o != nil && len(o.Body) > inline && o.Stored.IsZero() {
		o.Stored, err = store(ctx, t.Objects, o.Body)
	}
	var value []byte
	if err == nil {
		value, err = bus.EncodeMirrorValue(&bus.MirrorValue{JournalSeq: p.base.JournalSeq, Task: task})
	}
	if err != nil {
		return kv.Entry{}, fmt.Errorf("task %q: %w", task.Spec.ID, err)
	}
	return kv.Entry{Key: kv.TaskKey(task.Spec.ID), Value: value}, nil
}

func store(ctx context.Context, objects bus.Objects, data []byte) (spec.Blob, error) {
	if err := objects.Ensure(ctx); err != nil {
		return spec.Blob{}, err
	}
	return objects.Put(ctx, data)
}

// ends are the keys that say how far the mirror reaches and where the journal goes on.
func (p *Plan) ends() ([]kv.Entry, error) {
	base := bus.MirrorBase{MirrorMeta: p.base}
	for _, task := range p.tasks {
		if task.State.Leased() {
			base.Leased = append(base.Leased, spec.Change{Task: task})
		}
	}
	from, err := bus.EncodeMirrorBase(&base)
	if err != nil {
		return nil, err
	}
	meta, err := bus.EncodeMirrorMeta(&p.base)
	if err != nil {
		return nil, err
	}
	return []kv.Entry{{Key: kv.KeyBase, Value: from}, {Key: kv.KeyMeta, Value: meta}}, nil
}
