package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// Puller takes dispatched tasks of one class from the doorbell.
type Puller struct {
	conn      *Conn
	class     string
	subject   string
	malformed func(subject string, err error)
}

// NewPuller returns a puller. malformed, unless nil, hears of messages that are no Dispatch; they are removed. It is
// safe for concurrent use.
func NewPuller(c *Conn, class string, malformed func(subject string, err error)) *Puller {
	if malformed == nil {
		malformed = func(subject string, err error) {
			c.log.Error("removed a malformed task message", "subject", subject, "error", err)
		}
	}
	return &Puller{
		conn:      c,
		class:     class,
		subject:   "$JS.API.CONSUMER.MSG.NEXT." + StreamTasks + "." + ClassConsumer(class),
		malformed: malformed,
	}
}

// pullSlack is how much longer than the server's word a pull waits for it.
const pullSlack = time.Second

// errQuiet: the server stopped sending heartbeats.
var errQuiet = errors.New("no word from the server")

// Pull waits for at most expires (best a few seconds) and returns up to n tasks as soon as there is one, or none when
// the time is up. Each is acked already: it is the caller's now, and nobody else's until its lease lapses. Ask for no
// more than there are free slots. On an error, wait before the next Pull; ErrMissing says that the class has no queue
// (yet): the leader makes it.
func (p *Puller) Pull(ctx context.Context, n int, expires time.Duration) ([]*Dispatch, error) {
	ctx, cancel := p.conn.waitContext(ctx, expires+pullSlack)
	defer cancel()
	tasks, again, err := p.pull(ctx, n, expires, true)
	if again && err == nil {
		// Others wait already and are served first: wait in line, for one.
		tasks, _, err = p.pull(ctx, 1, expires, false)
	}
	if err != nil {
		return tasks, fmt.Errorf("pull tasks of class %q: %w", p.class, whenAway(err))
	}
	return tasks, nil
}

// pull makes one request. once: see pullRequest. again says that a request for once is not possible now.
func (p *Puller) pull(ctx context.Context, n int, expires time.Duration, once bool) (tasks []*Dispatch, again bool, err error) {
	messages := make(chan *nats.Msg, n+pullStatusRoom)
	nc := p.conn.nc
	sub, err := nc.ChanSubscribe(nc.NewInbox(), messages)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, sub.Unsubscribe(), giveBack(messages)) }()
	heartbeat := expires / 4
	if err := nc.PublishRequest(p.subject, sub.Subject, pullRequest(n, 0, expires, heartbeat, once)); err != nil {
		return nil, false, err
	}
	return p.collect(ctx, messages, n, max(3*heartbeat, pullQuietMin))
}

// collect takes n messages, or fewer when the server says that there are no more.
func (p *Puller) collect(ctx context.Context, messages <-chan *nats.Msg, n int, quiet time.Duration) (tasks []*Dispatch, again bool, err error) {
	for received := 0; received < n; {
		m, err := awaitMessage(ctx, messages, quiet)
		if err != nil {
			return tasks, false, err
		}
		if status := statusOf(m); status != "" {
			over, again, err := pullStatus(status, m)
			if over || err != nil {
				return tasks, again && received == 0, err
			}
			continue
		}
		received++
		task, err := p.accept(m)
		if err != nil {
			return tasks, false, err
		}
		if task != nil {
			tasks = append(tasks, task)
		}
	}
	return tasks, false, nil
}

// awaitMessage waits for a message, for at most quiet.
func awaitMessage(ctx context.Context, messages <-chan *nats.Msg, quiet time.Duration) (*nats.Msg, error) {
	silence := time.NewTimer(quiet)
	defer silence.Stop()
	select {
	case m := <-messages:
		return m, nil
	case <-silence.C:
		return nil, errQuiet
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// pullQuietMin is the shortest silence that counts: a busy machine is late with heartbeats.
const pullQuietMin = 2 * time.Second

// pullStatusRoom is room for heartbeats and the last word beside the messages.
const pullStatusRoom = 16

// pullStatus reads the server's word on a request: whether it is over, whether to make it again in another way.
func pullStatus(status string, m *nats.Msg) (over, again bool, err error) {
	description := m.Header.Get("Description")
	switch status {
	case statusHeartbeat:
		return false, false, nil
	case statusNoMessages:
		return true, false, nil
	case statusTimeout:
		return true, description == "Requests Pending", nil
	case statusNoResponders:
		return true, false, fmt.Errorf("%w: its queue", ErrMissing)
	}
	return true, false, fmt.Errorf("the server answered %s %s", status, description)
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

// giveBack offers again at once what came after the pull ended.
func giveBack(messages <-chan *nats.Msg) (err error) {
	for {
		select {
		case m := <-messages:
			if statusOf(m) == "" {
				err = errors.Join(err, m.Nak())
			}
		default:
			return err
		}
	}
}
