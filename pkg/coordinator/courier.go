package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"autoresearch/internal/host"
	"autoresearch/pkg/bus"
)

// courier publishes dispatches that are too large for a message, off the loop: what makes them so, a proposer's input or a
// payload beside a long command, goes through the object store. One that is missed is published again when it is overdue.
type courier struct {
	doorbell bus.Doorbell
	blobs    *blobs
	refused  func(d *bus.Dispatch, err error) // told of what can never be published
	log      *slog.Logger
	host     host.Host

	mu      sync.Mutex
	waiting []*bus.Dispatch
	arrived chan struct{}
}

func newCourier(d bus.Doorbell, b *blobs, refused func(*bus.Dispatch, error), log *slog.Logger, h host.Host) *courier {
	return &courier{doorbell: d, blobs: b, refused: refused, log: log, host: h, arrived: make(chan struct{}, 1)}
}

// send takes a copy of a dispatch.
func (c *courier) send(d bus.Dispatch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, &d)
	select {
	case c.arrived <- struct{}{}:
	default:
	}
}

// run publishes what comes until ctx is done.
func (c *courier) run(ctx context.Context) {
	for {
		c.host.Wait(ctx, host.Forever, c.arrived)
		if ctx.Err() != nil {
			return
		}
		c.mu.Lock()
		waiting := c.waiting
		c.waiting = nil
		c.mu.Unlock()
		for _, d := range waiting {
			if err := c.publish(ctx, d); err != nil && ctx.Err() == nil {
				c.refused(d, err)
			}
		}
	}
}

// publish returns an error only for what can never be published.
func (c *courier) publish(ctx context.Context, d *bus.Dispatch) error {
	if len(d.Recipe.Stdin) > 0 {
		blob, err := c.blobs.put(ctx, d.Recipe.Stdin)
		if err != nil {
			return fmt.Errorf("store its input: %w", err)
		}
		d.Stdin, d.Recipe.Stdin = blob, nil
	}
	if d.Task.Stored.IsZero() && len(d.Task.Payload) > 0 {
		blob, err := c.blobs.put(ctx, d.Task.Payload)
		if err != nil {
			return fmt.Errorf("store its payload: %w", err)
		}
		d.Task.Stored = blob
	}
	err := c.doorbell.Publish([]*bus.Dispatch{d}, false)
	if errors.Is(err, bus.ErrTooLarge) {
		return fmt.Errorf("publish the task with its command: %w", err)
	}
	if err != nil {
		c.log.Warn("publish a dispatched task", "task", d.Task.ID, "attempt", d.Attempt, "err", err)
	}
	return nil
}
