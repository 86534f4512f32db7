package bus

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// foreseen reports that a probe expected this error.
func (c *Conn) foreseen(err error) bool {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.denied == nil {
		return false
	}
	c.denied <- err
	c.denied = nil
	return true
}

// asyncError is called from the connection's goroutine.
func (c *Conn) asyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	if c.foreseen(err) {
		return
	}
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	c.log.Error("NATS reports an error", "subject", subject, "error", err)
	if c.onErr != nil {
		c.onErr(err)
	}
}

// link is one continuous connection. It ends when the connection is lost: an answer that has not come by then never
// will.
type link struct {
	ctx context.Context
	end context.CancelFunc
}

func newLink() *link {
	ctx, end := context.WithCancel(context.Background())
	return &link{ctx: ctx, end: end}
}

// errDisconnected ends what waits for an answer.
var errDisconnected = errors.New("disconnected from NATS")

// whenAway says what the client library's word for sending while disconnected means here, where nothing is buffered.
func whenAway(err error) error {
	if errors.Is(err, nats.ErrReconnectBufExceeded) {
		return errDisconnected
	}
	return err
}

// errNoAnswer ends what waited too long for one.
var errNoAnswer = errors.New("no answer in time")

// waitContext bounds the wait for an answer by ctx, by timeout and by the connection.
func (c *Conn) waitContext(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	ctx, timedOut := context.WithTimeoutCause(ctx, timeout, errNoAnswer)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.link.Load().ctx, func() { cancel(errDisconnected) })
	return ctx, func() {
		stop()
		cancel(nil)
		timedOut()
	}
}

func (c *Conn) disconnect(_ *nats.Conn, err error) {
	c.link.Swap(newLink()).end()
	if err != nil {
		c.log.Warn("disconnected from NATS", "error", err)
	}
}

func (c *Conn) reconnect(nc *nats.Conn) {
	c.log.Info("reconnected to NATS", "url", nc.ConnectedUrlRedacted(), "version", nc.ConnectedServerVersion())
	c.mu.Lock()
	callbacks := make([]func(), 0, len(c.reconnected))
	for _, fn := range c.reconnected {
		callbacks = append(callbacks, fn)
	}
	c.mu.Unlock()
	for _, fn := range callbacks {
		fn()
	}
}

// OnReconnect calls fn after each reconnect until stop is called, from the connection's goroutine: fn must return soon.
func (c *Conn) OnReconnect(fn func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.nextID
	c.nextID++
	c.reconnected[id] = fn
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.reconnected, id)
	}
}
