package kv

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/vmihailenco/msgpack/v5"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// LeaseOptions say how the lease bucket is made. The zero value of each field means its default.
type LeaseOptions struct {
	// TTL is how long a lease lasts unless it is renewed: LeaseTTLDefault by default, 100 ms at least. All coordinators
	// must agree on it.
	TTL time.Duration
	// Replicas is how many servers keep the bucket: 1 by default. For a bucket that exists, 0 keeps what it has.
	Replicas int
}

// leaseTimeout is how long an Acquire waits for the server's word.
const leaseTimeout = 2 * time.Second

// lease implements Lease on a bucket whose keys expire by the bucket's own age limit: a limit of a single key would be
// lost when the key is replaced.
type lease struct {
	stream *bus.Stream
	prefix string
}

// NewLease returns the leases of all runs. It is safe for concurrent use.
func NewLease(c *bus.Conn, o LeaseOptions) Lease {
	ttl := o.TTL
	if ttl == 0 {
		ttl = LeaseTTLDefault
	}
	return &lease{
		stream: bus.NewStream(c, jetstream.StreamConfig{
			Name:              bucketStreamPrefix + bus.BucketLease,
			Description:       "autoresearch: who leads each run",
			Subjects:          []string{bucketSubjectPrefix + bus.BucketLease + ".>"},
			Retention:         jetstream.LimitsPolicy,
			Storage:           jetstream.FileStorage,
			Discard:           jetstream.DiscardNew,
			MaxMsgsPerSubject: 1,
			MaxAge:            ttl,
			Duplicates:        min(ttl, 2*time.Minute),
			AllowRollup:       true,
			Replicas:          o.Replicas,
		}),
		prefix: bucketSubjectPrefix + bus.BucketLease + ".",
	}
}

func (l *lease) subject(run spec.RunName) string { return l.prefix + spec.EncodeName(string(run)) }

func (l *lease) Ensure(ctx context.Context) error {
	_, err := l.stream.Ensure(ctx)
	return err
}

func (l *lease) Holder(ctx context.Context, run spec.RunName) (h Holder, revision uint64, ok bool, err error) {
	message, err := l.stream.GetLast(ctx, l.subject(run))
	if errors.Is(err, bus.ErrNoMessage) {
		return Holder{}, 0, false, nil
	}
	if err != nil {
		return Holder{}, 0, false, fmt.Errorf("lease of run %q: %w", run, err)
	}
	if message.Header.Get(headerOperation) != "" {
		return Holder{}, 0, false, nil // deleted by hand; the marker expires too
	}
	h, err = decodeHolder(message.Data)
	if err != nil {
		return Holder{}, 0, false, fmt.Errorf("lease of run %q: %w", run, err)
	}
	return h, message.Seq, true, nil
}

func decodeHolder(data []byte) (h Holder, err error) {
	if err := bus.CheckBounds("lease", data); err != nil {
		return Holder{}, err
	}
	if err := msgpack.Unmarshal(data, &h); err != nil {
		return Holder{}, err
	}
	return h, nil
}

// Acquire may end with bus.ErrAmbiguous: Holder tells then who holds the lease.
func (l *lease) Acquire(ctx context.Context, run spec.RunName, h Holder, revision uint64) (uint64, error) {
	data, err := msgpack.Marshal(&h)
	if err != nil {
		return 0, fmt.Errorf("lease of run %q: %w", run, err)
	}
	seq, err := l.stream.Append(ctx, l.subject(run), bus.ExpectLastOfSubject(revision), data, leaseTimeout)
	if errors.Is(err, bus.ErrConflict) {
		return 0, fmt.Errorf("lease of run %q: %w", run, ErrHeld)
	}
	if err != nil {
		return 0, fmt.Errorf("lease of run %q: %w", run, err)
	}
	return seq, nil
}

func (l *lease) Release(ctx context.Context, run spec.RunName, revision uint64) error {
	if err := l.stream.Delete(ctx, revision); err != nil {
		return fmt.Errorf("release the lease of run %q: %w", run, err)
	}
	return nil
}
