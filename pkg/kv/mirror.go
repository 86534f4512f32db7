package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// A bucket is a stream by convention of NATS's tools: this name, this subject space.
const (
	bucketStreamPrefix  = "KV_"
	bucketSubjectPrefix = "$KV."
	// headerOperation marks a message that stands for a deleted key.
	headerOperation = "KV-Operation"
)

// flushTimeout is how long a Flush waits for the server's word. A full batch takes tens of milliseconds.
const flushTimeout = 10 * time.Second

// mirror implements Mirror on a bucket made by hand: the client library's own functions would reset allow_atomic.
type mirror struct {
	stream *bus.Stream
	prefix string // of a key's subject
}

// NewMirror returns the mirror of a run. Of o it uses Replicas. It is safe for concurrent use, but only one Flush may
// be under way.
func NewMirror(c *bus.Conn, run spec.RunName, o bus.StreamOptions) Mirror {
	bucket := bus.StateBucket(run)
	return &mirror{
		stream: bus.NewStream(c, jetstream.StreamConfig{
			Name:               bucketStreamPrefix + bucket,
			Description:        "autoresearch: the mirror of a run's tasks",
			Subjects:           []string{bucketSubjectPrefix + bucket + ".>"},
			Retention:          jetstream.LimitsPolicy,
			Storage:            jetstream.FileStorage,
			Discard:            jetstream.DiscardNew,
			MaxMsgsPerSubject:  1,
			AllowRollup:        true,
			DenyDelete:         true,
			AllowAtomicPublish: true,
			Replicas:           o.Replicas,
		}),
		prefix: bucketSubjectPrefix + bucket + ".",
	}
}

func (m *mirror) Ensure(ctx context.Context) (created bool, err error) { return m.stream.Ensure(ctx) }

func (m *mirror) Last(ctx context.Context) (uint64, error) {
	bounds, err := m.stream.Bounds(ctx)
	return bounds.Last, err
}

func (m *mirror) Size(ctx context.Context) (keys, last uint64, err error) {
	return m.stream.Size(ctx)
}

func (m *mirror) Flush(ctx context.Context, expectLast uint64, entries []Entry) (last uint64, err error) {
	if len(entries) == 0 || len(entries) > BatchMax {
		return 0, fmt.Errorf("flush %d entries: a batch holds 1 to %d: %w", len(entries), BatchMax, bus.ErrRefused)
	}
	batch := make([]bus.BatchEntry, len(entries))
	for i, entry := range entries {
		batch[i] = bus.BatchEntry{Subject: m.prefix + entry.Key, Data: entry.Value}
	}
	return m.stream.AppendBatch(ctx, expectLast, batch, flushTimeout)
}

func (m *mirror) Load(ctx context.Context, fn func(key string, value []byte) error) (last uint64, err error) {
	return m.stream.ReadToEnd(ctx, 1, func(message *bus.Message) error {
		if len(message.Header) > 0 && message.Header.Get(headerOperation) != "" {
			return nil
		}
		return fn(strings.TrimPrefix(message.Subject, m.prefix), message.Data)
	})
}

func (m *mirror) Get(ctx context.Context, key string) ([]byte, error) {
	message, err := m.stream.GetLast(ctx, m.prefix+key)
	if err != nil {
		return nil, fmt.Errorf("mirror key %q: %w", key, err)
	}
	if message.Header.Get(headerOperation) != "" {
		return nil, fmt.Errorf("mirror key %q: deleted: %w", key, bus.ErrMissing)
	}
	return message.Data, nil
}

// Landed tells after a Flush that ended with bus.ErrAmbiguous whether it was stored. When it says no, the same entries
// may be flushed again with the same expectLast: if the first flush was only late, that meets bus.ErrConflict, and
// Landed says yes.
func Landed(ctx context.Context, m Mirror, expectLast uint64, entries []Entry) (bool, error) {
	last, err := m.Last(ctx)
	if err != nil || last != expectLast+uint64(len(entries)) {
		return false, err
	}
	final := entries[len(entries)-1]
	value, err := m.Get(ctx, final.Key)
	if errors.Is(err, bus.ErrMissing) {
		return false, nil
	}
	return err == nil && bytes.Equal(value, final.Value), err
}
