package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"autoresearch/pkg/bus"
)

// commits is the queue between ended attempts and the spool. While one group is being written and synced the next one
// gathers.
type commits struct {
	mu      sync.Mutex
	results []*result
	dropped []uint64 // receipted numbers in the spool
	closed  bool
	wake    chan struct{}
}

// add queues a result.
func (c *commits) add(r *result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.results = append(c.results, r)
	notify(c.wake)
}

// drop queues receipts.
func (c *commits) drop(seqs []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped = append(c.dropped, seqs...)
	notify(c.wake)
}

// close makes take report the end once the queue is empty.
func (c *commits) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	notify(c.wake)
}

// take waits for work and returns all of it; more is false at the end.
func (c *commits) take() (results []*result, dropped []uint64, more bool) {
	for {
		c.mu.Lock()
		results, dropped = c.results, c.dropped
		c.results, c.dropped = nil, nil
		closed := c.closed
		c.mu.Unlock()
		if len(results)+len(dropped) > 0 || closed {
			return results, dropped, len(results)+len(dropped) > 0
		}
		<-c.wake
	}
}

// commitLoop writes results to the spool in groups and hands them on. It ends when the queue is closed and empty. It is
// the one goroutine that writes to the spool.
func (w *worker) commitLoop() {
	// What the disk refused waits here for the next try; it is sent all the same.
	var refused []*result
	for {
		results, dropped, more := w.commits.take()
		if !more {
			return
		}
		if len(results) > 0 {
			refused = w.commit(append(refused, results...), len(refused))
		}
		if len(dropped) > 0 {
			if err := w.spool.remove(dropped); err != nil {
				w.log.Warn("cannot note receipts in the spool: the results will be sent once more after a restart", "error", err)
			}
		}
	}
}

// commit makes results durable in one write and hands on the new ones: those behind the first known. It returns what the
// disk refused. A disk that is full costs durability, not the results: they stay in memory and are sent.
func (w *worker) commit(results []*result, known int) (refused []*result) {
	fresh := results[known:]
	kept, err := w.spoolResults(results)
	if err != nil {
		w.spoolFailed(kept, err)
		refused = kept
	}
	w.ledger.committed(fresh)
	for _, r := range fresh {
		w.ledger.letGo(r.attempt)
	}
	w.enqueue(fresh)
	return refused
}

func (w *worker) spoolFailed(kept []*result, err error) {
	w.metrics.spoolFailures.Inc()
	if !errors.Is(err, errResting) {
		w.log.Error("cannot write results to the spool: they are kept in memory and sent from there",
			"results", len(kept), "error", err)
	}
}

// spoolResults writes those results that are still to be kept, and returns them.
func (w *worker) spoolResults(results []*result) (kept []*result, err error) {
	kept, encoded := w.ledger.unreceipted(results)
	if len(kept) == 0 {
		return nil, nil
	}
	seqs, err := w.spool.append(encoded)
	if err != nil {
		return kept, err
	}
	if receipted := w.ledger.spooled(kept, seqs); len(receipted) > 0 {
		w.commits.drop(receipted)
	}
	return kept, nil
}

// recover reads the spool at the start and returns what it holds as results, oldest first. What cannot be read is
// dropped: its task runs again when the lease lapses.
func (w *worker) recover() (results []*result) {
	var unreadable []uint64
	for _, seq := range w.spool.kept() {
		body, _, err := w.spool.read(seq)
		var message *bus.ResultMessage
		if err == nil {
			message, err = bus.DecodeResultMessage(body)
		}
		if err != nil || len(message.Reports) != 1 {
			w.log.Error("a result in the spool is unreadable and dropped", "number", seq, "error", err)
			unreadable = append(unreadable, seq)
			continue
		}
		report := &message.Reports[0]
		results = append(results, &result{
			ref: report.AttemptRef, seq: seq, size: len(body) + int(report.Stored.Size), large: report.Stored,
		})
	}
	w.forgetOthers(results)
	w.commits.drop(unreadable)
	if len(results) > 0 {
		w.log.LogAttrs(context.Background(), slog.LevelInfo, "results of an earlier start wait in the spool: sending them again",
			slog.Int("results", len(results)))
	}
	return results
}
