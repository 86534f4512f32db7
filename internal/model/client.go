package model

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"autoresearch/internal/host"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

// Link is the way between one process and the server: what becomes of each message is its decision.
type Link interface {
	// Call carries a request to the server, where do is done, and the answer back. It returns nil when the caller hears
	// the answer; bus.ErrRefused when the server refused without doing it; any other error when no answer came, and then
	// do may have been done, or not, or be done later.
	Call(ctx context.Context, op string, do func()) error
	// Post sends a message that nobody waits for. lost, which may be nil, is called when it is known not to have
	// arrived.
	Post(op string, do func(), lost func())
	// Deliver brings a message of core NATS to the process.
	Deliver(do func())
	// Read waits before the next message of a stream is read; false while the server cannot be reached.
	Read(ctx context.Context) (up bool)
	// Gone is told how to end what the server keeps for the process (subscriptions): a dead process answers nothing.
	Gone(end func())
}

// Client is one process's connection to the server.
type Client struct {
	server *Server
	link   Link
	host   host.Host
}

// NewClient returns a connection.
func NewClient(s *Server, l Link, h host.Host) *Client { return &Client{server: s, link: l, host: h} }

// write is a call that stores: without an answer it is ambiguous.
func (c *Client) write(ctx context.Context, op string, do func() error) (err error) {
	missed := c.link.Call(ctx, op, func() { err = do() })
	switch {
	case errors.Is(missed, bus.ErrRefused):
		return missed
	case missed != nil:
		return fmt.Errorf("%s: %w: %w", op, bus.ErrAmbiguous, missed)
	case errors.Is(err, bus.ErrMissing): // nobody answers: it looks like an outage
		return fmt.Errorf("%s: %w: no responders", op, bus.ErrAmbiguous)
	}
	return err
}

// ask is any other call.
func (c *Client) ask(ctx context.Context, op string, do func() error) (err error) {
	if missed := c.link.Call(ctx, op, func() { err = do() }); missed != nil {
		return fmt.Errorf("%s: %w", op, missed)
	}
	return err
}

// journal implements bus.Journal.
type journal struct {
	c    *Client
	run  spec.RunName
	name string
	o    bus.StreamOptions
}

// Journal returns a run's journal.
func (c *Client) Journal(run spec.RunName, o bus.StreamOptions) bus.Journal {
	return &journal{c: c, run: run, name: bus.JournalStream(run), o: o}
}

func (j *journal) Ensure(ctx context.Context) (created bool, err error) {
	err = j.c.ask(ctx, "journal.ensure", func() error {
		created = j.c.server.ensure(j.name, stream{maxBytes: j.o.JournalMaxBytes})
		return nil
	})
	return created, err
}

func (j *journal) Bounds(ctx context.Context) (b bus.Bounds, err error) {
	err = j.c.ask(ctx, "journal.bounds", func() (err error) { b, err = j.c.server.bounds(j.name); return err })
	return b, err
}

func (j *journal) Append(ctx context.Context, expectLast uint64, data []byte) error {
	data = slices.Clone(data) // it may be stored late
	return j.c.write(ctx, "journal.append", func() error {
		_, err := j.c.server.appendAfter(j.name, expectLast, []bus.BatchEntry{{Subject: bus.JournalSubject(j.run), Data: data}})
		return err
	})
}

func (j *journal) Get(ctx context.Context, seq uint64) (data []byte, err error) {
	err = j.c.ask(ctx, "journal.get", func() (err error) { data, err = j.c.server.get(j.name, seq); return err })
	return data, err
}

