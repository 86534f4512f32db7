package coordinator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
)

// Election: how often a standby looks, and how many unanswered pings mean that nobody leads.
const (
	campaignInterval = 300 * time.Millisecond
	pingTimeout      = 2 * time.Second
	silencesMax      = 2
)

// tenure is the time for which a coordinator holds the lease of its run. Its context ends when the lease is lost.
type tenure struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	release func()
	renewed func() // waits for the renewing to end
}

// leave gives the lease up and waits for the renewing to end. It is idempotent.
func (t *tenure) leave() {
	t.cancel(context.Canceled)
	t.renewed()
	t.release()
	t.release = func() {}
}

// campaign waits for the lease. The fast sign that it is free is a ping that meets no responder; the slow one is that
// the lease itself has lapsed. Being wrong does no harm: the journal fences whoever led.
func (c *Coordinator) campaign(ctx context.Context) (*tenure, error) {
	c.setRole(RoleStandby, "")
	if err := c.ports.lease.Ensure(ctx); err != nil {
		return nil, fmt.Errorf("run %q: the leader's lease: %w", c.o.Run, err)
	}
	silences, said, pause := 0, "", time.Duration(0) // the first ping is sent at once
	for {
		holder, revision, held, err := c.ports.lease.Holder(ctx, c.o.Run)
		if err == nil {
			c.setHolder(holder)
		}
		switch {
		case err != nil && ctx.Err() == nil:
			c.log.Warn("look up the leader's lease", "err", errors.Join(err, c.mendLease(ctx, err)))
		case err == nil && (!held || silences >= silencesMax):
			if t, err := c.accede(ctx, revision); err == nil || !errors.Is(err, kv.ErrHeld) {
				return t, err
			}
			silences = 0
		case err == nil && said != holder.ID:
			said = holder.ID
			c.log.Info("standing by", "leader_host", holder.Host, "leader_pid", holder.PID)
		}
		if silences, err = c.listen(ctx, silences, pause); err != nil {
			return nil, err
		}
		pause = c.host.Jitter(campaignInterval)
	}
}

// listen pings the leader after a pause and counts its silences in a row.
func (c *Coordinator) listen(ctx context.Context, silences int, pause time.Duration) (int, error) {
	if pause > 0 {
		c.host.Wait(ctx, pause)
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	ping, cancel := c.host.Within(ctx, pingTimeout)
	defer cancel()
	if err := c.ports.uplinks.Ping(ping, c.o.Run); errors.Is(err, bus.ErrNoLeader) {
		return silences + 1, nil
	}
	return 0, nil
}

// accede takes the lease, answers pings from then on, and keeps the lease until the tenure is left.
func (c *Coordinator) accede(ctx context.Context, revision uint64) (*tenure, error) {
	me := kv.Holder{ID: c.id, Host: c.hostname(), PID: os.Getpid(), HTTP: c.o.HTTP}
	revision, err := c.ports.lease.Acquire(ctx, c.o.Run, me, revision)
	if err != nil {
		return nil, err
	}
	c.setRole(RoleRecovering, "it is recovering the run")
	stopAnswering, err := c.ports.uplinks.Lead(c.o.Run)
	if err != nil {
		return nil, fmt.Errorf("run %q: answer pings: %w", c.o.Run, err)
	}
	t := &tenure{}
	t.ctx, t.cancel = context.WithCancelCause(ctx)
	t.release = func() {
		stopAnswering()
		release, cancel := c.host.Within(context.WithoutCancel(ctx), pingTimeout)
		defer cancel()
		if err := c.ports.lease.Release(release, c.o.Run, revision); err != nil {
			c.log.Debug("release the leader's lease", "err", err)
		}
	}
	t.renewed = c.host.Go(func() { revision = c.keep(t, me, revision) })
	return t, nil
}

// keep renews the lease until the tenure ends, and ends it when somebody else has the lease. It returns the newest
// revision. While NATS does not answer it goes on trying: the journal decides.
func (c *Coordinator) keep(t *tenure, me kv.Holder, revision uint64) uint64 {
	for {
		c.host.Wait(t.ctx, c.o.LeaderTTL/4)
		if t.ctx.Err() != nil {
			return revision
		}
		renewed, err := c.ports.lease.Acquire(t.ctx, c.o.Run, me, revision)
		switch {
		case err == nil:
			revision = renewed
		case errors.Is(err, kv.ErrHeld):
			if revision = c.regain(t, me, revision); revision == 0 {
				t.cancel(fmt.Errorf("run %q: the lease was taken: %w", c.o.Run, errDeposed))
				return 0
			}
		case t.ctx.Err() == nil:
			c.log.Warn("renew the leader's lease", "err", errors.Join(err, c.mendLease(t.ctx, err)))
		}
	}
}

// mendLease makes the lease bucket again, or gives it its configuration back, where a failure may come from that. It
// holds nothing that must survive.
func (c *Coordinator) mendLease(ctx context.Context, failure error) error {
	if !errors.Is(failure, bus.ErrMissing) && !errors.Is(failure, bus.ErrAmbiguous) && !errors.Is(failure, bus.ErrRefused) || !c.ports.connected() {
		return nil
	}
	return c.ports.lease.Ensure(ctx)
}

// regain looks who holds the lease that could not be renewed: it may have lapsed while NATS was away, or be ours after
// a renewal whose answer was lost. It returns 0 when somebody else has it.
func (c *Coordinator) regain(t *tenure, me kv.Holder, revision uint64) uint64 {
	holder, newest, held, err := c.ports.lease.Holder(t.ctx, c.o.Run)
	switch {
	case err != nil:
		return revision // NATS is away: look again at the next renewal
	case held && holder.ID == me.ID:
		return newest
	case held:
		return 0
	}
	renewed, err := c.ports.lease.Acquire(t.ctx, c.o.Run, me, 0)
	if errors.Is(err, kv.ErrHeld) {
		return 0
	}
	if err != nil {
		return revision
	}
	c.prove()
	return renewed
}

// prove makes the leader append, whether or not it has something to write: somebody else may have led meanwhile and have
// gone again.
func (c *Coordinator) prove() {
	if t, err := c.term(); err == nil {
		t.inbox.force(arrival{call: func(l *leader) { l.proofDue = true }})
	}
}
