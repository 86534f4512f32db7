package bus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"autoresearch/pkg/spec"
)

// How much a doorbell has under way. An acknowledgement is asked for each doorbellAckEvery messages at least; beyond
// doorbellAcksMax of them a publish waits for doorbellStall at most, then fails: the leader publishes again what is overdue.
// Their product stays below the 10,000 messages that the server keeps waiting for a stream before it drops some.
const (
	doorbellAckEvery = 16
	doorbellAcksMax  = 512
	doorbellStall    = 50 * time.Microsecond
	doorbellTimeout  = 5 * time.Second
)

// doorbell implements Doorbell on the tasks stream. An acknowledgement costs as much as the message, so of several
// messages only the last is acknowledged: it was sent behind the others on one connection, so what keeps the stream from
// taking them is likely to keep it from taking that one too. A message that is lost unheard of is published again when it is
// overdue.
type doorbell struct {
	conn   *Conn
	stream *Stream
	js     jetstream.JetStream
	err    error        // why js could not be made
	unsure atomic.Int64 // messages since the last for which an acknowledgement was asked
}

// NewDoorbell returns the doorbell of all runs. onError hears of every publish that failed, from another goroutine than
// the publisher's; it must return soon. The doorbell is safe for concurrent use and ends with its connection.
func NewDoorbell(c *Conn, o StreamOptions, onError func(subject string, err error)) Doorbell {
	d := &doorbell{conn: c, stream: NewStream(c, tasksConfig(o))}
	d.js, d.err = jetstream.New(c.nc,
		jetstream.WithPublishAsyncMaxPending(doorbellAcksMax),
		jetstream.WithPublishAsyncTimeout(doorbellTimeout),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, m *nats.Msg, err error) {
			if !alreadyThere(err) && !c.nc.IsClosed() {
				onError(m.Subject, fmt.Errorf("publish to the doorbell: %w", err))
			}
		}))
	return d
}

// alreadyThere reports that the subject is occupied, or about to be: in a replicated stream another publish to it is
// under way.
func alreadyThere(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == codeWrongLast || api.ErrorCode == codeWrongLastInFlight)
}

func (d *doorbell) Ensure(ctx context.Context, classes []string) (created bool, err error) {
	if created, err = d.stream.Ensure(ctx); err != nil {
		return false, err
	}
	for _, class := range classes {
		if err := d.stream.ensureConsumer(ctx, classConsumer(class)); err != nil {
			return created, err
		}
	}
	return created, nil
}

// Renew leaves a moment without the consumer, in which pulls end with ErrMissing and are made again.
func (d *doorbell) Renew(ctx context.Context, class string) error {
	if err := d.stream.deleteConsumer(ctx, ClassConsumer(class)); err != nil {
		return err
	}
	return d.stream.ensureConsumer(ctx, classConsumer(class))
}

// Publish also returns at once an error that is known at once: a message that is too large (ErrTooLarge), too much
// under way, no connection.
func (d *doorbell) Publish(ds []*Dispatch, more bool) error {
	if d.err != nil {
		return d.err
	}
	w := borrowWire()
	defer w.giveBack()
	w.dispatches(ds)
	subject := TaskSubject(ds[0].Class, ds[0].Run, ds[0].Task.ID, ds[0].Attempt)
	if len(ds) > 1 {
		subject = BatchSubject(ds[0].Class, ds[0].Run, nuid.Next())
	}
	var err error
	if more && d.unsure.Add(1) < doorbellAckEvery {
		err = d.conn.nc.Publish(subject, w.out) // the stream takes none for an occupied subject
	} else {
		d.unsure.Store(0)
		err = d.publishAcked(subject, w.out)
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		err = fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	if err != nil {
		return fmt.Errorf("publish %s to the doorbell: %w", subject, whenAway(err))
	}
	return nil
}

// vacant makes a message conditional on nothing being there. The client only reads it.
var vacant = ExpectLastOfSubject(0)

// publishAcked publishes and has the acknowledgement looked at when it comes. The client keeps the message until then, and what
// it points to may be another's by that time: without retries nobody reads the data again, and onError is told the subject.
func (d *doorbell) publishAcked(subject string, data []byte) error {
	message := &nats.Msg{Subject: subject, Header: vacant, Data: data}
	_, err := d.js.PublishMsgAsync(message, jetstream.WithRetryAttempts(0), jetstream.WithStallWait(doorbellStall))
	return err
}

// Purge does not wait for publishes: one of the same message that is still under way may land after it. Whoever takes
// such a message is told to stop.
func (d *doorbell) Purge(ctx context.Context, class string, run spec.RunName, task spec.TaskID, attempt uint32) error {
	return d.stream.PurgeSubject(ctx, TaskSubject(class, run, task, attempt))
}
