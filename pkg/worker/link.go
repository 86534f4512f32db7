package worker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// link is all that the worker needs of NATS. Its methods may be called concurrently.
type link interface {
	// pull waits for at most expiry and returns the dispatches of one message of a class as soon as there is one; none is no
	// error. What it returns is the caller's, also beside an error. One goroutine pulls for a class; what it asks for may come
	// until stopPulling, or an error, ends that.
	pull(ctx context.Context, class string, expiry time.Duration) ([]*bus.Dispatch, error)
	stopPulling(class string) error
	// publish returns nil once the message is stored.
	publish(ctx context.Context, run spec.RunName, m *bus.ResultMessage) error
	// put stores a blob of a run in the object store and get returns one, whole; both are idempotent.
	put(ctx context.Context, run spec.RunName, data []byte) error
	get(ctx context.Context, run spec.RunName, b spec.Blob) ([]byte, error)
	// keep stores a blob in a run's output store; it is idempotent.
	keep(ctx context.Context, run spec.RunName, data []byte) error
	// log stores a piece of an attempt's output.
	log(ctx context.Context, ref bus.AttemptRef, part bus.LogPart, m *bus.LogMessage) error
	// uplink sends without waiting; the message may be lost.
	uplink(u *bus.Uplink) error
	// listen calls fn for each answer, one at a time, until stop is called.
	listen(fn func(bus.Answer)) (stop func(), err error)
	// onReconnect calls fn after each reconnect until stop is called; fn must return soon.
	onReconnect(fn func()) (stop func())
	connected() bool
	// maxPayload is the largest message in bytes.
	maxPayload() int
	close() error
}

// busLink is a link over NATS.
type busLink struct {
	conn   *bus.Conn
	own    bool // the connection is ours to close
	worker spec.WorkerID

	mu      sync.Mutex // guards the map
	pullers map[string]*bus.Puller
}

// dial connects, unless the options bring a connection.
func dial(ctx context.Context, o *Options, worker spec.WorkerID) (link, error) {
	l := &busLink{conn: o.Conn, worker: worker, pullers: map[string]*bus.Puller{}}
	if l.conn == nil {
		options := o.Bus
		if options.Name == "" {
			options.Name = "autoresearch worker " + string(worker)
		}
		if options.InboxPrefix == "" {
			options.InboxPrefix = bus.InboxPrefix(worker)
		}
		if options.Logger == nil {
			options.Logger = o.Logger
		}
		conn, err := bus.Connect(ctx, options)
		if err != nil {
			return nil, fmt.Errorf("worker %s: %w", worker, err)
		}
		l.conn, l.own = conn, true
	}
	return l, nil
}

// puller returns the puller of a class.
func (l *busLink) puller(class string) *bus.Puller {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.pullers[class]
	if p == nil {
		p = bus.NewPuller(l.conn, class, nil)
		l.pullers[class] = p
	}
	return p
}

func (l *busLink) pull(ctx context.Context, class string, expiry time.Duration) ([]*bus.Dispatch, error) {
	return l.puller(class).Pull(ctx, expiry)
}

func (l *busLink) stopPulling(class string) error { return l.puller(class).Close() }

func (l *busLink) publish(ctx context.Context, run spec.RunName, m *bus.ResultMessage) error {
	return l.conn.PublishResult(ctx, run, l.worker, m)
}

func (l *busLink) put(ctx context.Context, run spec.RunName, data []byte) error {
	_, err := bus.NewWorkerObjects(l.conn, run, bus.StreamOptions{}).Put(ctx, data)
	return err
}

func (l *busLink) get(ctx context.Context, run spec.RunName, b spec.Blob) ([]byte, error) {
	return bus.NewWorkerObjects(l.conn, run, bus.StreamOptions{}).Get(ctx, b, b.Size)
}

func (l *busLink) keep(ctx context.Context, run spec.RunName, data []byte) error {
	_, err := bus.NewWorkerOutput(l.conn, run, bus.StreamOptions{}).Put(ctx, data)
	return err
}

func (l *busLink) log(ctx context.Context, ref bus.AttemptRef, part bus.LogPart, m *bus.LogMessage) error {
	return l.conn.PublishLog(ctx, ref.Run, l.worker, ref.Task, ref.Attempt, part, m)
}

func (l *busLink) uplink(u *bus.Uplink) error { return l.conn.SendUplink(u) }

func (l *busLink) listen(fn func(bus.Answer)) (stop func(), err error) {
	return l.conn.ListenControl(l.worker, fn)
}

func (l *busLink) onReconnect(fn func()) (stop func()) { return l.conn.OnReconnect(fn) }
func (l *busLink) connected() bool                     { return l.conn.Connected() }
func (l *busLink) maxPayload() int                     { return l.conn.MaxPayload() }

func (l *busLink) close() error {
	if !l.own {
		return nil
	}
	return l.conn.Close()
}
