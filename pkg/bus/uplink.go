package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"autoresearch/pkg/spec"
)

// uplinks implements Uplinks over core NATS.
type uplinks struct{ conn *Conn }

// NewUplinks returns the leaders' side of the heartbeat exchange. It is safe for concurrent use.
func NewUplinks(c *Conn) Uplinks { return &uplinks{conn: c} }

// Listen skips and logs what is no Uplink. stop waits for fn to return; fn must not call it.
func (u *uplinks) Listen(fn func(from spec.WorkerID, u Uplink)) (stop func(), err error) {
	return u.conn.subscribe(UplinkAllSubject, func(m *nats.Msg) {
		uplink, err := DecodeUplink(m.Data)
		if err != nil {
			u.conn.log.Warn("ignored a malformed message", "subject", m.Subject, "error", err)
			return
		}
		fn(SubjectWorker(strings.TrimPrefix(m.Subject, subjectUplink)), *uplink)
	})
}

// subscribe calls fn for every message of subject from one goroutine. stop waits until fn has returned for the last
// time.
func (c *Conn) subscribe(subject string, fn func(m *nats.Msg)) (stop func(), err error) {
	sub, err := c.nc.Subscribe(subject, fn)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	done := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(done) })
	return func() {
		err := sub.Unsubscribe()
		if err != nil && !errors.Is(err, nats.ErrConnectionClosed) && !errors.Is(err, nats.ErrBadSubscription) {
			c.log.Warn("unsubscribe", "subject", subject, "error", err)
		}
		<-done
	}, nil
}

func (u *uplinks) Answer(worker spec.WorkerID, a Answer) error {
	return u.conn.sendAnswer(ControlSubject(worker), &a)
}

func (u *uplinks) Hello(a Answer) error { return u.conn.sendAnswer(ControlAllSubject, &a) }

func (u *uplinks) Tell(d Demand) error {
	data, err := EncodeDemand(&d)
	if err != nil {
		return err
	}
	return u.conn.send(DemandSubject(d.Run), data)
}

// ListenDemands skips and logs what is no Demand. stop waits for fn to return; fn must not call it.
func (u *uplinks) ListenDemands(fn func(Demand)) (stop func(), err error) {
	return u.conn.subscribe(DemandAllSubject, func(m *nats.Msg) {
		demand, err := DecodeDemand(m.Data)
		if err != nil {
			u.conn.log.Warn("ignored a malformed message", "subject", m.Subject, "error", err)
			return
		}
		fn(*demand)
	})
}

func (c *Conn) sendAnswer(subject string, a *Answer) error {
	w := borrowWire()
	defer w.giveBack()
	w.answer(a)
	return c.send(subject, w.out)
}

// send publishes over core NATS: it may be lost.
func (c *Conn) send(subject string, data []byte) error {
	err := c.nc.Publish(subject, data)
	if errors.Is(err, nats.ErrMaxPayload) {
		err = fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	if err != nil {
		return fmt.Errorf("send to %s: %w", subject, whenAway(err))
	}
	return nil
}

func (u *uplinks) Lead(run spec.RunName) (stop func(), err error) {
	return u.conn.subscribe(LeadSubject(run), func(m *nats.Msg) {
		if err := m.Respond(nil); err != nil {
			u.conn.log.Warn("answer a ping", "subject", m.Subject, "error", err)
		}
	})
}

func (u *uplinks) Ping(ctx context.Context, run spec.RunName) error {
	ctx, cancel := u.conn.waitContext(ctx, requestTimeout)
	defer cancel()
	_, err := u.conn.nc.RequestWithContext(ctx, LeadSubject(run), nil)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("ping the leader of run %q: %w", run, ErrNoLeader)
	}
	return fmt.Errorf("ping the leader of run %q: %w", run, withCause(ctx, err))
}

func (u *uplinks) RTT(ctx context.Context) (time.Duration, error) { return u.conn.RTT(ctx) }

// SendUplink sends a worker's heartbeat or start notice. It may be lost; the next one tells the same.
func (c *Conn) SendUplink(u *Uplink) error {
	data, err := EncodeUplink(u)
	if err != nil {
		return err
	}
	return c.send(UplinkSubject(u.Worker), data)
}

// ListenControl calls fn for every Answer to one worker and to all, from one goroutine at a time, until stop is called.
// What is no Answer is skipped and logged. fn must not call stop.
func (c *Conn) ListenControl(worker spec.WorkerID, fn func(Answer)) (stop func(), err error) {
	var turn sync.Mutex // two subscriptions, one call at a time
	handle := func(m *nats.Msg) {
		answer, err := DecodeAnswer(m.Data)
		if err != nil {
			c.log.Warn("ignored a malformed message", "subject", m.Subject, "error", err)
			return
		}
		turn.Lock()
		defer turn.Unlock()
		fn(*answer)
	}
	stopOwn, err := c.subscribe(ControlSubject(worker), handle)
	if err != nil {
		return nil, err
	}
	stopAll, err := c.subscribe(ControlAllSubject, handle)
	if err != nil {
		stopOwn()
		return nil, err
	}
	return func() { stopOwn(); stopAll() }, nil
}
