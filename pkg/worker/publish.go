package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

const (
	// publishTimeout bounds one publish of results.
	publishTimeout = 10 * time.Second
	// batchReports bounds the reports of one message.
	batchReports = 1000
	// batchMax bounds one message of several reports, in bytes, where the server would take more.
	batchMax = 1 << 20
	// messageReserve is what a message needs besides its reports, in bytes.
	messageReserve = 8 << 10
	// outboxMemory is how much an outbox holds in memory, in bytes; what is on disk beyond it is read back when its turn
	// comes.
	outboxMemory = 8 << 20

	backoffFirst = 100 * time.Millisecond
	backoffMax   = 5 * time.Second
)

// lane is what waits for what: large results, which the object store may refuse, do not hold up the others of their run.
type lane struct {
	run   spec.RunName
	large bool
}

// outbox is the results of one lane that wait to be published, oldest first. The lock of outboxes guards it.
type outbox struct {
	lane
	queue   []*result
	memory  int  // bytes of reports held in memory, at most
	sending bool // a goroutine empties the queue
}

// outboxes are the outbox of each run: a run whose results stream is away does not hold up the others. Each run with
// something to send has one goroutine; it ends when nothing is left.
type outboxes struct {
	mu      sync.Mutex
	lanes   map[lane]*outbox
	unsent  int           // results in all queues
	empty   chan struct{} // has a token after unsent became 0
	senders sync.WaitGroup
}

// put queues r unless it is queued, and returns its outbox if a goroutine must be started for it. large says that memory
// should not keep the report.
func (o *outboxes) put(r *result) (start *outbox, large bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := lane{run: r.ref.Run, large: !r.large.IsZero()}
	box := o.lanes[key]
	if box == nil {
		box = &outbox{lane: key}
		o.lanes[key] = box
	}
	if r.queued {
		return nil, false
	}
	box.queue = append(box.queue, r)
	r.queued = true
	box.memory += r.size
	o.unsent++
	if !box.sending {
		box.sending = true
		start = box
	}
	return start, box.memory > outboxMemory
}

// head returns the first results of a queue, up to a number and a size; none when the queue is empty, and then its
// goroutine must end.
func (o *outboxes) head(box *outbox, size int) (batch []*result) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range box.queue {
		size -= r.size
		if len(batch) == batchReports || size < 0 && len(batch) > 0 {
			break
		}
		batch = append(batch, r)
	}
	box.sending = len(batch) > 0
	return batch
}

// sent removes the first results of a queue.
func (o *outboxes) sent(box *outbox, batch []*result) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range batch {
		r.queued = false
		box.memory -= r.size
	}
	clear(box.queue[:len(batch)])
	box.queue = box.queue[len(batch):]
	if len(box.queue) == 0 {
		delete(o.lanes, box.lane)
		box.sending = false
	}
	if o.unsent -= len(batch); o.unsent == 0 {
		notify(o.empty)
	}
}

// isEmpty reports whether nothing waits to be sent.
func (o *outboxes) isEmpty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.unsent == 0
}

// enqueue hands results to their runs' outboxes.
func (w *worker) enqueue(results []*result) {
	for _, r := range results {
		box, large := w.outboxes.put(r)
		if large {
			w.ledger.unload(r)
		}
		if box != nil {
			w.outboxes.senders.Go(func() { w.sendLoop(box) })
		}
	}
}

// sendLoop publishes what an outbox holds, in order, until nothing is left or the worker ends.
func (w *worker) sendLoop(box *outbox) {
	failures := 0
	for {
		batch := w.outboxes.head(box, w.messageMax())
		if len(batch) == 0 || w.sendCtx.Err() != nil {
			return
		}
		err := w.send(box.run, batch)
		w.ledger.tried(batch)
		if err == nil {
			if failures > 0 {
				w.log.Info("results are published again", "run", box.run, "failures", failures)
			}
			failures = 0
			w.outboxes.sent(box, batch)
			continue
		}
		w.metrics.publishFailures.Inc()
		if failures++; failures == 1 {
			w.log.Warn("cannot publish results: they are kept and tried again", "run", box.run,
				"results", len(batch), "error", err)
		}
		w.pause(w.sendCtx, backoff(failures))
	}
}

