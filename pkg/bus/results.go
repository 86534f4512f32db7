package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"autoresearch/pkg/spec"
)

// results implements Results on a stream.
type results struct{ stream *Stream }

// NewResults returns the results stream of a run. It is safe for concurrent use.
func NewResults(c *Conn, run spec.RunName, o StreamOptions) Results {
	return &results{stream: NewStream(c, resultsConfig(run, o))}
}

func (r *results) Ensure(ctx context.Context) error {
	_, err := r.stream.Ensure(ctx)
	return err
}

func (r *results) Bounds(ctx context.Context) (Bounds, error) { return r.stream.Bounds(ctx) }

func (r *results) Purge(ctx context.Context, seq uint64) error { return r.stream.Purge(ctx, seq+1) }

// Consume returns an error when the stream is missing, or ends below after, already at the start. It survives
// reconnects and restarts of the server. failed is called with ErrMissing when the stream is gone, and with ErrGap when
// it was created anew or ends below what was read. fn must not call stop.
func (r *results) Consume(ctx context.Context, after uint64, fn func(seq uint64, from spec.WorkerID, data []byte), failed func(error)) (
	stop func(), err error,
) {
	reader := newReader(r.stream, after+1)
	if err := reader.open(ctx); err != nil {
		return nil, errors.Join(err, reader.close())
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := reader.follow(ctx, func(m *Message) { fn(m.Seq, ResultWorker(m.Subject), m.Data) })
		if err != nil && ctx.Err() == nil {
			failed(err)
		}
	}()
	return func() { cancel(); <-done }, nil
}

// ReadResults calls fn for every message that a run's results stream holds, in order, and returns when the stream was
// created: a stream of another time is another stream. It returns ErrMissing when there is none.
func (c *Conn) ReadResults(ctx context.Context, run spec.RunName, fn func(seq uint64, data []byte) error) (created time.Time, err error) {
	stream := NewStream(c, resultsConfig(run, StreamOptions{}))
	bounds, err := stream.Bounds(ctx)
	if err != nil {
		return time.Time{}, err
	}
	_, err = stream.Read(ctx, bounds.First, func(m *Message) error { return fn(m.Seq, m.Data) })
	return bounds.Created, err
}

// PublishResult stores reports in a run's results stream and returns once they are durable by the stream's sync
// setting. On ErrAmbiguous, ErrRefused and ErrMissing the message may be sent again later: the engine deduplicates.
// ErrTooLarge (with ErrRefused) means that it never will be taken.
func (c *Conn) PublishResult(ctx context.Context, run spec.RunName, worker spec.WorkerID, m *ResultMessage) error {
	data, err := EncodeResultMessage(m)
	if err != nil {
		return err
	}
	message := &nats.Msg{Subject: ResultSubject(run, worker), Data: data}
	if _, err := c.publish(ctx, message, requestTimeout); err != nil {
		return fmt.Errorf("publish %d reports of run %q: %w", len(m.Reports), run, err)
	}
	return nil
}
