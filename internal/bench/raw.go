package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/bus"
)

// The streams of raw JetStream.
const (
	rawTasks   = "BENCH_TASKS"
	rawResults = "BENCH_RESULTS"

	subjectRawTask   = "bench.task"
	subjectRawResult = "bench.result"
)

// rawSide is the yardstick: what a program would do that uses JetStream with nothing around it. This process publishes
// tasks to a work queue and consumes results; a worker process pulls tasks, acks each at once and publishes its result.
// Both streams lie in files. Every publish is asynchronous and its acknowledgement is checked.
type rawSide struct {
	raw
	worker *process
	job    atomic.Pointer[rawJob]
}

// raw is one end of raw JetStream.
type raw struct {
	conn *bus.Conn
	js   jetstream.JetStream
	log  *slog.Logger
	stop func() // stops consuming; nil before
}

// rawJob is one load under way.
type rawJob struct {
	load    load
	publish func(i int) error
	last    chan struct{} // closed at the end: all results are here, or err is set

	mu      sync.Mutex
	results tally
	known   [][2]int // tasks to be published: first and end of ranges
	flying  int      // published, and the result is not here
	err     error
}

func openRaw(ctx context.Context, a *arena) (_ side, err error) {
	r := &rawSide{}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	conn, err := a.connect(ctx, "bench raw publisher")
	if err != nil {
		return nil, err
	}
	if r.raw, err = newRaw(conn, a.log, r.fail); err != nil {
		return nil, err
	}
	if err := r.createStreams(ctx); err != nil {
		return nil, err
	}
	if r.worker, err = spawn(ctx, a.o.ChildCommand, "raw worker"); err != nil {
		return nil, err
	}
	args := RawWorkArgs{URL: a.url, Load: a.load}
	if err := r.worker.do(ctx, serviceRawWorker+".Start", args); err != nil {
		return nil, err
	}
	return r, r.consume(ctx, rawResults, a.load.Window, jetstream.AckNonePolicy, r.onResult)
}

func (r *rawSide) createStreams(ctx context.Context) error {
	tasks := jetstream.StreamConfig{
		Name: rawTasks, Subjects: []string{subjectRawTask}, Storage: jetstream.FileStorage,
		Retention: jetstream.WorkQueuePolicy,
	}
	results := jetstream.StreamConfig{
		Name: rawResults, Subjects: []string{subjectRawResult}, Storage: jetstream.FileStorage,
	}
	for _, config := range []jetstream.StreamConfig{tasks, results} {
		if _, err := r.js.CreateStream(ctx, config); err != nil {
			return fmt.Errorf("create stream %s: %w", config.Name, err)
		}
	}
	return nil
}

// newRaw returns an end whose failed publishes are told to failed.
func newRaw(conn *bus.Conn, log *slog.Logger, failed func(error)) (raw, error) {
	js, err := jetstream.New(conn.NATS(), jetstream.WithPublishAsyncErrHandler(
		func(_ jetstream.JetStream, m *nats.Msg, err error) {
			failed(fmt.Errorf("publish to %s: %w", m.Subject, err))
		}))
	return raw{conn: conn, js: js, log: log}, err
}

// consume calls handle for each message of a stream, pulled in batches that are asked for ahead.
func (r *raw) consume(ctx context.Context, stream string, window int, ack jetstream.AckPolicy,
	handle func(jetstream.Msg)) error {
	consumer, err := r.js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{AckPolicy: ack, MemoryStorage: true})
	if err != nil {
		return fmt.Errorf("create a consumer of %s: %w", stream, err)
	}
	consuming, err := consumer.Consume(handle, jetstream.PullMaxMessages(rawBatches*window),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			r.log.Warn("raw JetStream: consume", "stream", stream, "err", err) // the client goes on by itself
		}))
	if err != nil {
		return fmt.Errorf("consume %s: %w", stream, err)
	}
	r.stop = func() { consuming.Stop(); <-consuming.Closed() }
	return nil
}

// rawBatches is how many windows a pull asks for: so many that the next one is made long before it runs out. Fewer cost
// raw JetStream some of its rate, more gain nothing.
const rawBatches = 8

