package coordinator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"autoresearch/internal/host"
	"autoresearch/pkg/bus"
)

// errDeposed: another coordinator wrote to the journal. The engine's state is stale for good and must be discarded.
var errDeposed = errors.New("another coordinator leads the run")

// journalAlarm: the journal is missing, or ends below what was acknowledged. Nobody may create it again or write to it
// without a person's word.
type journalAlarm struct {
	run    string
	reason string
}

// Error returns what is wrong and the remedy.
func (e *journalAlarm) Error() string {
	return fmt.Sprintf("run %q: %s; nothing is dispatched; bring the journal stream back from a backup, "+
		"or begin it anew with: autoresearch restore --from WORKDIR/engine_state.json", e.run, e.reason)
}

// committer appends to the journal, one record at a time. An ambiguous append is only ever sent again, byte for byte,
// until its position shows it or another writer's record.
type committer struct {
	journal bus.Journal
	run     string
	last    uint64 // the journal's last sequence, as this writer knows it
	retry   time.Duration
	host    host.Host
	trouble func(error) // told of every failed try, and nil once an append went through after one
}

// Delays between tries of an append.
const (
	commitRetryMin = 20 * time.Millisecond
	commitRetryMax = 2 * time.Second
)

// append stores the parts of one commit in order. It returns errDeposed, a *journalAlarm, or the context's error, after
// which the record may or may not be stored; every other trouble it outlasts.
func (c *committer) append(ctx context.Context, parts [][]byte) error {
	for _, data := range parts {
		if err := c.appendOne(ctx, data); err != nil {
			return err
		}
	}
	return nil
}

func (c *committer) appendOne(ctx context.Context, data []byte) error {
	ambiguous := false
	for failed := 0; ; failed++ {
		err := c.journal.Append(ctx, c.last, data)
		switch {
		case err == nil:
			return c.stored(failed)
		case errors.Is(err, bus.ErrConflict):
			if done, err := c.resolve(ctx, data, ambiguous, failed); done {
				return err
			}
		case errors.Is(err, bus.ErrMissing):
			return &journalAlarm{run: c.run, reason: "its journal stream is gone"}
		case ctx.Err() != nil:
			return fmt.Errorf("append journal record: %w", ctx.Err())
		case errors.Is(err, bus.ErrAmbiguous):
			ambiguous = true
			if alarm := c.missing(ctx); alarm != nil {
				return alarm
			}
		}
		c.trouble(err)
		if err := c.pause(ctx); err != nil {
			return err
		}
	}
}

func (c *committer) stored(failed int) error {
	c.last++
	c.retry = 0
	if failed > 0 {
		c.trouble(nil)
	}
	return nil
}

// resolve looks at the position that a conflict names: after an ambiguous try it may hold this very record. done is
// false when the look itself failed and the append must be tried again.
func (c *committer) resolve(ctx context.Context, data []byte, ambiguous bool, failed int) (done bool, err error) {
	if !ambiguous {
		return true, c.behind(ctx)
	}
	stored, err := c.journal.Get(ctx, c.last+1)
	switch {
	case err == nil && bytes.Equal(stored, data):
		return true, c.stored(failed)
	case err == nil:
		return true, errDeposed
	case errors.Is(err, bus.ErrMissing):
		return true, c.behind(ctx)
	}
	return false, nil
}

// behind tells a deposed leader from a journal that went backwards.
func (c *committer) behind(ctx context.Context) error {
	b, err := c.journal.Bounds(ctx)
	if err == nil && b.Last < c.last {
		return &journalAlarm{run: c.run, reason: fmt.Sprintf(
			"its journal ends at record %d, below record %d that was acknowledged", b.Last, c.last)}
	}
	return errDeposed
}

// missing asks whether an append that nobody answered means a stream that is gone.
func (c *committer) missing(ctx context.Context) error {
	if _, err := c.journal.Bounds(ctx); errors.Is(err, bus.ErrMissing) {
		return &journalAlarm{run: c.run, reason: "its journal stream is gone"}
	}
	return nil
}

// pause waits before the next try, longer each time, with jitter.
func (c *committer) pause(ctx context.Context) error {
	c.retry = min(commitRetryMax, max(commitRetryMin, 2*c.retry))
	c.host.Wait(ctx, c.host.Jitter(c.retry))
	if ctx.Err() != nil {
		return fmt.Errorf("append journal record: %w", ctx.Err())
	}
	return nil
}
