package coordinator

import (
	"context"
	"fmt"
	"time"

	"autoresearch/internal/model"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// simLink is the way between one coordinator process and the server. Every fault of the network, of the server's disk and
// of the process itself that can happen at a call happens here.
type simLink struct {
	w    *simulation
	node *simNode
	p    *model.Proc
}

// errSilence: no answer came in time. As with the real server, that passes.
var errSilence = fmt.Errorf("no answer: %w", context.DeadlineExceeded)

// silence is how long a caller waits for an answer that does not come.
const silence = 800 * time.Millisecond

// writes are the calls that store, and so may be stored late or refused.
func writes(op string) bool {
	return op == "journal.append" || op == "mirror.flush" || op == "lease.acquire" || op == "results.purge" || op == "objects.put"
}

// Call carries a request and its answer. The process may die before the server has done it, and after.
func (l *simLink) Call(ctx context.Context, op string, do func()) error {
	w := l.w
	if op == "journal.append" {
		l.node.busy = true
	}
	l.crashPoint(op, "before")
	if l.w.server.IsDown() || l.node.cut || op == "uplinks.ping" && w.deafLeader() {
		return l.unheard(ctx, op, "cut off")
	}
	l.p.Wait(ctx, w.latency())
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case w.server.IsDown() || l.node.cut || w.chance(w.plan.lost):
		return l.unheard(ctx, op, "the request is lost")
	case writes(op) && w.chance(w.plan.late):
		w.tracef("%s: %s will be done late", l.node.name, op)
		w.sched.After(silence/2+w.upTo(4*time.Second), func() {
			if !w.server.IsDown() {
				w.tracef("late %s of %s", op, l.node.name)
				do()
			}
		})
		return l.unheard(ctx, op, "the request is late")
	case (op == "journal.append" || op == "mirror.flush") && w.chance(w.plan.refused):
		w.tracef("%s: %s is refused", l.node.name, op)
		return bus.ErrRefused
	}
	do()
	if traced(op) {
		w.tracef("%s: %s", l.node.name, op)
	}
	l.crashPoint(op, "after")
	if w.chance(w.plan.unheard) {
		return l.unheard(ctx, op, "the answer is lost")
	}
	l.p.Wait(ctx, w.latency())
	if ctx.Err() != nil && writes(op) {
		return ctx.Err()
	}
	return nil
}

// traced leaves out what would fill the trace.
func traced(op string) bool {
	return op != "uplinks.rtt" && op != "uplinks.ping" && op != "lease.holder"
}

func (l *simLink) unheard(ctx context.Context, op, why string) error {
	if traced(op) {
		l.w.tracef("%s: %s: %s", l.node.name, op, why)
	}
	l.p.Wait(ctx, silence)
	return errSilence
}

// crashPoint kills the process, now and then.
func (l *simLink) crashPoint(op, when string) {
	often := 1.0
	switch {
	case op == "journal.append" && len(l.w.check.parts) > 0: // in the middle of a series
		often = 50
	case op == "journal.append":
		often = 10
	}
	if l.w.chance(l.w.plan.crash * often) {
		l.w.check.seen["coordinator crashes"]++
		l.w.tracef("%s dies %s %s", l.node.name, when, op)
		l.node.crash()
	}
	if l.w.chance(l.w.plan.pause) {
		l.node.pause()
	}
	l.p.Wait(context.Background(), 0) // a dead process gets no further, a paused one waits
}

// Post sends a message that nobody waits for.
func (l *simLink) Post(_ string, do func(), lost func()) {
	w := l.w
	if w.server.IsDown() || l.node.cut || w.chance(w.plan.lost) {
		if lost != nil {
			l.p.After(5*time.Second, lost)
		}
		return
	}
	w.network(do)
}

// Deliver brings a message of core NATS to the process.
func (l *simLink) Deliver(do func()) {
	if l.w.server.IsDown() || l.node.cut || l.w.chance(l.w.plan.lost) {
		return
	}
	l.p.After(l.w.latency(), do)
	if l.w.chance(l.w.plan.twice) {
		l.p.After(l.w.upTo(5*time.Second), do)
	}
}

// Read waits for the next message of a stream.
func (l *simLink) Read(ctx context.Context) bool {
	l.p.Wait(ctx, l.w.latency())
	return !l.w.server.IsDown() && !l.node.cut
}

// Gone ends subscriptions when the process dies.
func (l *simLink) Gone(end func()) { l.node.subscriptions = append(l.node.subscriptions, end) }

// network brings a message to the server, perhaps late, perhaps twice.
func (w *simulation) network(do func()) {
	deliver := func() {
		if !w.server.IsDown() {
			do()
		}
	}
	w.sched.After(w.latency(), deliver)
	if w.chance(w.plan.twice) {
		w.sched.After(w.upTo(5*time.Second), deliver)
	}
}

// latencyMax is the slowest message.
const latencyMax = 1500 * time.Millisecond

// latency is mostly short, and sometimes long enough for anything to come between.
func (w *simulation) latency() time.Duration {
	if w.chance(w.plan.slow) {
		return w.upTo(latencyMax)
	}
	return w.upTo(3 * time.Millisecond)
}

// witnessed are the ports through which the checker sees what a leader says to workers, at the moment it says it.
type witnessedUplinks struct {
	bus.Uplinks
	node *simNode
}

// Answer checks receipts.
func (u witnessedUplinks) Answer(worker spec.WorkerID, a bus.Answer) error {
	w := u.node.w
	for _, ref := range a.Receipt {
		w.check.receipt(worker, ref)
	}
	w.tracef("%s answers %s: %d stops, receipts %v, again %v", u.node.name, worker, len(a.Stop), refs(a.Receipt), refs(a.SendAgain))
	return u.Uplinks.Answer(worker, a)
}

type witnessedDoorbell struct {
	bus.Doorbell
	node *simNode
}

// Publish checks that the dispatches are journaled.
func (d witnessedDoorbell) Publish(ds []*bus.Dispatch, more bool) error {
	for _, m := range ds {
		d.node.w.check.published(m)
		d.node.w.tracef("%s publishes %s/%d", d.node.name, m.Task.ID, m.Attempt)
	}
	return d.Doorbell.Publish(ds, more)
}
