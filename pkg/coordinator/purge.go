package coordinator

import (
	"context"
	"errors"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// PurgeJournalAfterDefault is how old a record is at least before it is purged: whoever reads the journal, or looks for a
// record of its own after an append without an answer, has so long.
const PurgeJournalAfterDefault = 10 * time.Minute

// bases remembers what the journal added up to at two moments, of which the older is ripe once it is old enough.
type bases struct {
	ripe, next *bus.MirrorBase
	taken      time.Time // when next was
}

// turn returns the base that is old enough, nil when none is, and takes a new one when that is due.
func (b *bases) turn(now time.Time, after time.Duration, take func() *bus.MirrorBase) *bus.MirrorBase {
	if b.next == nil || now.Sub(b.taken) >= after {
		b.ripe, b.next, b.taken = b.next, take(), now
	}
	return b.ripe
}

// purgeJournal removes from a journal that is larger than it should be what is old enough and in the mirror. The order is
// everything: the mirror reaches beyond a position, then it says what the journal added up to there, and only then what
// was before it goes. The record at the position stays, so that a journal is never empty.
func (t *term) purgeJournal(ctx context.Context) {
	if t.c.o.PurgeJournalAbove <= 0 {
		return
	}
	base := t.bases.turn(t.c.host.Now(), t.c.o.PurgeJournalAfter, t.ledger.base)
	journal := t.leader.ports.journal
	b, err := journal.Bounds(ctx)
	if err == nil && t.mirror.based() > b.First {
		err = t.purgeBelow(ctx, t.mirror.based())
	} else if err == nil && b.Bytes > uint64(t.c.o.PurgeJournalAbove) && base != nil && base.JournalSeq > b.First {
		t.mirror.rebase(base)
	}
	if err != nil && !errors.Is(err, bus.ErrMissing) && ctx.Err() == nil {
		t.leader.log.Warn("purge the journal", "err", err)
	}
}

func (t *term) purgeBelow(ctx context.Context, seq uint64) error {
	t.leader.log.Info("purging the journal: the mirror has what was before", "below", seq)
	return t.leader.ports.journal.Purge(ctx, seq)
}

// base returns what the journal adds up to at the newest commit.
func (g *ledger) base() *bus.MirrorBase {
	g.mu.RLock()
	tasks, last := g.picture(), g.last
	g.mu.RUnlock()
	p := last.position
	b := &bus.MirrorBase{MirrorMeta: bus.MirrorMeta{
		Version: bus.RecordVersion, RunID: p.runID, Epoch: p.epoch, Commit: p.commit, Writer: p.writer, JournalSeq: p.seq,
		Time: p.time, Watermark: p.watermark, Tasks: uint64(len(tasks.tasks)), Meta: last.meta,
	}}
	for _, t := range tasks.tasks {
		if t != nil && t.State.Leased() { // what is packed has no lease
			b.Leased = append(b.Leased, spec.Change{Task: t})
		}
	}
	return b
}