// do implements side: from the first publish to the last result consumed.
func (r *rawSide) do(ctx context.Context, l load) error {
	j := &rawJob{load: l, publish: r.publishTask(l), last: make(chan struct{}), results: newTally(l.Tasks)}
	j.known = [][2]int{{0, l.roots()}}
	r.job.Store(j)
	j.fill()
	select {
	case <-j.last:
		return j.trouble()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// check implements side: every publish was acknowledged, and every task acked, so that the work queue is empty.
func (r *rawSide) check(ctx context.Context) error {
	select {
	case <-r.js.PublishAsyncComplete():
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := r.worker.do(ctx, serviceRawWorker+".Check", None{}); err != nil {
		return err
	}
	stream, err := r.js.Stream(ctx, rawTasks)
	for err == nil {
		var info *jetstream.StreamInfo
		if info, err = stream.Info(ctx); err == nil && info.State.Msgs == 0 {
			return r.job.Load().trouble()
		}
	}
	return err
}

// publishTask publishes one task: its number, and as many bytes as the engine's payload has.
func (r *rawSide) publishTask(l load) func(i int) error {
	return func(i int) error {
		_, err := r.js.PublishMsgAsync(&nats.Msg{Subject: subjectRawTask, Data: rawMessage(i, l.Payload)})
		return err
	}
}

func rawMessage(i, size int) []byte {
	data := make([]byte, max(size, 4))
	binary.BigEndian.PutUint32(data, uint32(i))
	return data
}

// onResult is the publisher's other half: it publishes what a result made room for.
func (r *rawSide) onResult(m jetstream.Msg) {
	j := r.job.Load()
	j.take(int(binary.BigEndian.Uint32(m.Data())))
	j.fill()
}

func (r *rawSide) fail(err error) {
	j := r.job.Load() // only what a job published can fail
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fail(err)
}

func (r *rawSide) finished() int {
	j := r.job.Load()
	if j == nil {
		return 0
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.results.finished()
}

func (r *rawSide) pids() []int { return []int{r.worker.pid()} }

func (r *rawSide) close() error {
	var errs []error
	if r.worker != nil {
		errs = append(errs, r.worker.stop())
	}
	if r.stop != nil {
		r.stop()
	}
	if r.js != nil {
		errs = append(errs, removeStreams(r.conn, rawTasks, rawResults))
	}
	if r.conn != nil {
		errs = append(errs, r.conn.Close())
	}
	return errors.Join(errs...)
}

// RawWorkerService is the worker of raw JetStream.
type RawWorkerService struct {
	*child
	rawWorker atomic.Pointer[rawWorker]
}

// RawWorkArgs say for whom it works.
type RawWorkArgs struct {
	URL  string
	Load load
}

// Start starts the worker.
func (s *RawWorkerService) Start(args RawWorkArgs, _ *None) error {
	conn, err := s.connect(args.URL, "bench raw worker")
	if err != nil {
		return err
	}
	w := &rawWorker{load: args.Load}
	if w.raw, err = newRaw(conn, s.log, w.fail); err != nil {
		return err
	}
	if err := w.consume(s.ctx, rawTasks, args.Load.Window, jetstream.AckExplicitPolicy, w.onTask); err != nil {
		return err
	}
	s.rawWorker.Store(w)
	s.atEnd(func() error { w.stop(); return nil })
	return nil
}

// Check returns an error unless all that the worker published was acknowledged.
func (s *RawWorkerService) Check(None, *None) error {
	w := s.rawWorker.Load()
	select {
	case <-w.js.PublishAsyncComplete():
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	if err := w.err.Load(); err != nil {
		return *err
	}
	return nil
}

// rawWorker pulls tasks, acks each at once and publishes its result.
type rawWorker struct {
	raw
	load load
	err  atomic.Pointer[error] // the last
}

func (w *rawWorker) fail(err error) { w.err.Store(&err) }

// onTask makes a result that is as long as the task and its children's specs.
func (w *rawWorker) onTask(m jetstream.Msg) {
	i := int(binary.BigEndian.Uint32(m.Data()))
	size := w.load.Payload
	if w.load.Fan > 0 {
		first, end := w.load.children(i)
		size += (end - first) * w.load.Payload
	}
	_, err := w.js.PublishMsgAsync(&nats.Msg{Subject: subjectRawResult, Data: rawMessage(i, size)})
	if err = errors.Join(err, m.Ack()); err != nil {
		w.fail(fmt.Errorf("task %d: %w", i, err))
	}
}

// take counts a result and learns of the task's children.
func (j *rawJob) take(i int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.results.finish(i) {
		j.fail(fmt.Errorf("task %d has two results", i))
		return
	}
	j.flying--
	if j.load.Fan > 0 {
		first, end := j.load.children(i)
		j.known = append(j.known, [2]int{first, end})
	}
	if j.results.left == 0 {
		j.end()
	}
}

// fill publishes known tasks while the window has room.
func (j *rawJob) fill() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.flying < j.load.Window && len(j.known) > 0 {
		next := &j.known[0]
		if next[0] >= next[1] {
			j.known = j.known[1:]
			continue
		}
		if err := j.publish(next[0]); err != nil {
			j.fail(fmt.Errorf("publish task %d: %w", next[0], err))
			return
		}
		next[0]++
		j.flying++
	}
}

// fail notes the first error and ends the load. The lock is held.
func (j *rawJob) fail(err error) {
	if j.err == nil {
		j.err = err
		j.end()
	}
}

func (j *rawJob) trouble() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.err
}

// end wakes who waits for the load. The lock is held.
func (j *rawJob) end() {
	select {
	case <-j.last:
	default:
		close(j.last)
	}
}
