package bus

import (
	"context"
	"fmt"
	"time"

	"autoresearch/pkg/spec"
)

// journal implements Journal on a stream.
type journal struct {
	stream  *Stream
	subject string
	timeout time.Duration
}

// NewJournal returns the journal of a run. It is safe for concurrent use, but only one Append may be in flight.
func NewJournal(c *Conn, run spec.RunName, o StreamOptions) Journal {
	return &journal{
		stream:  NewStream(c, journalConfig(run, o)),
		subject: JournalSubject(run),
		timeout: o.appendTimeout(),
	}
}

// BeginJournal makes the journal of a run anew, empty, with first as the sequence of its first record. What was there is
// deleted: it is for restoring a run, on a person's word.
func BeginJournal(ctx context.Context, c *Conn, run spec.RunName, o StreamOptions, first uint64) error {
	config := journalConfig(run, o)
	config.FirstSeq = first
	stream := NewStream(c, config)
	deleted, err := stream.delete(ctx)
	if err != nil {
		return err
	}
	if deleted {
		// A server removes the files of a deleted stream behind its answer, and with them, now and then, those of one that was
		// made at once under its name.
		if err := pause(ctx, deletedWait); err != nil {
			return stream.fail("create", err)
		}
	}
	_, err = stream.Ensure(ctx)
	return err
}

// deletedWait is how long after its deletion a stream is made again.
const deletedWait = time.Second

func (j *journal) Ensure(ctx context.Context) (created bool, err error) { return j.stream.Ensure(ctx) }

func (j *journal) Bounds(ctx context.Context) (Bounds, error) { return j.stream.Bounds(ctx) }

func (j *journal) Append(ctx context.Context, expectLast uint64, data []byte) error {
	seq, err := j.stream.Append(ctx, j.subject, ExpectLast(expectLast), data, j.timeout)
	if err != nil {
		return err
	}
	if seq != expectLast+1 {
		return fmt.Errorf("journal %s: stored as %d where %d was expected: %w", j.stream.Name(), seq, expectLast+1, ErrConflict)
	}
	return nil
}

func (j *journal) Get(ctx context.Context, seq uint64) ([]byte, error) {
	message, err := j.stream.Get(ctx, seq)
	if err != nil {
		return nil, err
	}
	return message.Data, nil
}

func (j *journal) Read(ctx context.Context, from uint64, fn func(seq uint64, data []byte) error) error {
	next := max(from, 1)
	last, err := j.stream.Read(ctx, next, func(m *Message) error {
		if m.Seq != next {
			return fmt.Errorf("journal %s: %w: %d follows %d", j.stream.Name(), ErrGap, m.Seq, next-1)
		}
		next++
		return fn(m.Seq, m.Data)
	})
	if err == nil && next <= last {
		return fmt.Errorf("journal %s: %w: %d to %d are missing", j.stream.Name(), ErrGap, next, last)
	}
	return err
}

func (j *journal) Purge(ctx context.Context, seq uint64) error { return j.stream.Purge(ctx, seq) }
