package kv

import (
	"context"
	"errors"
	"time"

	"autoresearch/pkg/spec"
)

// The mirror's keys for bus.MirrorMeta, and for bus.MirrorBase, which a run has whose journal was purged. TaskKey never
// returns them.
const (
	KeyMeta = "meta"
	KeyBase = "base"
)

// TaskKey is the mirror's key for a task.
func TaskKey(id spec.TaskID) string { return "t." + spec.EncodeName(string(id)) }

// Entry is one key with its new value.
type Entry struct {
	Key   string
	Value []byte
}

// BatchMax is the most entries that one Flush may hold: JetStream's limit on an atomic batch.
const BatchMax = 1000

// Mirror is the key-value mirror of one run. One leader writes it, one batch at a time. Errors wrap bus.ErrConflict,
// bus.ErrAmbiguous, bus.ErrRefused and bus.ErrMissing. The simulator implements it too.
type Mirror interface {
	// Ensure creates the bucket (with atomic publish allowed, history 1) unless it exists.
	Ensure(ctx context.Context) (created bool, err error)
	// Flush stores all entries or none. It is refused with bus.ErrConflict when the bucket's last sequence is not
	// expectLast: the fence against a deposed leader. It returns the new last sequence.
	Flush(ctx context.Context, expectLast uint64, entries []Entry) (last uint64, err error)
	// Load calls fn for the newest value of every key, in any order, and returns the bucket's last sequence.
	Load(ctx context.Context, fn func(key string, value []byte) error) (last uint64, err error)
	// Last returns the bucket's last sequence: what to expect after an ambiguous Flush.
	Last(ctx context.Context) (uint64, error)
	// Size returns how many keys the bucket holds, and its last sequence.
	Size(ctx context.Context) (keys, last uint64, err error)
	// Get returns one key's newest value; bus.ErrMissing when there is none.
	Get(ctx context.Context, key string) ([]byte, error)
}

// Holder is who leads a run, as the lease says it.
type Holder struct {
	// ID names the coordinator process (random per start); Host and PID are for people.
	ID    string `msgpack:"id"`
	Host  string `msgpack:"host"`
	PID   int    `msgpack:"pid"`
	Epoch uint64 `msgpack:"epoch"` // 0 while the candidate loads
	HTTP  string `msgpack:"http"`  // where its API listens; may be empty
}

// LeaseTTLDefault is how long a leader may be silent before its lease is free.
const LeaseTTLDefault = 6 * time.Second

// ErrHeld: somebody else holds the lease, or took it meanwhile.
var ErrHeld = errors.New("another coordinator holds the run")

// Lease is the leader's lease of a run. Liveness only: a holder may be deposed without knowing, and the journal then
// refuses its next append.
type Lease interface {
	// Ensure creates the bucket unless it exists.
	Ensure(ctx context.Context) error
	// Holder returns who holds the lease and the revision that says so; ok is false when nobody does.
	Holder(ctx context.Context, run spec.RunName) (h Holder, revision uint64, ok bool, err error)
	// Acquire takes the lease by compare-and-set: revision 0 when nobody holds it, else the revision to replace. It
	// returns the new revision, or ErrHeld. A holder renews by acquiring again with its last revision.
	Acquire(ctx context.Context, run spec.RunName, h Holder, revision uint64) (uint64, error)
	// Release frees the lease if revision is still its newest.
	Release(ctx context.Context, run spec.RunName, revision uint64) error
}
