package verify

import (
	"context"
	"errors"
	"fmt"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// begin makes the fold what the journal's purged records added up to, if they were purged: run-level state, numbers and
// leases from the base, tasks from the mirror. A task that has changed since has a newer value there. What it was at the
// base is then known only of its spec, and of its outcome if it had one: it is vague until the journal, or the position
// of that value, tells.
func (f *Fold) begin(ctx context.Context, journal bus.Journal, m *mirror) error {
	bounds, err := journal.Bounds(ctx)
	switch {
	case errors.Is(err, bus.ErrMissing):
		return nil
	case err != nil:
		return fmt.Errorf("look up the journal: %w", err)
	case bounds.First <= 1 || m.base == nil:
		return nil
	}
	b := m.base
	f.runID, f.epoch, f.writer, f.commit = b.RunID, b.Epoch, b.Writer, b.Commit
	f.seq, f.commitSeq, f.time, f.watermark, f.meta = b.JournalSeq, b.JournalSeq, b.Time, b.Watermark, b.Meta
	f.arrival, f.order = max(1, b.Meta.NextSeq)-1, max(1, b.Meta.NextOrder)-1
	f.counts.Records, f.counts.Purged = b.JournalSeq, min(bounds.First-1, b.JournalSeq)
	f.counts.Commits, f.counts.Epochs = b.Commit, b.Epoch
	f.beginTasks(m)
	return nil
}

func (f *Fold) beginTasks(m *mirror) {
	leased := make(map[spec.TaskID]spec.Change, len(m.base.Leased))
	for _, change := range m.base.Leased {
		leased[change.Task.Spec.ID] = change
	}
	for _, v := range m.values {
		if v.task.Seq > f.arrival {
			continue // born since
		}
		t := &task{id: v.id}
		f.tasks[t.id] = t
		change, holds := leased[t.id]
		switch {
		case v.seq <= f.seq:
			t.whole(v)
		case holds:
			t.take(f.seq, spec.Change{Task: v.task, Parts: spec.PartSpec})
			t.take(f.seq, change)
		default:
			f.blur(t, v.task)
			continue
		}
		f.known(t)
	}
	if uint64(len(f.tasks)) != m.base.Tasks {
		f.violate(Violation{Invariant: NothingLost, Record: f.seq, File: "mirror"},
			"of the %d tasks that there were up to here it holds %d, and the journal was purged", m.base.Tasks, len(f.tasks))
	}
}

// blur takes what is certain of a task that has changed since the base.
func (f *Fold) blur(t *task, now *spec.Task) {
	parts := spec.PartSpec
	if now.Outcome != nil && now.Outcome.Order <= f.order {
		parts |= spec.PartOutcome
	}
	t.take(f.seq, spec.Change{Task: now, Parts: parts})
	t.state, t.lease, t.vague = 0, lease{}, true
	f.vague++
}

// known counts a task as it was at the base, or as it turned out to have been.
func (f *Fold) known(t *task) {
	t.children = nil // they were judged before
	f.place(t)
	if !t.state.Terminal() {
		f.live++
	}
	f.counts.Attempts += uint64(t.attempt)
	f.counts.Lapses += uint64(t.lost)
	f.counts.Preempted += uint64(t.preempted)
	f.counts.Retries += uint64(t.failures)
	f.boots[t.lease.worker] = max(f.boots[t.lease.worker], t.lease.boot)
}

// learn takes a vague task as the mirror has it: at the position of that value it had not changed.
func (f *Fold) learn(t *task, v mirrored) {
	t.whole(v)
	t.vague = false
	f.vague--
	f.known(t)
}

// whole takes a task as the mirror has it.
func (t *task) whole(v mirrored) {
	t.take(v.seq, spec.Change{Task: v.task, Parts: spec.PartAll})
	t.sums = v.sums
}

// appear takes the first change of a vague task since the base. What it was before is not judged.
func (c *commit) appear(before, after *task) {
	f := c.fold
	after.vague = false
	f.vague--
	f.live++
	f.counts.Attempts += uint64(after.attempt)
	f.counts.Lapses += uint64(after.lost)
	f.counts.Preempted += uint64(after.preempted)
	f.counts.Retries += uint64(after.failures)
	if before.order == 0 && after.order != 0 {
		c.outcomes = append(c.outcomes, after)
	}
}
