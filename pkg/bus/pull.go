package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Puller takes dispatched tasks of one class from the doorbell, through one subscription that stands while all goes well:
// so a task that is dispatched finds a request of each free slot waiting. One goroutine uses it.
type Puller struct {
	conn      *Conn
	class     string
	subject   string
	malformed func(subject string, err error)

	link     *link // that the subscription belongs to: the server forgets requests with their connection
	sub      *nats.Subscription
	messages chan *nats.Msg
	closed   chan struct{} // closed once nothing comes to messages any more
	asked    int           // messages asked for and not yet come
	until    time.Time     // when all requests will have ended
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
	// pullRest is the least that is left of the requests under way for another to end with them.
	pullRest = 100 * time.Millisecond
	// pullStatusRoom is room for statuses beside one for each message that is asked for.
	pullStatusRoom = 16
)

// errQuiet: the server did not end a request in time.
var errQuiet = errors.New("no word from the server")

// Pull waits for about expires (best a few seconds) and returns up to n tasks as soon as there is one, or none when the
// time is up. Each is acked already: it is the caller's now, and nobody else's until its lease lapses. n is the number of
// free slots: between two calls it may fall by what was pulled only. After an error nothing is asked for until the next
// call; wait before that. ErrMissing says that the class has no queue (yet): the leader makes it.
func (p *Puller) Pull(ctx context.Context, n int, expires time.Duration) ([]*Dispatch, error) {
	tasks, err := p.pull(ctx, n, expires)
	if err != nil {
		err = fmt.Errorf("pull tasks of class %q: %w", p.class, errors.Join(whenAway(err), p.Close()))
	}
	return tasks, err
}

func (p *Puller) pull(ctx context.Context, n int, expires time.Duration) (tasks []*Dispatch, err error) {
	if err := p.open(n); err != nil {
		return nil, err
	}
	if err := p.ask(n, expires); err != nil {
		return nil, err
	}
	for {
		m, err := p.next(ctx, len(tasks) == 0 && p.asked > 0)
		if m == nil || err != nil {
			return tasks, err
		}
		task, err := p.take(m)
		if task != nil {
			tasks = append(tasks, task)
		}
		if err != nil || len(tasks) == n {
			return tasks, err
		}
	}
}

// open subscribes, unless there is a subscription of use for n messages.
func (p *Puller) open(n int) error {
	room := 2*n + pullStatusRoom
	if p.sub != nil && p.link == p.conn.link.Load() && cap(p.messages) >= room {
		return nil
	}
	if err := p.Close(); err != nil {
		return err
	}
	p.link, p.messages, p.closed = p.conn.link.Load(), make(chan *nats.Msg, room), make(chan struct{})
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

// ask makes a request for what is not asked for yet. It ends with those under way, so that idle slots are one request
// soon.
func (p *Puller) ask(n int, expires time.Duration) error {
	batch := n - p.asked
	if batch <= 0 {
		return nil
	}
	now := time.Now()
	if p.asked == 0 || p.until.Sub(now) < pullRest {
		p.until = now.Add(expires)
	}
	err := p.conn.nc.PublishRequest(p.subject, p.sub.Subject, pullRequest(batch, 0, p.until.Sub(now), 0))
	if err == nil {
		p.asked = n
	}
	return err
}

// take reads one message of the subscription: a task, or the server's word on a request.
func (p *Puller) take(m *nats.Msg) (*Dispatch, error) {
	if status := statusOf(m); status != "" {
		unserved, err := pullStatus(status, m)
		p.asked -= unserved
		return nil, err
	}
	p.asked--
	return p.accept(m)
}

// next returns the next message; nil when there is none and it is not to wait for one.
func (p *Puller) next(ctx context.Context, wait bool) (*nats.Msg, error) {
	select {
	case m := <-p.messages: // without the price of a timer
		return m, nil
	default:
		if !wait {
			return nil, nil
		}
	}
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

// pullStatus reads the server's word on a request: how many messages of it will not come.
func pullStatus(status string, m *nats.Msg) (unserved int, err error) {
	switch status {
	case statusTimeout:
		if unserved, err = strconv.Atoi(m.Header.Get("Nats-Pending-Messages")); err == nil {
			return unserved, nil
		}
	case statusNoResponders:
		return 0, fmt.Errorf("%w: its queue", ErrMissing)
	}
	return 0, fmt.Errorf("the server answered %s %s", status, m.Header.Get("Description"))
}

// accept acks a message and decodes it; nil for one that is malformed, which is removed.
func (p *Puller) accept(m *nats.Msg) (*Dispatch, error) {
	task, err := DecodeDispatch(m.Data)
	if err != nil {
		p.malformed(m.Subject, err)
		return nil, m.Term()
	}
	return task, m.Ack()
}

// Close ends what is asked for, and offers again at once what comes nevertheless. The puller may be used again.
func (p *Puller) Close() error {
	sub := p.sub
	if sub == nil {
		return nil
	}
	p.sub, p.asked = nil, 0
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