func (j *journal) Read(ctx context.Context, from uint64, fn func(seq uint64, data []byte) error) error {
	b, err := j.Bounds(ctx)
	if err != nil {
		return err
	}
	for next := max(from, 1); next <= b.Last; next++ {
		var m *message
		err := j.c.ask(ctx, "journal.read", func() (err error) { m, _, err = j.c.server.after(j.name, next); return err })
		if err != nil {
			return err
		}
		if m == nil || m.seq != next {
			return fmt.Errorf("journal %s: %w at %d", j.name, bus.ErrGap, next)
		}
		if err := fn(next, m.data); err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) Purge(ctx context.Context, seq uint64) error {
	return j.c.ask(ctx, "journal.purge", func() error { return j.c.server.purge(j.name, seq) })
}

// results implements bus.Results.
type results struct {
	c    *Client
	name string
	o    bus.StreamOptions
}

// Results returns a run's results stream.
func (c *Client) Results(run spec.RunName, o bus.StreamOptions) bus.Results {
	return &results{c: c, name: bus.ResultsStream(run), o: o}
}

func (r *results) Ensure(ctx context.Context) error {
	return r.c.ask(ctx, "results.ensure", func() error {
		limit := r.o.ResultsMaxBytes
		if limit == 0 {
			limit = bus.ResultsMaxBytesDefault
		}
		r.c.server.ensure(r.name, stream{maxBytes: limit})
		return nil
	})
}

func (r *results) Bounds(ctx context.Context) (b bus.Bounds, err error) {
	err = r.c.ask(ctx, "results.bounds", func() (err error) { b, err = r.c.server.bounds(r.name); return err })
	return b, err
}

func (r *results) Purge(ctx context.Context, seq uint64) error {
	return r.c.ask(ctx, "results.purge", func() error { return r.c.server.purge(r.name, seq+1) })
}

func (r *results) Consume(ctx context.Context, after uint64, fn func(seq uint64, from spec.WorkerID, data []byte), failed func(error)) (
	stop func(), err error,
) {
	reader := &reader{c: r.c, next: after + 1, watch: make(chan struct{}, 1)}
	if err := r.c.ask(ctx, "results.consume", func() error { return reader.attach(r.name) }); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	join := r.c.host.Go(func() {
		if err := reader.follow(ctx, fn); err != nil && ctx.Err() == nil {
			failed(err)
		}
	})
	return func() { cancel(); join() }, nil
}

// reader follows one stream.
type reader struct {
	c      *Client
	stream *stream
	next   uint64
	watch  chan struct{}
}

func (r *reader) attach(name string) error {
	r.c.server.mu.Lock()
	defer r.c.server.mu.Unlock()
	st, err := r.c.server.stream(name)
	if err != nil {
		return err
	}
	if st.last+1 < r.next {
		return fmt.Errorf("stream %s: %w: it ends at %d", name, bus.ErrGap, st.last)
	}
	r.stream = st
	st.watchers = append(st.watchers, r.watch)
	return nil
}

// readPoll is how often a reader looks whether the server can be reached again.
const readPoll = 50 * time.Millisecond

func (r *reader) follow(ctx context.Context, fn func(seq uint64, from spec.WorkerID, data []byte)) error {
	for ctx.Err() == nil {
		m, err := r.look()
		switch {
		case !r.c.link.Read(ctx):
			r.c.host.Wait(ctx, readPoll)
		case err != nil:
			return err
		case m == nil:
			r.c.host.Wait(ctx, host.Forever, r.watch)
		case ctx.Err() == nil:
			fn(m.seq, bus.ResultWorker(m.subject), m.data)
			r.next = m.seq + 1
		}
	}
	return nil
}

func (r *reader) look() (*message, error) {
	r.c.server.mu.Lock()
	defer r.c.server.mu.Unlock()
	if r.stream.gone {
		return nil, errMissing(r.stream.name)
	}
	return r.stream.from(r.next), nil
}

// doorbell implements bus.Doorbell.
type doorbell struct {
	c      *Client
	o      bus.StreamOptions
	failed func(subject string, err error)
}

// Doorbell returns the doorbell of all runs.
func (c *Client) Doorbell(o bus.StreamOptions, failed func(subject string, err error)) bus.Doorbell {
	return &doorbell{c: c, o: o, failed: failed}
}

func (d *doorbell) Ensure(ctx context.Context, classes []string) (created bool, err error) {
	err = d.c.ask(ctx, "doorbell.ensure", func() error {
		s := d.c.server
		created = s.ensure(bus.StreamTasks, stream{memory: true, newest: true, maxBytes: d.o.TasksMaxBytes})
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, class := range classes {
			s.streams[bus.StreamTasks].consumers[class] = true
		}
		return nil
	})
	return created, err
}

func (d *doorbell) Renew(ctx context.Context, class string) error {
	return d.c.ask(ctx, "doorbell.renew", func() error {
		s := d.c.server
		s.mu.Lock()
		defer s.mu.Unlock()
		st, err := s.stream(bus.StreamTasks)
		if err != nil {
			return err
		}
		st.consumers[class], st.stalled[class] = true, false
		return nil
	})
}

func (d *doorbell) Publish(ds []*bus.Dispatch, more bool) error {
	data, err := bus.EncodeDispatches(ds)
	if err != nil {
		return err
	}
	m := ds[0]
	subject := bus.TaskSubject(m.Class, m.Run, m.Task.ID, m.Attempt)
	if len(ds) > 1 {
		subject = bus.BatchSubject(m.Class, m.Run, d.c.server.unique())
	}
	if len(data) > bus.MaxPayloadDefault {
		return fmt.Errorf("publish %s: %w", subject, bus.ErrTooLarge)
	}
	failed := func(err error) {
		if !more {
			d.failed(subject, err)
		}
	}
	d.c.link.Post("doorbell.publish", func() {
		if err := d.c.server.ring(m.Class, subject, data); err != nil {
			failed(err)
		}
	}, func() { failed(errNoAnswer) })
	return nil
}

func (d *doorbell) Purge(ctx context.Context, class string, run spec.RunName, task spec.TaskID, attempt uint32) error {
	return d.c.ask(ctx, "doorbell.purge", func() error {
		return d.c.server.removeSubject(bus.StreamTasks, bus.TaskSubject(class, run, task, attempt))
	})
}

// errNoAnswer: no word from the server.
var errNoAnswer = errors.New("the server does not answer")

// uplinks implements bus.Uplinks.
type uplinks struct{ c *Client }

// Uplinks returns the leader's side of the heartbeat exchange.
func (c *Client) Uplinks() bus.Uplinks { return &uplinks{c} }

func (u *uplinks) Listen(fn func(from spec.WorkerID, u bus.Uplink)) (stop func(), err error) {
	err = u.c.ask(context.Background(), "uplinks.listen", func() error {
		l := &listener[bus.Uplink]{deliver: func(m bus.Uplink) { u.c.link.Deliver(func() { fn(m.Worker, m) }) }}
		stop = listen(u.c.server, &u.c.server.uplinks, l)
		u.c.link.Gone(stop)
		return nil
	})
	return stop, err
}

func (u *uplinks) Tell(d bus.Demand) error {
	u.c.link.Post("uplinks.tell", func() {
		for _, l := range listeners(u.c.server, &u.c.server.demands) {
			l.deliver(d)
		}
	}, nil)
	return nil
}

func (u *uplinks) ListenDemands(fn func(bus.Demand)) (stop func(), err error) {
	err = u.c.ask(context.Background(), "uplinks.demands", func() error {
		l := &listener[bus.Demand]{deliver: func(d bus.Demand) { u.c.link.Deliver(func() { fn(d) }) }}
		stop = listen(u.c.server, &u.c.server.demands, l)
		u.c.link.Gone(stop)
		return nil
	})
	return stop, err
}

func (u *uplinks) Answer(worker spec.WorkerID, a bus.Answer) error {
	return u.post("uplinks.answer", worker, a)
}

func (u *uplinks) Hello(a bus.Answer) error { return u.post("uplinks.hello", "", a) }

func (u *uplinks) post(op string, worker spec.WorkerID, a bus.Answer) error {
	data, err := bus.EncodeAnswer(&a)
	if err != nil {
		return err
	}
	u.c.link.Post(op, func() {
		if err := u.c.server.answer(worker, data); err != nil {
			panic(fmt.Sprintf("model: an answer that was encoded cannot be decoded: %v", err))
		}
	}, nil)
	return nil
}

func (u *uplinks) Lead(run spec.RunName) (stop func(), err error) {
	err = u.c.ask(context.Background(), "uplinks.lead", func() error {
		u.c.server.lead(string(run), 1)
		ended := false
		stop = func() {
			if !ended {
				ended = true
				u.c.server.lead(string(run), -1)
			}
		}
		u.c.link.Gone(stop)
		return nil
	})
	return stop, err
}

func (u *uplinks) Ping(ctx context.Context, run spec.RunName) error {
	return u.c.ask(ctx, "uplinks.ping", func() error {
		if u.c.server.Leaders(run) == 0 {
			return fmt.Errorf("ping the leader of run %q: %w", run, bus.ErrNoLeader)
		}
		return nil
	})
}

func (u *uplinks) RTT(ctx context.Context) (time.Duration, error) {
	began := u.c.host.Now()
	err := u.c.ask(ctx, "uplinks.rtt", func() error { return nil })
	return u.c.host.Now().Sub(began), err
}

// mirror implements kv.Mirror.
type mirror struct {
	c    *Client
	name string
}

// MirrorStream names the stream of a run's mirror.
func MirrorStream(run spec.RunName) string { return "KV_" + bus.StateBucket(run) }

// Mirror returns a run's mirror.
func (c *Client) Mirror(run spec.RunName) kv.Mirror { return &mirror{c: c, name: MirrorStream(run)} }

func (m *mirror) Ensure(ctx context.Context) (created bool, err error) {
	err = m.c.ask(ctx, "mirror.ensure", func() error {
		created = m.c.server.ensure(m.name, stream{newest: true})
		return nil
	})
	return created, err
}

func (m *mirror) Flush(ctx context.Context, expectLast uint64, entries []kv.Entry) (last uint64, err error) {
	if len(entries) == 0 || len(entries) > kv.BatchMax {
		return 0, fmt.Errorf("flush %d entries: %w", len(entries), bus.ErrRefused)
	}
	batch := make([]bus.BatchEntry, len(entries))
	for i, e := range entries {
		batch[i] = bus.BatchEntry{Subject: e.Key, Data: e.Value}
	}
	err = m.c.write(ctx, "mirror.flush", func() (err error) {
		last, err = m.c.server.appendAfter(m.name, expectLast, batch)
		return err
	})
	return last, err
}

func (m *mirror) Load(ctx context.Context, fn func(key string, value []byte) error) (last uint64, err error) {
	for next := uint64(1); ; {
		var found *message
		err := m.c.ask(ctx, "mirror.load", func() (err error) { found, last, err = m.c.server.after(m.name, next); return err })
		if err != nil {
			return 0, err
		}
		if found == nil {
			return last, nil
		}
		if err := fn(found.subject, found.data); err != nil {
			return 0, err
		}
		next = found.seq + 1
	}
}

func (m *mirror) Last(ctx context.Context) (uint64, error) {
	var b bus.Bounds
	err := m.c.ask(ctx, "mirror.last", func() (err error) { b, err = m.c.server.bounds(m.name); return err })
	return b.Last, err
}

func (m *mirror) Size(ctx context.Context) (keys, last uint64, err error) {
	err = m.c.ask(ctx, "mirror.size", func() (err error) { keys, last, err = m.c.server.size(m.name); return err })
	return keys, last, err
}

func (m *mirror) Get(ctx context.Context, key string) (value []byte, err error) {
	err = m.c.ask(ctx, "mirror.get", func() error {
		found, err := m.c.server.newest(m.name, key)
		if err == nil && found == nil {
			err = fmt.Errorf("mirror key %q: %w", key, bus.ErrMissing)
		}
		if err == nil {
			value = found.data
		}
		return err
	})
	return value, err
}

// lease implements kv.Lease.
type lease struct {
	c   *Client
	ttl time.Duration
}

const leaseStream = "KV_" + bus.BucketLease

// Lease returns the leases of all runs.
func (c *Client) Lease(o kv.LeaseOptions) kv.Lease {
	if o.TTL == 0 {
		o.TTL = kv.LeaseTTLDefault
	}
	return &lease{c: c, ttl: o.TTL}
}

func (l *lease) Ensure(ctx context.Context) error {
	return l.c.ask(ctx, "lease.ensure", func() error {
		l.c.server.ensure(leaseStream, stream{newest: true, maxAge: l.ttl})
		return nil
	})
}

func (l *lease) Holder(ctx context.Context, run spec.RunName) (h kv.Holder, revision uint64, ok bool, err error) {
	err = l.c.ask(ctx, "lease.holder", func() error {
		found, err := l.c.server.newest(leaseStream, spec.EncodeName(string(run)))
		if err != nil || found == nil {
			return err
		}
		revision, ok = found.seq, true
		return msgpack.Unmarshal(found.data, &h)
	})
	return h, revision, ok, err
}

func (l *lease) Acquire(ctx context.Context, run spec.RunName, h kv.Holder, revision uint64) (seq uint64, err error) {
	data, err := msgpack.Marshal(&h)
	if err != nil {
		return 0, err
	}
	err = l.c.write(ctx, "lease.acquire", func() (err error) {
		seq, err = l.c.server.appendIf(leaseStream, spec.EncodeName(string(run)), revision, data)
		return err
	})
	if errors.Is(err, bus.ErrConflict) {
		err = fmt.Errorf("lease of run %q: %w", run, kv.ErrHeld)
	}
	return seq, err
}

func (l *lease) Release(ctx context.Context, _ spec.RunName, revision uint64) error {
	return l.c.ask(ctx, "lease.release", func() error { return l.c.server.removeSeq(leaseStream, revision) })
}
