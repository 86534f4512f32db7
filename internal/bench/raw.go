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

// rawSide is the yardstick: what a program would do that uses JetStream with nothing around it. One connection publishes
// tasks to a work queue and consumes results; the other pulls tasks, acks each at once and publishes its result. Both
// streams lie in files. Every publish is asynchronous and its acknowledgement is checked.
type rawSide struct {
	up, down     *bus.Conn
	upJS, downJS jetstream.JetStream
	log          *slog.Logger
	stops        []func()
	job          atomic.Pointer[rawJob]
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
	r := &rawSide{log: a.log}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.up, r.upJS, err = r.connect(ctx, a, "bench raw publisher"); err != nil {
		return nil, err
	}
	if r.down, r.downJS, err = r.connect(ctx, a, "bench raw worker"); err != nil {
		return nil, err
	}
	if err := r.createStreams(ctx); err != nil {
		return nil, err
	}
	if err := r.consume(ctx, r.downJS, rawTasks, a.load.window, jetstream.AckExplicitPolicy, r.onTask); err != nil {
		return nil, err
	}
	return r, r.consume(ctx, r.upJS, rawResults, a.load.window, jetstream.AckNonePolicy, r.onResult)
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
		if _, err := r.upJS.CreateStream(ctx, config); err != nil {
			return fmt.Errorf("create stream %s: %w", config.Name, err)
		}
	}
	return nil
}

func (r *rawSide) connect(ctx context.Context, a *arena, name string) (*bus.Conn, jetstream.JetStream, error) {
	conn, err := a.connect(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(conn.NATS(), jetstream.WithPublishAsyncErrHandler(
		func(_ jetstream.JetStream, m *nats.Msg, err error) {
			r.fail(fmt.Errorf("publish to %s: %w", m.Subject, err))
		}))
	return conn, js, err
}

// consume calls handle for each message of a stream, pulled in batches that are asked for ahead.
func (r *rawSide) consume(ctx context.Context, js jetstream.JetStream, stream string, window int,
	ack jetstream.AckPolicy, handle func(jetstream.Msg)) error {
	consumer, err := js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{AckPolicy: ack, MemoryStorage: true})
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
	r.stops = append(r.stops, func() { consuming.Stop(); <-consuming.Closed() })
	return nil
}

// rawBatches is how many windows a pull asks for: so many that the next one is made long before it runs out. Fewer cost
// raw JetStream some of its rate, more gain nothing.
const rawBatches = 8

// do implements side: from the first publish to the last result consumed.
func (r *rawSide) do(ctx context.Context, l load) error {
	j := &rawJob{load: l, publish: r.publishTask(l), last: make(chan struct{}), results: newTally(l.tasks)}
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
	for _, js := range []jetstream.JetStream{r.upJS, r.downJS} {
		select {
		case <-js.PublishAsyncComplete():
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	stream, err := r.upJS.Stream(ctx, rawTasks)
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
		_, err := r.upJS.PublishMsgAsync(&nats.Msg{Subject: subjectRawTask, Data: rawMessage(i, l.payload)})
		return err
	}
}

func rawMessage(i, size int) []byte {
	data := make([]byte, max(size, 4))
	binary.BigEndian.PutUint32(data, uint32(i))
	return data
}

// onTask is the worker: the result is as long as the task and its children's specs.
func (r *rawSide) onTask(m jetstream.Msg) {
	i := int(binary.BigEndian.Uint32(m.Data()))
	l := r.job.Load().load
	size := l.payload
	if l.fan > 0 {
		first, end := l.children(i)
		size += (end - first) * l.payload
	}
	_, err := r.downJS.PublishMsgAsync(&nats.Msg{Subject: subjectRawResult, Data: rawMessage(i, size)})
	if err = errors.Join(err, m.Ack()); err != nil {
		r.fail(fmt.Errorf("task %d: %w", i, err))
	}
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

func (r *rawSide) close() error {
	for _, stop := range r.stops {
		stop()
	}
	var errs []error
	if r.up != nil {
		errs = append(errs, removeStreams(r.up, rawTasks, rawResults))
	}
	for _, c := range []*bus.Conn{r.down, r.up} {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
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
	if j.load.fan > 0 {
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
	for j.flying < j.load.window && len(j.known) > 0 {
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
