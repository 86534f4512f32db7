package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"autoresearch/internal/host"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
)

// Cadence of the mirror: never more often than this, and, like the workdir's files, never so often that writing takes more
// than a twentieth of the time. A flush that has taken mirrorHaste hurries: a leader that follows replays what the mirror
// lacks.
const (
	mirrorInterval = 2 * time.Second
	mirrorHaste    = 20 * time.Second
)

// mirror writes the run's changes behind the journal, conflated: a task that changed five times since the last flush is
// written once. The meta that says how far the mirror reaches goes with the last batch of a flush. A bucket that is not as
// the last flush left it (deleted, purged, brought back from a backup) is written anew, whole. A batch costs the server
// some ten times what as many journaled changes do, so a flush of many rests after each.
type mirror struct {
	store  kv.Mirror
	ledger *ledger
	log    *slog.Logger
	host   host.Host
	epoch  uint64
	last   uint64 // the bucket's last sequence; the flusher's own
	join   func() // waits for run to end

	mu    sync.Mutex
	dirty dirtyTasks
	at    *committed // the newest commit
	done  position   // flushed up to here
	keys  uint64     // how many the bucket has at least, once flushed

	base    *bus.MirrorBase // where the journal is purged to; nil: nowhere
	baseDue bool            // it is not in the bucket yet
}

func newMirror(store kv.Mirror, g *ledger, epoch, last uint64, log *slog.Logger, h host.Host) *mirror {
	return &mirror{
		store: store, ledger: g, log: log, host: h, epoch: epoch, last: last, dirty: make(dirtyTasks),
	}
}

// restore marks a task of the fold that the mirror does not have yet.
func (m *mirror) restore(f *folded) { *m.dirty.of(f.task) = kvTask{seq: f.seq, task: f.task} }

// restoreBase takes the base that the bucket holds.
func (m *mirror) restoreBase(b *bus.MirrorBase) { m.base = b }

// follow implements follower.
func (m *mirror) follow(c *committed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range c.changed {
		*m.dirty.of(t) = kvTask{seq: c.position.seq, task: t}
	}
	m.at = c
}

// run flushes until ctx is done, or another leader's mark is in the mirror.
func (m *mirror) run(ctx context.Context) {
	for {
		m.host.Wait(ctx, mirrorInterval)
		if ctx.Err() != nil {
			return
		}
		err := m.flush(ctx, m.rest)
		if err == nil {
			err = m.look(ctx)
		}
		switch {
		case errors.Is(err, errLaterTerm):
			m.log.Warn("the mirror has another writer; this one stops", "err", err)
			return
		case err != nil && ctx.Err() == nil:
			m.log.Warn("flush the mirror; it is tried again", "err", err)
		}
	}
}

// look finds a bucket that changed behind the flusher's back, which no flush may notice.
func (m *mirror) look(ctx context.Context) error {
	keys, last, err := m.store.Size(ctx)
	switch {
	case errors.Is(err, bus.ErrMissing):
		return m.renew(ctx, err)
	case err != nil:
		return fmt.Errorf("look at the mirror: %w", err)
	case last != m.last || keys < m.keys:
		return m.renew(ctx, fmt.Errorf("it has %d keys up to %d, not %d up to %d", keys, last, m.keys, m.last))
	}
	return nil
}

// rest waits after a batch, in a flush that began at a time, until a twentieth of the time went into batches.
func (m *mirror) rest(ctx context.Context, flush, batch time.Time) {
	now := m.host.Now()
	if now.Sub(flush) < mirrorHaste {
		m.host.Wait(ctx, (costShare-1)*now.Sub(batch))
	}
}

// hurry is the rest of a flush that somebody waits for.
func hurry(context.Context, time.Time, time.Time) {}

// flush writes what is dirty, and rests after each batch. What could not be written stays dirty.
func (m *mirror) flush(ctx context.Context, rest func(ctx context.Context, flush, batch time.Time)) error {
	began := m.host.Now()
	dirty, at := m.take()
	if at == nil {
		return nil
	}
	var entries []kv.Entry
	for d := range dirty.all() {
		value, err := bus.EncodeMirrorValue(&bus.MirrorValue{JournalSeq: d.seq, Task: d.task})
		if err != nil {
			m.putBack(dirty, at)
			return err
		}
		entries = append(entries, kv.Entry{Key: kv.TaskKey(d.task.Spec.ID), Value: value})
		if len(entries) == kv.BatchMax-1 {
			batch := m.host.Now()
			if err := m.write(ctx, entries); err != nil {
				m.putBack(dirty, at)
				return err
			}
			entries = entries[:0]
			rest(ctx, began, batch)
		}
	}
	batch := m.host.Now()
	if err := m.writeMeta(ctx, entries, at); err != nil {
		m.putBack(dirty, at)
		return err
	}
	rest(ctx, began, batch)
	return nil
}

