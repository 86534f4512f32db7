package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"autoresearch/internal/host"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

// Cadence of the mirror: a flush this often, or as soon as so many tasks are dirty.
const (
	mirrorInterval = 2 * time.Second
	mirrorDirtyMax = 20_000
)

// mirror writes the run's changes behind the journal, conflated: a task that changed five times since the last flush is
// written once. The meta that says how far the mirror reaches goes with the last batch of a flush.
type mirror struct {
	store kv.Mirror
	log   *slog.Logger
	host  host.Host
	epoch uint64
	last  uint64 // the bucket's last sequence; the flusher's own

	mu     sync.Mutex
	dirty  map[spec.TaskID]kvTask
	at     *committed    // the newest commit
	urgent chan struct{} // signal: many are dirty
	done   position      // flushed up to here
}

type kvTask struct {
	seq  uint64
	task *spec.Task
}

func newMirror(store kv.Mirror, epoch, last uint64, log *slog.Logger, h host.Host) *mirror {
	return &mirror{
		store: store, log: log, host: h, epoch: epoch, last: last, dirty: make(map[spec.TaskID]kvTask), urgent: make(chan struct{}, 1),
	}
}

// restore marks a task of the fold that the mirror does not have yet.
func (m *mirror) restore(f *folded) { m.dirty[f.task.Spec.ID] = kvTask{seq: f.seq, task: f.task} }

// follow implements follower.
func (m *mirror) follow(c *committed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range c.changed {
		m.dirty[t.Spec.ID] = kvTask{seq: c.position.seq, task: t}
	}
	m.at = c
	if len(m.dirty) >= mirrorDirtyMax {
		select {
		case m.urgent <- struct{}{}:
		default:
		}
	}
}

// run flushes until ctx is done, or another leader's mark is in the mirror.
func (m *mirror) run(ctx context.Context) {
	for {
		m.host.Wait(ctx, mirrorInterval, m.urgent)
		if ctx.Err() != nil {
			return
		}
		if err := m.flush(ctx); errors.Is(err, bus.ErrConflict) {
			m.log.Warn("the mirror has another writer; this one stops", "err", err)
			return
		} else if err != nil && ctx.Err() == nil {
			m.log.Warn("flush the mirror; it is tried again", "err", err)
		}
	}
}

// flush writes what is dirty. What could not be written stays dirty.
func (m *mirror) flush(ctx context.Context) error {
	dirty, at := m.take()
	if at == nil {
		return nil
	}
	entries := make([]kv.Entry, 0, min(len(dirty)+1, kv.BatchMax))
	for _, d := range dirty {
		value, err := bus.EncodeMirrorValue(&bus.MirrorValue{JournalSeq: d.seq, Task: d.task})
		if err != nil {
			m.putBack(dirty, at)
			return err
		}
		entries = append(entries, kv.Entry{Key: kv.TaskKey(d.task.Spec.ID), Value: value})
		if len(entries) == kv.BatchMax-1 {
			if err := m.write(ctx, entries); err != nil {
				m.putBack(dirty, at)
				return err
			}
			entries = entries[:0]
		}
	}
	if err := m.writeMeta(ctx, entries, at); err != nil {
		m.putBack(dirty, at)
		return err
	}
	return nil
}

func (m *mirror) writeMeta(ctx context.Context, entries []kv.Entry, at *committed) error {
	p := at.position
	meta, err := bus.EncodeMirrorMeta(&bus.MirrorMeta{
		Version: bus.RecordVersion, RunID: p.runID, Epoch: p.epoch, Commit: p.commit, Writer: p.writer,
		JournalSeq: p.seq, Time: p.time, Watermark: p.watermark, Meta: at.meta,
	})
	if err != nil {
		return err
	}
	if err := m.write(ctx, append(entries, kv.Entry{Key: kv.KeyMeta, Value: meta})); err != nil {
		return err
	}
	m.mu.Lock()
	m.done = p
	m.mu.Unlock()
	return nil
}

// take moves what is dirty out; at is nil when there is nothing new.
func (m *mirror) take() (map[spec.TaskID]kvTask, *committed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.at == nil || m.at.position.seq == m.done.seq {
		return nil, nil
	}
	dirty := m.dirty
	m.dirty = make(map[spec.TaskID]kvTask)
	return dirty, m.at
}

// putBack marks tasks dirty again, unless they have changed since.
func (m *mirror) putBack(dirty map[spec.TaskID]kvTask, at *committed) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, d := range dirty {
		if _, newer := m.dirty[id]; !newer {
			m.dirty[id] = d
		}
	}
	if m.at == nil {
		m.at = at
	}
}

// write stores one batch. A batch is stored whole or not at all; after an ambiguous one it looks which.
func (m *mirror) write(ctx context.Context, entries []kv.Entry) error {
	last, err := m.store.Flush(ctx, m.last, entries)
	switch {
	case err == nil:
		m.last = last
	case errors.Is(err, bus.ErrAmbiguous):
		landed, lookErr := kv.Landed(ctx, m.store, m.last, entries)
		if landed {
			m.last += uint64(len(entries))
			return nil
		}
		return errors.Join(err, lookErr)
	case errors.Is(err, bus.ErrConflict):
		return m.resync(ctx, err)
	}
	return err
}

// resync tells a batch of our own that landed late from another leader's: the meta says whose term it is.
func (m *mirror) resync(ctx context.Context, conflict error) error {
	value, err := m.store.Get(ctx, kv.KeyMeta)
	if err != nil {
		return fmt.Errorf("look up the mirror's meta: %w", err)
	}
	meta, err := bus.DecodeMirrorMeta(value)
	if err != nil {
		return err
	}
	if meta.Epoch != m.epoch {
		return conflict
	}
	if m.last, err = m.store.Last(ctx); err != nil {
		return err
	}
	return errLateBatch
}

// errLateBatch: an earlier batch landed late; the flush starts again.
var errLateBatch = errors.New("an earlier batch landed late")

// reach returns how far the mirror has followed.
func (m *mirror) reach() position {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.done
}
