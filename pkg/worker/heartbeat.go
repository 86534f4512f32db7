package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"autoresearch/pkg/bus"
)

const (
	// noticeDelay gathers the starts of one burst into one notice.
	noticeDelay = 2 * time.Millisecond
	// reconnectJitter spreads the heartbeats of many workers after an outage.
	reconnectJitter = 200 * time.Millisecond
	// leaseShare is how many heartbeats at least fit into the shortest lease.
	leaseShare = 3
)

// heartbeatLoop sends every uplink of this worker: heartbeats on a jittered interval and whenever beat has a token, start
// notices when notice has one. Because one goroutine composes and sends them all, the leader receives them in the order of
// what they say: a heartbeat behind a start notice lists what the notice said, or has its result.
func (w *worker) heartbeatLoop(ctx context.Context) {
	timer := time.NewTimer(w.heartbeat())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			timer.Reset(w.heartbeat())
		case <-w.beat:
			timer.Reset(w.heartbeat())
		case <-w.notice:
			w.pauseNotice(ctx)
			w.sendNotice()
		}
	}
}

func (w *worker) pauseNotice(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(noticeDelay):
	}
}

// heartbeat sends a full heartbeat and returns when the next one is due. Only the heartbeat loop calls it, and Run when
// that loop has ended.
func (w *worker) heartbeat() (next time.Duration) {
	u, lease := w.ledger.heartbeat()
	u.Batches = true
	u.Labels, u.GPUs = w.o.Labels, w.ledger.gpuStatus()
	_, u.Breaker, _ = w.breaker.state(time.Now())
	w.sendUplink(u)
	next = w.o.Heartbeat
	if lease > 0 {
		next = min(next, lease/leaseShare)
	}
	return next - next/10 + rand.N(next/5+1)
}

// sendNotice announces what has just started.
func (w *worker) sendNotice() {
	if u := w.ledger.startNotice(); u != nil {
		w.sendUplink(u)
	}
}

func (w *worker) sendUplink(u *bus.Uplink) {
	u.Version, u.Worker, u.Boot, u.Host = bus.MessageVersion, w.who.ID, w.who.Boot, w.host
	err := w.link.uplink(u)
	if errors.Is(err, bus.ErrTooLarge) {
		// The leases of what runs depend on this message: leave out the rest.
		for i := range u.Running {
			u.Running[i].Progress, u.Running[i].Metrics = "", nil
		}
		u.Finished, u.GPUs = nil, nil
		err = w.link.uplink(u)
	}
	if err != nil {
		w.metrics.heartbeatFailures.Inc()
		w.log.Debug("cannot send a heartbeat", "error", err)
		return
	}
	w.health.uplinkSent(time.Now())
	if u.Full {
		w.metrics.heartbeats.Inc()
	}
}

// onReconnect is called by the link after each reconnect.
func (w *worker) onReconnect() {
	w.health.reconnected(time.Now())
	w.retryNow.fire()
	time.AfterFunc(rand.N(reconnectJitter), func() { notify(w.beat) })
}
