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
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// blobs keeps what no record holds. A payload or a result that is too large lies in the object store, and records and
// messages name it; in this process it is whole. So the blob is part of the truth: it is stored before the record that
// names it is written, and stays for as long as a task names it. Its methods are safe for concurrent use.
type blobs struct {
	store  bus.Objects
	host   host.Host
	log    *slog.Logger
	inline func() int // how many bytes of a spec, and of a result, stay in messages and records

	mu     sync.Mutex
	recent map[spec.Digest]time.Time // put or got by this process: the record that names it may be on its way
}

func newBlobs(store bus.Objects, inline func() int, log *slog.Logger, h host.Host) *blobs {
	return &blobs{store: store, host: h, log: log, inline: inline, recent: make(map[spec.Digest]time.Time)}
}

// spill stores the payloads of specs that no record holds, unless they are larger than limit: those the engine refuses. The
// errors, one per spec, say which could not be stored.
func (b *blobs) spill(ctx context.Context, specs []spec.TaskSpec, limit int64) []error {
	errs := make([]error, len(specs))
	for i := range specs {
		ts := &specs[i]
		ts.Stored = spec.Blob{}
		if engine.SizeOf(*ts) <= b.inline() || int64(len(ts.Payload)) > limit {
			continue
		}
		blob, err := b.put(ctx, ts.Payload)
		if err != nil {
			errs[i] = fmt.Errorf("task %q: its payload takes %d bytes, too many for a message, and could not be stored: %w",
				ts.ID, len(ts.Payload), err)
			continue
		}
		ts.Stored = blob
	}
	return errs
}

// put stores data. It outlasts a server that is away for a time, but not one that is full.
func (b *blobs) put(ctx context.Context, data []byte) (spec.Blob, error) {
	for {
		blob, err := b.store.Put(ctx, data)
		if errors.Is(err, bus.ErrMissing) {
			if err = b.store.Ensure(ctx); err == nil {
				blob, err = b.store.Put(ctx, data)
			}
		}
		if err == nil {
			b.note(blob.Digest)
			return blob, nil
		}
		if !b.again(ctx, err) {
			return spec.Blob{}, err
		}
	}
}

// get returns the bytes of a blob. It outlasts a server that is away for a time: an error says that they cannot be had.
func (b *blobs) get(ctx context.Context, blob spec.Blob, limit int64) ([]byte, error) {
	for {
		data, err := b.store.Get(ctx, blob, limit)
		if err == nil {
			b.note(blob.Digest)
			return data, nil
		}
		if !b.again(ctx, err) {
			return nil, err
		}
	}
}

// again reports whether a call is worth another try, after a while.
func (b *blobs) again(ctx context.Context, err error) bool {
	if ctx.Err() != nil || errors.Is(err, bus.ErrRefused) || !bus.Passing(err) {
		return false
	}
	b.log.Debug("the object store does not answer; trying again", "err", err)
	b.host.Wait(ctx, b.host.Jitter(retryInterval))
	return ctx.Err() == nil
}

func (b *blobs) note(d spec.Digest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recent[d] = b.host.Now()
}

// fill gets what the tasks of a fold name. What cannot be had is left out and costs its own task: a queued one fails when
// it is dispatched, a result is one that cannot be read.
func (b *blobs) fill(ctx context.Context, f *fold) error {
	for _, folded := range f.inOrder() {
		t := folded.task
		payload, err := b.filled(ctx, t, t.Spec.Payload, t.Spec.Stored)
		if err != nil {
			return err
		}
		t.Spec.Payload = payload
		if t.Outcome == nil {
			continue
		}
		outcome := *t.Outcome
		if outcome.Body, err = b.filled(ctx, t, outcome.Body, outcome.Stored); err != nil {
			return err
		}
		t.Outcome = &outcome
	}
	return nil
}

// filled returns data, or what stored names; nil when that cannot be had.
func (b *blobs) filled(ctx context.Context, t *spec.Task, data []byte, stored spec.Blob) ([]byte, error) {
	if stored.IsZero() || data != nil {
		return data, nil
	}
	data, err := b.get(ctx, stored, stored.Size)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		b.log.Error("a blob that a task names cannot be had", "task", t.Spec.ID, "blob", stored, "err", err)
	}
	return data, nil
}

// How often blobs that no task names are looked for, and how old they must be before they are removed: a worker stores a
// result and publishes it right after.
const (
	blobSweepInterval = time.Hour
	blobSweepAge      = 24 * time.Hour
)

// sweep removes blobs that no task names, what uploads left unfinished included. named is asked after the list was made: a
// leader that was deposed in between knows less, but what was stored since the list has another revision, and stays.
func (b *blobs) sweep(ctx context.Context, named func() (map[spec.Digest]bool, error)) error {
	before := b.host.Now().Add(-blobSweepAge)
	var old []bus.StoredBlob
	err := b.store.List(ctx, func(s bus.StoredBlob) error {
		if s.Stored.Before(before) {
			old = append(old, s)
		}
		return nil
	})
	if err != nil || len(old) == 0 {
		return err
	}
	keep, err := named()
	if err != nil {
		return err
	}
	for _, s := range old {
		if !s.Unfinished && (keep[s.Blob.Digest] || b.isRecent(s.Blob.Digest, before)) {
			continue
		}
		if err := b.store.Delete(ctx, s); err != nil {
			return err
		}
		b.log.Info("removed a blob that no task names", "blob", s.Blob.Digest, "stored", s.Stored)
	}
	return nil
}

// isRecent reports whether this process put or got a blob since then; it forgets older ones.
func (b *blobs) isRecent(d spec.Digest, since time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for other, at := range b.recent {
		if at.Before(since) {
			delete(b.recent, other)
		}
	}
	_, recent := b.recent[d]
	return recent
}
