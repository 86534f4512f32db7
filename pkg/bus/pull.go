package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Puller takes dispatched tasks of one class from the doorbell, through one subscription and one request that stand while all
// goes well: so what is dispatched finds a request of each worker with free slots waiting. A request is for one message, since
// a message may hold tasks for all the slots. One goroutine uses it.
type Puller struct {
	conn      *Conn
	class     string
	subject   string
	malformed func(subject string, err error)

	link     *link // that the subscription belongs to: the server forgets requests with their connection
	sub      *nats.Subscription
	messages chan *nats.Msg
	closed   chan struct{} // closed once nothing comes to messages any more
	asked    bool          // a request is under way
	until    time.Time     // when it will have ended
}

// NewPuller returns a puller. malformed, unless nil, hears of messages that are no Dispatch; they are removed.
func NewPuller(c *Conn, class string, malformed func(subject string, err error)) *Puller {
	if malformed == nil {
		malformed = func(subject string, err error) {
			c.log.Error("removed a malformed task message", "subject", subject, "error", err)
		}
	}
	return &Puller{
		conn:      c,
		class:     class,
		subject:   c.api + "CONSUMER.MSG.NEXT." + StreamTasks + "." + ClassConsumer(class),
		malformed: malformed,
	}
}

const (
	// pullSlack is how much longer than its word the server may take to end a request.
	pullSlack = time.Second
	// pullRoom is room for the message that is asked for, and for statuses.
	pullRoom = 16
)

// errQuiet: the server did not end a request in time.
var errQuiet = errors.New("no word from the server")

// Pull waits for about expires (best a few seconds) and returns the tasks of the next message, or none when the time is up.
// They are acked already: they are the caller's now, and nobody else's until their lease lapses. After an error nothing is
// asked for until the next call; wait before that. ErrMissing says that the class has no queue (yet): the leader makes it.
func (p *Puller) Pull(ctx context.Context, expires time.Duration) ([]*Dispatch, error) {
	tasks, err := p.pull(ctx, expires)
	if err != nil {
		err = fmt.Errorf("pull tasks of class %q: %w", p.class, errors.Join(whenAway(err), p.Close()))
	}
	return tasks, err
}

func (p *Puller) pull(ctx context.Context, expires time.Duration) ([]*Dispatch, error) {
	if err := p.open(); err != nil {
		return nil, err
	}
	if err := p.ask(expires); err != nil {
		return nil, err
	}
	m, err := p.next(ctx)
	if err != nil {
		return nil, err
	}
	p.asked = false
	if status := statusOf(m); status != "" {
		return nil, pullStatus(status, m)
	}
	return p.accept(m)
}

// open subscribes, unless there is a subscription of use.
func (p *Puller) open() error {
	if p.sub != nil && p.link == p.conn.link.Load() {
		return nil
	}
	if err := p.Close(); err != nil {
		return err
	}
	p.link, p.messages, p.closed = p.conn.link.Load(), make(chan *nats.Msg, pullRoom), make(chan struct{})
	nc := p.conn.nc
	sub, err := nc.ChanSubscribe(nc.NewInbox(), p.messages)
	if err != nil {
		return err
	}
	closed := p.closed
	ended := sync.OnceFunc(func() { close(closed) })
	sub.SetClosedHandler(func(string) { ended() }) // the client calls it twice when it is closed while it drains
	p.sub = sub
	return nil
}

// ask makes a request unless one is under way.
func (p *Puller) ask(expires time.Duration) error {
	if p.asked {
		return nil
	}
	p.until = time.Now().Add(expires)
	err := p.conn.nc.PublishRequest(p.subject, p.sub.Subject, pullRequest(1, 0, expires, 0))
	p.asked = err == nil
	return err
}

// next waits for the next message.
func (p *Puller) next(ctx context.Context) (*nats.Msg, error) {
	over := time.NewTimer(time.Until(p.until) + pullSlack)
	defer over.Stop()
	select {
	case m := <-p.messages:
		return m, nil
	case <-over.C:
		return nil, errQuiet
	case <-p.link.ctx.Done():
		return nil, errDisconnected
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// pullStatus reads the server's word on a request; nil when its time is up.
func pullStatus(status string, m *nats.Msg) error {
	switch status {
	case statusTimeout:
		return nil
	case statusNoResponders:
		return fmt.Errorf("%w: its queue", ErrMissing)
	}
	return fmt.Errorf("the server answered %s %s", status, m.Header.Get("Description"))
}

// accept acks a message and decodes it; nil for one that is malformed, which is removed.
func (p *Puller) accept(m *nats.Msg) ([]*Dispatch, error) {
	tasks, err := DecodeDispatches(m.Data)
	if err != nil {
		p.malformed(m.Subject, err)
		return nil, m.Term()
	}
	return tasks, m.Ack()
}

// Close ends what is asked for, and offers again at once what comes nevertheless. The puller may be used again.
func (p *Puller) Close() error {
	sub := p.sub
	if sub == nil {
		return nil
	}
	p.sub, p.asked = nil, false
	if p.link.ctx.Err() != nil || !p.conn.Connected() {
		return unsubscribe(sub) // the server has forgotten it, and offers again what nobody acked
	}
	if err := sub.Drain(); err != nil {
		return unsubscribe(sub)
	}
	return p.drain(sub)
}

// drain gives back what comes until the server has heard that nothing is wanted any more.
func (p *Puller) drain(sub *nats.Subscription) (err error) {
	over := time.NewTimer(drainTimeout)
	defer over.Stop()
	for {
		select {
		case m := <-p.messages:
			err = errors.Join(err, giveBack(m))
			continue
		case <-p.closed:
		case <-p.link.ctx.Done():
			err = errors.Join(err, unsubscribe(sub))
		case <-over.C:
			err = errors.Join(err, unsubscribe(sub))
		}
		break
	}
	for len(p.messages) > 0 { // nothing more comes
		err = errors.Join(err, giveBack(<-p.messages))
	}
	return err
}

// unsubscribe ends a subscription; it is no error that it has ended.
func unsubscribe(sub *nats.Subscription) error {
	err := sub.Unsubscribe()
	if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrBadSubscription) {
		return nil
	}
	return err
}

// giveBack offers a message again at once.
func giveBack(m *nats.Msg) error {
	if statusOf(m) != "" {
		return nil
	}
	return m.Nak()
}
