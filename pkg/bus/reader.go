package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// How a reader fetches. Half of a batch is asked for again while the other half is read; what waits in the client is
// bounded by two batches of messages and two of bytes.
const (
	readBatch    = 5000
	readBytes    = 16 << 20
	readExpires  = 30 * time.Second
	readSilence  = 5 * time.Second  // without a message or heartbeat the consumer is taken for lost
	readInactive = 30 * time.Second // after which the server drops a consumer that nobody uses
	readResets   = 15               // of a bounded read, without progress

	readResetWait = 50 * time.Millisecond // before the second reset of a bounded read, and so much more before each other

	followHeartbeat  = 2 * time.Second
	boundedHeartbeat = 500 * time.Millisecond
)

// reader reads a stream in order through an ephemeral consumer of its own that needs no acks. When anything goes wrong
// (a reconnect, a lost consumer, silence) it makes a new consumer at the sequence it wants next. One goroutine uses it.
type reader struct {
	stream  *Stream
	bounded bool      // the read has an end: it never waits for messages to come
	next    uint64    // the lowest sequence wanted
	created time.Time // of the stream as first seen; zero before
	last    uint64    // of the stream when the reader was opened

	consumer    string
	sub         *nats.Subscription
	messages    chan *nats.Msg
	delivered   uint64 // the consumer's count of deliveries
	outstanding int    // messages asked for and not yet come
	pending     uint64 // messages in the stream after the one read last
	reconnected chan struct{}
	ignore      func() // ends the reconnect callback
}

func newReader(s *Stream, from uint64) *reader {
	return &reader{stream: s, next: max(from, 1)}
}

// errReset asks for a new consumer. It passes: a read that had several in vain may be tried again later.
var errReset = errors.New("the reader's consumer is lost")

// open looks at the stream and makes a consumer. It returns ErrMissing when the stream does not exist, and ErrGap when
// it is not the one seen before or ends before what was read.
func (r *reader) open(ctx context.Context) error {
	bounds, err := r.stream.Bounds(ctx)
	if err != nil {
		return err
	}
	switch {
	case !r.created.IsZero() && !bounds.Created.Equal(r.created):
		return fmt.Errorf("stream %s: %w: it was deleted and created anew", r.stream.Name(), ErrGap)
	case bounds.Last+1 < r.next:
		r.last = bounds.Last
		return fmt.Errorf("stream %s: %w: it ends at %d, %d was there before", r.stream.Name(), ErrGap, bounds.Last, r.next-1)
	}
	r.created, r.last = bounds.Created, bounds.Last
	if err := r.subscribe(); err != nil {
		return r.stream.fail("read", err)
	}
	return r.createConsumer(ctx)
}

func (r *reader) subscribe() (err error) {
	reconnected := make(chan struct{}, 1)
	r.reconnected = reconnected
	r.ignore = r.stream.conn.OnReconnect(func() {
		select {
		case reconnected <- struct{}{}:
		default:
		}
	})
	// Room for all that is asked for, and as many heartbeats and other statuses.
	r.messages = make(chan *nats.Msg, 4*readBatch)
	nc := r.stream.conn.nc
	r.sub, err = nc.ChanSubscribe(nc.NewInbox(), r.messages)
	return err
}

func (r *reader) createConsumer(ctx context.Context) error {
	r.consumer = "r" + nuid.Next()
	r.delivered, r.outstanding = 0, 0
	config := jetstream.ConsumerConfig{
		Name:              r.consumer,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       r.next,
		AckPolicy:         jetstream.AckNonePolicy,
		InactiveThreshold: readInactive,
		MemoryStorage:     true,
		Replicas:          1,
	}
	body := map[string]any{"stream_name": r.stream.Name(), "config": config}
	var answer struct {
		NumPending uint64 `json:"num_pending"`
	}
	subject := r.stream.conn.api + "CONSUMER.CREATE." + r.stream.Name() + "." + r.consumer
	if err := r.stream.conn.request(ctx, subject, body, &answer); err != nil {
		return r.stream.fail("read", err)
	}
	r.pending = answer.NumPending
	return nil
}

// close gives the consumer back. A consumer that cannot be deleted goes by itself after readInactive.
func (r *reader) close() error {
	if r.sub == nil {
		return nil
	}
	r.ignore()
	err := r.sub.Unsubscribe()
	r.sub = nil
	if errors.Is(err, nats.ErrConnectionClosed) {
		return nil
	}
	if r.consumer != "" {
		subject := r.stream.conn.api + "CONSUMER.DELETE." + r.stream.Name() + "." + r.consumer
		err = errors.Join(err, whenAway(r.stream.conn.nc.Publish(subject, nil)))
	}
	r.consumer = ""
	return err
}

