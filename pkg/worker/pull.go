package worker

import (
	"context"
	"errors"
	"time"

	"autoresearch/pkg/bus"
)

const (
	// pullExpiry is how long one request for dispatches lasts, pullProbe how long the first one after a failure: it
	// only has to show that the class can be heard again.
	pullExpiry = 5 * time.Second
	pullProbe  = 100 * time.Millisecond
	// pullGrace is how much longer than its expiry a pull may take before it counts as stalled and is made anew.
	pullGrace = 3 * time.Second
	// idleNotice is how long a slot may be idle before the leaders hear that it is free, ahead of the next heartbeat: that of the run
	// that had it knows, others may want it.
	idleNotice = 50 * time.Millisecond
)

var errPullStalled = errors.New("the pull stalled")

// pullLoop keeps one class's free slots busy until ctx is done: wait for free slots, ask for a message, start what it holds.
// The leader puts no more into one than any worker has slots for, so nothing waits in this process.
func (w *worker) pullLoop(ctx context.Context, p *pool) {
	defer func() {
		if err := w.link.stopPulling(p.class); err != nil {
			w.log.Warn("take back the requests for tasks", "class", p.class, "error", err)
		}
	}()
	failures, probe := 0, false
	for ctx.Err() == nil {
		free := w.ledger.offered(p) > 0
		w.ledger.setWanting(p, free, time.Now())
		if !free {
			w.awaitRoom(ctx, p)
			continue
		}
		expiry := pullExpiry
		if probe {
			expiry = pullProbe
		}
		err := w.pull(ctx, p, expiry)
		switch {
		case ctx.Err() != nil, errors.Is(err, errShared):
		case err != nil:
			failures++
			probe = true
			w.pullFailed(p, failures, err)
			w.pause(ctx, backoff(failures))
		default:
			failures, probe = 0, false
			w.pullWorked(p)
		}
	}
}

// awaitRoom waits until a slot of the pool may be free, or the breaker lets the worker try again.
func (w *worker) awaitRoom(ctx context.Context, p *pool) {
	_, _, wait := w.breaker.state(time.Now())
	if wait == 0 {
		wait = forever
	}
	again := time.NewTimer(wait)
	defer again.Stop()
	select {
	case <-ctx.Done():
	case <-p.freed:
	case <-again.C:
		most, _, _ := w.breaker.state(time.Now())
		w.ledger.bound(most)
		notify(w.beat)
	}
}

// pull makes one request. The context is the watchdog: a request that outlives its expiry is given up.
func (w *worker) pull(ctx context.Context, p *pool, expiry time.Duration) error {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	ctx, cancel := context.WithTimeoutCause(ctx, expiry+pullGrace, errPullStalled)
	defer cancel()
	w.ledger.asking(p, giveUp)
	idle := time.AfterFunc(idleNotice, func() {
		if w.ledger.freeUntold(p) {
			notify(w.beat)
		}
	})
	defer idle.Stop()
	dispatches, err := w.link.pull(ctx, p.class, expiry)
	w.ledger.asking(p, nil)
	w.start(p, dispatches) // with an error too: they are ours
	return err
}

func (w *worker) pullWorked(p *pool) {
	if w.ledger.setUnserved(p, false) {
		w.log.Info("the class is served now", "class", p.class)
	}
	if w.ledger.setDeaf(p, false, time.Now()) {
		w.log.Debug("the class hears its tasks", "class", p.class, "slots", p.size)
		notify(w.beat)
	}
}

func (w *worker) pullFailed(p *pool, failures int, err error) {
	w.metrics.pullFailures.WithLabelValues(p.root().class).Inc()
	if w.ledger.setDeaf(p, true, time.Now()) {
		notify(w.beat)
	}
	if errors.Is(err, bus.ErrMissing) {
		// No coordinator has made the class's queue yet, or it is being made again: that is no fault of this worker's.
		w.ledger.setWanting(p, false, time.Now())
		if w.ledger.setUnserved(p, true) {
			w.log.Warn("no coordinator serves this class yet: its slots wait until one does; is the name right?",
				"class", p.class, "slots", p.size)
		}
		return
	}
	if failures == 1 {
		w.log.Warn("cannot pull tasks: the class offers no slot until it can", "class", p.class, "error", err)
	}
}

// start claims dispatches and runs them. A duplicate of what this worker runs, or has the result of, is ignored.
func (w *worker) start(p *pool, dispatches []*bus.Dispatch) {
	late := w.leaving.Load() // asked before they are held: what is held when the worker begins to leave is the drain's
	held := w.hold(p, dispatches)
	if len(held) == 0 {
		return
	}
	w.ledger.interrupt(p)
	w.notes.started(held)
	notify(w.notice)
	w.attempts.start(held)
	for _, a := range held {
		switch {
		case w.killing.Load():
			a.cancel(errKilled)
		case late:
			w.stop(a, errPreempted)
		}
	}
}

// hold claims those of the dispatches that are new here.
func (w *worker) hold(p *pool, dispatches []*bus.Dispatch) (held []*attempt) {
	now := time.Now()
	for _, d := range dispatches {
		if a := newAttempt(d, p.root(), now); w.ledger.hold(a) {
			held = append(held, a)
		} else {
			w.metrics.duplicates.Inc()
		}
	}
	return held
}