func (m *mirror) writeMeta(ctx context.Context, entries []kv.Entry, at *committed) error {
	p := at.position
	meta, err := bus.EncodeMirrorMeta(&bus.MirrorMeta{
		Version: bus.RecordVersion, RunID: p.runID, Epoch: p.epoch, Commit: p.commit, Writer: p.writer,
		JournalSeq: p.seq, Time: p.time, Watermark: p.watermark, Tasks: uint64(at.counts.All()), Meta: at.meta,
	})
	if err != nil {
		return err
	}
	entries, base, err := m.withBase(entries)
	if err != nil {
		return err
	}
	if err := m.write(ctx, append(entries, kv.Entry{Key: kv.KeyMeta, Value: meta})); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done, m.keys = p, uint64(at.counts.All())+1
	if m.base != nil {
		m.keys++
	}
	m.baseDue = m.baseDue && m.base != base
	return nil
}

// withBase adds the base to the entries of the last batch if it is due.
func (m *mirror) withBase(entries []kv.Entry) ([]kv.Entry, *bus.MirrorBase, error) {
	m.mu.Lock()
	base, due := m.base, m.baseDue
	m.mu.Unlock()
	if !due {
		return entries, nil, nil
	}
	value, err := bus.EncodeMirrorBase(base)
	if err != nil {
		return nil, nil, err
	}
	return append(entries, kv.Entry{Key: kv.KeyBase, Value: value}), base, nil
}

// rebase makes the next flush write where the journal is to be purged to. It refuses what the mirror does not reach yet.
func (m *mirror) rebase(b *bus.MirrorBase) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b.JournalSeq <= m.done.seq {
		m.base, m.baseDue = b, true
	}
}

// based returns the position up to which the journal may be purged: the bucket holds everything up to there, and says
// so; 0 when there is none.
func (m *mirror) based() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.base == nil || m.baseDue || m.base.JournalSeq > m.done.seq {
		return 0
	}
	return m.base.JournalSeq
}

// take moves what is dirty out; at is nil when there is nothing new.
func (m *mirror) take() (dirtyTasks, *committed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at == nil || m.at.position.seq == m.done.seq && !m.baseDue {
		return nil, nil
	}
	dirty := m.dirty
	m.dirty = make(dirtyTasks)
	return dirty, m.at
}

// putBack marks tasks dirty again, unless they have changed since.
func (m *mirror) putBack(dirty dirtyTasks, at *committed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for d := range dirty.all() {
		if newer := m.dirty.of(d.task); newer.task == nil {
			*newer = d
		}
	}
	if m.at == nil {
		m.at = at
	}
}

// write stores one batch. A batch is stored whole or not at all; after an ambiguous one it looks which. It returns
// errRenewed when the flush must start again, errLaterTerm when this writer must stop.
func (m *mirror) write(ctx context.Context, entries []kv.Entry) error {
	last, err := m.store.Flush(ctx, m.last, entries)
	switch {
	case err == nil:
		m.last = last
	case errors.Is(err, bus.ErrAmbiguous):
		landed, lookErr := kv.Landed(ctx, m.store, m.last, entries)
		switch {
		case landed:
			m.last += uint64(len(entries))
			return nil
		case errors.Is(lookErr, bus.ErrMissing):
			return m.renew(ctx, lookErr)
		}
		return errors.Join(err, lookErr)
	case errors.Is(err, bus.ErrConflict), errors.Is(err, bus.ErrMissing):
		return m.renew(ctx, err)
	case errors.Is(err, bus.ErrRefused):
		_, adaptErr := m.store.Ensure(ctx) // somebody may have changed its configuration
		return errors.Join(err, adaptErr)
	}
	return err
}

// What a write comes to when the bucket is not as the last one left it.
var (
	errLaterTerm = errors.New("the mirror is that of a later term")
	errRenewed   = errors.New("the mirror was not as it was left; it is written anew")
)

// renew makes the bucket again if it is gone and marks every task dirty, unless a later term has written to it. It never
// asks why: a batch of ours that landed late may lie over newer values in a bucket that was made anew meanwhile. What
// others write after it looked makes the next batch a conflict again.
func (m *mirror) renew(ctx context.Context, cause error) error {
	if _, err := m.store.Ensure(ctx); err != nil {
		return errors.Join(cause, err)
	}
	last, err := m.store.Last(ctx)
	if err != nil {
		return errors.Join(cause, err)
	}
	value, err := m.store.Get(ctx, kv.KeyMeta)
	if err != nil && !errors.Is(err, bus.ErrMissing) {
		return fmt.Errorf("look up the mirror's meta: %w", err)
	}
	meta, damaged := bus.DecodeMirrorMeta(value)
	if damaged == nil && meta.Epoch > m.epoch {
		return fmt.Errorf("%w: epoch %d, not %d: %w", errLaterTerm, meta.Epoch, m.epoch, cause)
	}
	m.last = last
	m.markAll()
	return fmt.Errorf("%w: %w", errRenewed, cause)
}

// markAll makes every task dirty, and the meta too.
func (m *mirror) markAll() {
	all := m.ledger.look()
	tasks := slices.Collect(all.all())
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range tasks {
		if d := m.dirty.of(t); d.task == nil || d.seq < all.at.seq {
			*d = kvTask{seq: all.at.seq, task: t}
		}
	}
	m.done, m.baseDue = position{}, m.base != nil
}

// reach returns how far the mirror has followed.
func (m *mirror) reach() position {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.done
}