// send publishes one message with what is still wanted of batch.
func (w *worker) send(run spec.RunName, batch []*result) error {
	message := &bus.ResultMessage{
		Version: bus.MessageVersion, Worker: w.who.ID, Boot: w.who.Boot, Reports: make([]bus.Report, 0, len(batch)),
	}
	for _, r := range batch {
		report, err := w.ready(r)
		if err != nil {
			return err
		}
		if report != nil {
			message.Reports = append(message.Reports, *report)
		}
	}
	if len(message.Reports) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(w.sendCtx, publishTimeout)
	defer cancel()
	err := w.link.publish(ctx, run, message)
	if errors.Is(err, bus.ErrTooLarge) && len(message.Reports) == 1 {
		return w.sendSmaller(run, message, err)
	}
	return err
}

// sendSmaller publishes a report that the server does not take in a message: it takes less than it did when the attempt
// ended.
func (w *worker) sendSmaller(run spec.RunName, m *bus.ResultMessage, tooLarge error) error {
	report := &m.Reports[0]
	if report.Stored.IsZero() && len(report.Body) > 0 {
		if err := w.put(run, report.Body); err != nil {
			return err
		}
		report.Stored = spec.BlobOf(report.Body)
	} else {
		*report = w.tooLarge(report, tooLarge)
	}
	ctx, cancel := context.WithTimeout(w.sendCtx, publishTimeout)
	defer cancel()
	return w.link.publish(ctx, run, m)
}

// ready returns a result's report, with its body in the object store where that is its place; nil when it is not wanted any
// more or lost.
func (w *worker) ready(r *result) (*bus.Report, error) {
	report := w.load(r)
	if report == nil || r.large.IsZero() {
		return report, nil
	}
	err := w.upload(r)
	if errors.Is(err, errGone) {
		w.log.Error("the disk does not give a large result back: the task will run again", "run", r.ref.Run, "task", r.ref.Task,
			"attempt", r.ref.Attempt, "error", err)
		w.ledger.lost(r)
		return nil, nil
	}
	return report, err
}

// tooLarge is what is reported in place of a report that the server will never take.
func (w *worker) tooLarge(report *bus.Report, err error) bus.Report {
	f := signed(badResult(fmt.Errorf("%w: %w", errTooLarge, err)), jobID(report.AttemptRef), time.Now())
	body, err := bus.EncodeResult(spec.TaskResult{Attempt: report.Attempt, Worker: w.who.ID, Host: w.host, Failure: f})
	if err != nil {
		w.log.Error("a failure cannot be encoded", "run", report.Run, "task", report.Task, "error", err)
	}
	return bus.Report{AttemptRef: report.AttemptRef, Failure: f, Cost: report.Cost, Body: body}
}

// load returns a result's report, from memory or from the spool; nil when it is not wanted any more or lost.
func (w *worker) load(r *result) *bus.Report {
	report, seq, gone := w.ledger.held(r)
	if gone || report != nil {
		return report
	}
	body, kept, err := w.spool.read(seq)
	if err == nil && kept {
		var message *bus.ResultMessage
		if message, err = bus.DecodeResultMessage(body); err == nil && len(message.Reports) == 1 {
			return &message.Reports[0]
		}
	}
	w.log.Error("the spool does not give a result back: the task will run again", "run", r.ref.Run, "task", r.ref.Task,
		"attempt", r.ref.Attempt, "error", err)
	w.ledger.lost(r)
	return nil
}

// messageMax is how large a batch may be, in encoded bytes.
func (w *worker) messageMax() int { return min(w.link.maxPayload(), batchMax) - messageReserve }

// pause waits for d, until ctx is done, or until there is reason to try again: the connection is back, a leader is.
func (w *worker) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-w.retryNow.wait():
	}
}

// backoff returns how long to wait after so many failures in a row, with jitter.
func backoff(failures int) time.Duration {
	d := backoffMax
	if failures < 7 {
		d = min(d, backoffFirst<<(failures-1))
	}
	return d/2 + rand.N(d/2)
}

// broadcast wakes all who wait at once.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

// wait returns a channel that the next fire closes.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) fire() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}
