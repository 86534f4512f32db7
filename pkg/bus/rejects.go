package bus

import (
	"context"
	"errors"

	"autoresearch/pkg/spec"
)

// rejects implements Rejects on a stream.
type rejects struct {
	stream  *Stream
	subject string
}

// NewRejects returns what a run keeps of what it rejected. It is safe for concurrent use.
func NewRejects(c *Conn, run spec.RunName, o StreamOptions) Rejects {
	return &rejects{stream: NewStream(c, rejectedConfig(run, o)), subject: RejectedSubject(run)}
}

func (r *rejects) Put(ctx context.Context, rejected *Rejected) error {
	data, err := EncodeRejected(rejected)
	if err != nil {
		return err
	}
	_, err = r.stream.Append(ctx, r.subject, nil, data, requestTimeout)
	if errors.Is(err, ErrMissing) || errors.Is(err, ErrAmbiguous) { // nobody answers for a stream that is not there
		if _, made := r.stream.Ensure(ctx); made != nil {
			return errors.Join(err, made)
		}
		_, err = r.stream.Append(ctx, r.subject, nil, data, requestTimeout)
	}
	return err
}

func (r *rejects) List(ctx context.Context, fn func(number uint64, r *Rejected) error) error {
	bounds, err := r.stream.Bounds(ctx)
	if err != nil || bounds.Last < bounds.First {
		return err
	}
	_, err = r.stream.Read(ctx, bounds.First, func(m *Message) error {
		rejected, err := DecodeRejected(m.Data)
		if err != nil {
			return err
		}
		return fn(m.Seq, rejected)
	})
	return err
}

func (r *rejects) Get(ctx context.Context, number uint64) (*Rejected, error) {
	m, err := r.stream.Get(ctx, number)
	if err != nil {
		return nil, err
	}
	return DecodeRejected(m.Data)
}
