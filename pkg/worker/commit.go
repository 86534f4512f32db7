package worker

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// commits is the queue of what there is to do on the disk for results: between ended attempts and the spool, and between
// receipts and their end. While one group is being written and synced the next one gathers.
type commits struct {
	mu     sync.Mutex
	queued diskWork
	closed bool
	wake   chan struct{}
}

// diskWork is what one turn of the commit loop does.
type diskWork struct {
	ended     []*result   // to be noted, and handed on once what is to be kept is
	kept      []*result   // to be kept
	receipted []*result   // to be noted
	large     []spec.Blob // whose files are to be removed
	dropped   []uint64    // receipted numbers in the spool
}

func (d *diskWork) isEmpty() bool {
	return len(d.ended)+len(d.kept)+len(d.receipted)+len(d.large)+len(d.dropped) == 0
}

// add queues a result, to be kept and handed on.
func (c *commits) add(r *result) { c.queue(diskWork{ended: []*result{r}, kept: []*result{r}}) }

// gather does so too, and leaves it to flush to wake the loop: others are about to end.
func (c *commits) gather(r *result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queued.ended = append(c.queued.ended, r)
	c.queued.kept = append(c.queued.kept, r)
}

// flush wakes the loop if something is queued.
func (c *commits) flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.queued.isEmpty() {
		notify(c.wake)
	}
}

// handOn queues a result that cannot be kept, and keep one that can be at last.
func (c *commits) handOn(r *result) { c.queue(diskWork{ended: []*result{r}}) }
func (c *commits) keep(r *result)   { c.queue(diskWork{kept: []*result{r}}) }

// drop queues the end of results in the spool.
func (c *commits) drop(seqs []uint64) { c.queue(diskWork{dropped: seqs}) }

// queue queues work.
func (c *commits) queue(d diskWork) {
	if d.isEmpty() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queued.ended = append(c.queued.ended, d.ended...)
	c.queued.kept = append(c.queued.kept, d.kept...)
	c.queued.receipted = append(c.queued.receipted, d.receipted...)
	c.queued.large = append(c.queued.large, d.large...)
	c.queued.dropped = append(c.queued.dropped, d.dropped...)
	notify(c.wake)
}

// close makes take report the end once the queue is empty.
func (c *commits) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	notify(c.wake)
}

// take waits for work, or until late, and returns all of it; more is false at the end.
func (c *commits) take(late <-chan time.Time) (work diskWork, more bool) {
	for {
		c.mu.Lock()
		work, c.queued = c.queued, diskWork{}
		closed := c.closed
		c.mu.Unlock()
		if !work.isEmpty() || closed {
			return work, !work.isEmpty()
		}
		select {
		case <-c.wake:
			runtime.Gosched() // attempts that are about to end do so first: one write for all of them
		case <-late:
			return diskWork{}, true
		}
	}
}

// gatherMax is how long an attempt that leaves no files may have taken for its result to wait until its executor has nothing more
// to run: of many that end at once the results then are one group.
const gatherMax = time.Millisecond

// syncFirstMin is how long an attempt must have taken for its result to be synced before it is published. A shorter one's
// is written first, so that the end of this process does not lose it, and synced behind its publish, unless it is receipted
// before: only a power cut in between takes it, and then less than this is done again.
const syncFirstMin = time.Second

// commitLoop writes results to the spool in groups and hands them on. It ends when the queue is closed and empty. It is
// the one goroutine that writes to the spool.
func (w *worker) commitLoop() {
	// What the disk refused waits here for the next try, which comes with the next result or settle; it is sent all the same.
	var refused []*result
	var due time.Time // of the next settle; zero while the spool waits for none
	timer := time.NewTimer(forever)
	defer timer.Stop()
	for {
		work, more := w.commits.take(timer.C)
		if !more {
			w.settleAll(refused, time.Now().Add(spoolSyncDelay)) // whatever waits has waited long enough
			return
		}
		w.notes.ended(work.ended, work.receipted)
		if len(work.ended)+len(work.kept) > 0 {
			refused = w.commit(work.ended, append(refused, work.kept...))
		}
		w.forgetLarge(work.large)
		w.spool.remove(work.dropped)
		switch now := time.Now(); {
		case due.IsZero():
			due = now.Add(spoolSyncDelay)
			timer.Reset(spoolSyncDelay)
		case !now.Before(due):
			refused, due = w.settleAll(refused, now)
			timer.Reset(until(due, now))
		}
	}
}

// settleAll tries again what the disk refused, brings the spool's file up to date, and returns what is refused still, and
// when to do so again, the zero time when nothing waits for it.
func (w *worker) settleAll(refused []*result, now time.Time) (still []*result, next time.Time) {
	if len(refused) > 0 {
		refused = w.commit(nil, refused)
	}
	next = w.settle(now)
	if len(refused) > 0 && next.IsZero() {
		next = now.Add(spoolRest)
	}
	return refused, next
}

// settle brings the spool's file up to date and returns when to do so again, the zero time when nothing waits for it.
func (w *worker) settle(now time.Time) (next time.Time) {
	next, err := w.spool.settle(now)
	if err != nil && !errors.Is(err, errResting) {
		w.metrics.spoolFailures.Inc()
		w.log.Warn("cannot bring the spool up to date: a power cut may take results, a restart send some once more", "error", err)
	}
	return next
}

// until returns how long it is from now to a time that is not zero.
func until(at, now time.Time) time.Duration {
	if at.IsZero() {
		return forever
	}
	return max(0, at.Sub(now))
}

// commit writes the results to be kept in one go, and hands on those that ended. It returns what the disk refused. A disk that
// is full costs durability until it has room again, not the results: they stay in memory and are sent.
func (w *worker) commit(ended, keep []*result) (refused []*result) {
	refused, err := w.spoolResults(keep)
	if err != nil {
		w.spoolFailed(refused, err)
	}
	for _, r := range ended {
		r.late.Stop()
	}
	w.enqueue(w.ledger.committed(ended))
	return refused
}

// diskPatience is how long a result waits for the disk. Then it is sent from memory, as where the disk is full: a disk may
// hang, and the leader must hear within the lease.
const diskPatience = 2 * time.Second

// handOnLate sends a result that the disk holds up. It is kept there all the same, should the disk ever go on.
func (w *worker) handOnLate(r *result) {
	fresh := w.ledger.committed([]*result{r})
	if len(fresh) == 0 {
		return
	}
	w.metrics.spoolFailures.Inc()
	w.log.Error("the disk takes too long to keep a result: it is sent from memory", "run", r.ref.Run, "task", r.ref.Task, "attempt", r.ref.Attempt,
		"after", diskPatience)
	w.enqueue(fresh)
}

func (w *worker) spoolFailed(kept []*result, err error) {
	w.metrics.spoolFailures.Inc()
	if !errors.Is(err, errResting) {
		w.log.Error("cannot write results to the spool: they are kept in memory and sent from there",
			"results", len(kept), "error", err)
	}
}

// spoolResults writes those results that are still to be kept, and returns them should that fail.
func (w *worker) spoolResults(results []*result) (refused []*result, err error) {
	kept, encoded := w.ledger.unreceipted(results)
	if len(kept) == 0 {
		return nil, nil
	}
	seqs, err := w.spool.append(encoded, slices.ContainsFunc(kept, (*result).syncFirst))
	if err != nil {
		return kept, err
	}
	if receipted := w.ledger.spooled(kept, seqs); len(receipted) > 0 {
		w.commits.drop(receipted)
	}
	return nil, nil
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