// receive returns the next message. It returns errReset when the consumer is of no use any more.
func (r *reader) receive(ctx context.Context) (*Message, error) {
	if err := r.ask(); err != nil {
		return nil, err
	}
	select {
	case m := <-r.messages: // without the price of a timer
		message, err := r.take(m)
		if message != nil || err != nil {
			return message, err
		}
	default:
	}
	return r.wait(ctx)
}

func (r *reader) wait(ctx context.Context) (*Message, error) {
	silence := time.NewTimer(readSilence)
	defer silence.Stop()
	for {
		if err := r.ask(); err != nil {
			return nil, err
		}
		select {
		case m := <-r.messages:
			message, err := r.take(m)
			if message != nil || err != nil {
				return message, err
			}
			silence.Reset(readSilence)
		case <-r.reconnected:
			return nil, fmt.Errorf("%w: reconnected", errReset)
		case <-silence.C:
			return nil, fmt.Errorf("%w: no heartbeat for %v", errReset, readSilence)
		case <-r.stream.conn.closed:
			return nil, nats.ErrConnectionClosed
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// ask requests another batch once less than half of one is outstanding.
func (r *reader) ask() error {
	if r.outstanding > readBatch/2 {
		return nil
	}
	heartbeat := followHeartbeat
	if r.bounded {
		heartbeat = boundedHeartbeat
	}
	body := pullRequest(readBatch, max(readBytes, 2*r.stream.conn.MaxPayload()), readExpires, heartbeat)
	subject := r.stream.conn.api + "CONSUMER.MSG.NEXT." + r.stream.Name() + "." + r.consumer
	if err := r.stream.conn.nc.PublishRequest(subject, r.sub.Subject, body); err != nil {
		return fmt.Errorf("%w: %w", errReset, whenAway(err))
	}
	r.outstanding += readBatch
	return nil
}

// pullRequest is the body of a request for messages. maxBytes 0 means no bound of bytes, heartbeat 0 none.
func pullRequest(batch, maxBytes int, expires, heartbeat time.Duration) []byte {
	body := append([]byte(`{"batch":`), strconv.Itoa(batch)...)
	if maxBytes > 0 {
		body = append(body, `,"max_bytes":`...)
		body = strconv.AppendInt(body, int64(maxBytes), 10)
	}
	body = append(body, `,"expires":`...)
	body = strconv.AppendInt(body, int64(expires), 10)
	if heartbeat > 0 {
		body = append(body, `,"idle_heartbeat":`...)
		body = strconv.AppendInt(body, int64(heartbeat), 10)
	}
	return append(body, '}')
}

// take turns a delivery into a Message; nil for a status that needs nothing.
func (r *reader) take(m *nats.Msg) (*Message, error) {
	if status := statusOf(m); status != "" {
		return nil, r.status(status, m)
	}
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errReset, err)
	}
	r.outstanding--
	if meta.Sequence.Consumer != r.delivered+1 {
		return nil, fmt.Errorf("%w: delivery %d follows %d", errReset, meta.Sequence.Consumer, r.delivered)
	}
	r.delivered, r.pending = meta.Sequence.Consumer, meta.NumPending
	if meta.Sequence.Stream < r.next {
		return nil, nil // a consumer of a copy that ends before what is wanted begins at that end
	}
	r.next = meta.Sequence.Stream + 1
	return &Message{Subject: m.Subject, Seq: meta.Sequence.Stream, Header: m.Header, Data: m.Data, Time: meta.Timestamp}, nil
}

// statusOf returns the status code of a message that the server itself sent in answer to a pull; "" for others.
func statusOf(m *nats.Msg) string {
	if len(m.Data) > 0 || len(m.Header) == 0 {
		return ""
	}
	return m.Header.Get("Status")
}

// The statuses of a pull request.
const (
	statusHeartbeat    = "100"
	statusTimeout      = "408"
	statusConflict     = "409"
	statusNoResponders = "503"
)

// status follows what the server says of a request: how much of it will not be served, or that the consumer is gone.
func (r *reader) status(status string, m *nats.Msg) error {
	if status == statusHeartbeat {
		return r.heartbeat(m.Header.Get("Nats-Last-Consumer"))
	}
	unserved, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
	if err != nil || (status != statusTimeout && status != statusConflict) {
		return fmt.Errorf("%w: %s %s", errReset, status, m.Header.Get("Description"))
	}
	r.outstanding -= unserved
	return nil
}

// heartbeat checks that everything delivered has come. In a bounded read a heartbeat means that what was to come is not
// there any more (purged meanwhile) or is late: a new consumer tells which.
func (r *reader) heartbeat(lastDelivered string) error {
	n, err := strconv.ParseUint(lastDelivered, 10, 64)
	switch {
	case err != nil:
		return fmt.Errorf("%w: a heartbeat says %q", errReset, lastDelivered)
	case n > r.delivered:
		return fmt.Errorf("%w: %d were delivered, %d came", errReset, n, r.delivered)
	case r.bounded:
		return fmt.Errorf("%w: nothing comes", errReset)
	}
	return nil
}

// Read calls fn for every message from sequence from up to the last one stored when Read was called, in order, and
// returns that last sequence. Messages that were removed are left out. fn's error ends it. m is valid during the call.
func (s *Stream) Read(ctx context.Context, from uint64, fn func(m *Message) error) (last uint64, err error) {
	return s.read(ctx, from, false, fn)
}

// ReadToEnd is Read up to the last message there is, also those stored meanwhile: a key whose value is replaced during
// the call is not missed.
func (s *Stream) ReadToEnd(ctx context.Context, from uint64, fn func(m *Message) error) (last uint64, err error) {
	return s.read(ctx, from, true, fn)
}

func (s *Stream) read(ctx context.Context, from uint64, toEnd bool, fn func(m *Message) error) (last uint64, err error) {
	r := newReader(s, from)
	r.bounded = true
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.open(ctx); err != nil {
		if errors.Is(err, ErrGap) {
			return r.last, nil // from lies beyond the end
		}
		return 0, err
	}
	last = r.last
	for toEnd || r.next <= last {
		m, err := r.receiveBounded(ctx)
		if err != nil {
			return last, s.fail("read", err)
		}
		if m == nil || m.Seq > last && !toEnd {
			break
		}
		if err := fn(m); err != nil {
			return last, err
		}
	}
	if toEnd {
		last = max(last, r.next-1)
	}
	return last, nil
}

// receiveBounded is receive with some new consumers, but not for ever. It returns no message when there is none to come.
func (r *reader) receiveBounded(ctx context.Context) (*Message, error) {
	for resets := 0; ; resets++ {
		m, err := r.receiveOrEnd(ctx)
		if !errors.Is(err, errReset) || resets == readResets {
			return m, err
		}
		if err := pause(ctx, time.Duration(resets)*readResetWait); err != nil {
			return nil, err
		}
		if err := r.reopen(ctx); err != nil {
			return nil, err
		}
	}
}

// receiveOrEnd is receive that knows the end: no message. A consumer has one copy of a replicated stream, which may be
// behind; what its end is only the stream's leader knows.
func (r *reader) receiveOrEnd(ctx context.Context) (*Message, error) {
	if r.pending > 0 {
		return r.receive(ctx)
	}
	m, err := r.stream.GetNext(ctx, ">", r.next)
	switch {
	case errors.Is(err, ErrNoMessage):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return nil, fmt.Errorf("%w: it ends before message %d", errReset, m.Seq)
}

func (r *reader) reopen(ctx context.Context) error {
	if err := r.close(); err != nil {
		r.stream.conn.log.Debug("give back a lost consumer", "stream", r.stream.Name(), "error", err)
	}
	return r.open(ctx)
}

// Follow calls fn for every message after sequence after, in order, until ctx is done or the stream fails: ErrMissing when
// it is gone, ErrGap when it was made anew. It survives reconnects. m is valid during the call.
func (s *Stream) Follow(ctx context.Context, after uint64, fn func(m *Message)) error {
	r := newReader(s, after+1)
	if err := r.open(ctx); err != nil {
		return errors.Join(err, r.close())
	}
	return r.follow(ctx, fn)
}

// follow calls fn for every message until ctx is done or the stream fails, and closes the reader.
func (r *reader) follow(ctx context.Context, fn func(m *Message)) (err error) {
	defer func() { err = errors.Join(err, r.close()) }()
	for ctx.Err() == nil {
		m, err := r.receive(ctx)
		switch {
		case ctx.Err() != nil: // m was received, but too late
		case err == nil:
			fn(m)
		default:
			if err := r.recover(ctx, err); err != nil {
				return err
			}
		}
	}
	return context.Cause(ctx)
}

// recover opens the reader again until that succeeds, ctx is done, the connection is closed for good, or the stream is
// not what it was.
func (r *reader) recover(ctx context.Context, err error) error {
	for ctx.Err() == nil {
		r.stream.conn.log.Debug("read on with a new consumer", "stream", r.stream.Name(), "reason", err)
		err = r.reopen(ctx)
		if err == nil || errors.Is(err, ErrGap) || errors.Is(err, ErrMissing) || errors.Is(err, nats.ErrConnectionClosed) {
			return err
		}
		if err := pause(ctx, readRetryWait); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// readRetryWait is the time between attempts to read on while NATS cannot be reached.
const readRetryWait = 200 * time.Millisecond
