package kv

import (
	"context"
	"errors"
	"fmt"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// Notices keeps how far people were told of each run, so that the next leader goes on there. Nothing is decided by it: without it
// somebody may be told twice. It is safe for concurrent use.
type Notices struct {
	stream *bus.Stream
	prefix string
}

// NewNotices returns the marks of all runs; Ensure creates their bucket. For a bucket that exists, 0 replicas keep what it has.
func NewNotices(c *bus.Conn, replicas int) *Notices {
	return &Notices{
		stream: runsBucket(c, bus.BucketNotices, "how far people were told of each run", replicas),
		prefix: bucketSubjectPrefix + bus.BucketNotices + ".",
	}
}

// Ensure creates the bucket unless it exists.
func (n *Notices) Ensure(ctx context.Context) error {
	_, err := n.stream.Ensure(ctx)
	return err
}

func (n *Notices) subject(run spec.RunName) string { return n.prefix + spec.EncodeName(string(run)) }

// Get returns what was last put for a run; bus.ErrMissing without one.
func (n *Notices) Get(ctx context.Context, run spec.RunName) ([]byte, error) {
	m, err := n.stream.GetLast(ctx, n.subject(run))
	if err != nil {
		return nil, fmt.Errorf("how far people were told of run %q: %w", run, err)
	}
	return m.Data, nil
}

// Delete removes what is kept of a run.
func (n *Notices) Delete(ctx context.Context, run spec.RunName) error {
	if err := n.stream.PurgeSubject(ctx, n.subject(run)); err != nil && !errors.Is(err, bus.ErrMissing) {
		return fmt.Errorf("forget how far people were told of run %q: %w", run, err)
	}
	return nil
}

// Put replaces what is kept of a run.
func (n *Notices) Put(ctx context.Context, run spec.RunName, mark []byte) error {
	if _, err := n.stream.Append(ctx, n.subject(run), nil, mark, runsTimeout); err != nil {
		return fmt.Errorf("keep how far people were told of run %q: %w", run, err)
	}
	return nil
}
