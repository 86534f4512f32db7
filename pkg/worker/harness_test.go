package worker

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"os"
	"sync"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// testLink is a link to a leader that the test plays.
type testLink struct {
	mu         sync.Mutex
	changed    broadcast
	tasks      map[string][]*bus.Dispatch
	pullErr    map[string]error
	publishErr error
	putErr     error
	blobs      map[spec.Digest][]byte // the object store
	keepErr    error
	kept       map[spec.Digest][]byte // the run's output store
	logErr     error
	logs       map[spec.TaskID][]loggedMessage
	uplinkErr  error
	max        int
	offline    bool

	said    []any      // *bus.Uplink and *bus.ResultMessage in the order they were sent
	beat    bus.Uplink // the newest full heartbeat
	pulls   int
	answer  func(bus.Answer)
	again   func()
	refused int // publishes answered with publishErr
	// together is how many tasks a message holds; 1 when 0.
	together int
}

// loggedMessage is a piece of an attempt's output that was published.
type loggedMessage struct {
	part bus.LogPart
	*bus.LogMessage
}

func newTestLink() *testLink {
	return &testLink{tasks: map[string][]*bus.Dispatch{}, pullErr: map[string]error{}, blobs: map[spec.Digest][]byte{}, kept: map[spec.Digest][]byte{}, logs: map[spec.TaskID][]loggedMessage{}, max: 1 << 20}
}

// change alters the link's behaviour and wakes who waits.
func (l *testLink) change(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn()
	l.changed.fire()
}

func (l *testLink) pull(ctx context.Context, class string, expiry time.Duration) ([]*bus.Dispatch, error) {
	timer := time.NewTimer(expiry)
	defer timer.Stop()
	l.change(func() { l.pulls++ })
	for {
		l.mu.Lock()
		news := l.changed.wait()
		err := l.pullErr[class]
		got := l.tasks[class][:min(max(1, l.together), len(l.tasks[class]))]
		l.tasks[class] = l.tasks[class][len(got):]
		l.mu.Unlock()
		if err != nil || len(got) > 0 {
			return got, err
		}
		select {
		case <-news:
		case <-timer.C:
			return nil, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (l *testLink) stopPulling(string) error { return nil }

func (l *testLink) publish(_ context.Context, run spec.RunName, m *bus.ResultMessage) (err error) {
	data, err := bus.EncodeResultMessage(m)
	if err != nil {
		return err
	}
	l.change(func() {
		switch {
		case len(data) > l.max:
			err = bus.ErrTooLarge
		case l.publishErr != nil:
			err = l.publishErr
		}
		if err != nil {
			l.refused++
			return
		}
		for _, report := range m.Reports {
			if report.Run != run {
				err = errors.New("a report of another run")
			}
		}
		l.said = append(l.said, m)
	})
	return err
}

func (l *testLink) put(_ context.Context, _ spec.RunName, data []byte) (err error) {
	l.change(func() {
		if err = l.putErr; err == nil {
			l.blobs[spec.BlobOf(data).Digest] = data
		} else {
			l.refused++
		}
	})
	return err
}

func (l *testLink) keep(_ context.Context, _ spec.RunName, data []byte) (err error) {
	l.change(func() {
		if err = l.keepErr; err == nil {
			l.kept[spec.BlobOf(data).Digest] = data
		} else {
			l.refused++
		}
	})
	return err
}

func (l *testLink) log(_ context.Context, ref bus.AttemptRef, part bus.LogPart, m *bus.LogMessage) (err error) {
	l.change(func() {
		if err = l.logErr; err == nil {
			l.logs[ref.Task] = append(l.logs[ref.Task], loggedMessage{part, m})
		}
	})
	return err
}

func (l *testLink) get(_ context.Context, _ spec.RunName, b spec.Blob) (data []byte, err error) {
	l.change(func() {
		var ok bool
		if data, ok = l.blobs[b.Digest]; !ok {
			err = bus.ErrMissing
		}
		if l.offline {
			data, err = nil, bus.ErrAmbiguous
		}
	})
	return data, err
}

func (l *testLink) uplink(u *bus.Uplink) (err error) {
	l.change(func() {
		if err = l.uplinkErr; err != nil {
			return
		}
		l.said = append(l.said, u)
		if u.Full {
			l.beat = *u
		}
	})
	return err
}

func (l *testLink) listen(fn func(bus.Answer)) (func(), error) {
	l.change(func() { l.answer = fn })
	return func() {}, nil
}

func (l *testLink) onReconnect(fn func()) func() {
	l.change(func() { l.again = fn })
	return func() {}
}

func (l *testLink) connected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.offline
}

func (l *testLink) maxPayload() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.max
}

func (l *testLink) close() error { return nil }

// reports returns every report published so far.
func (l *testLink) reports() (all []bus.Report) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, message := range l.said {
		if m, ok := message.(*bus.ResultMessage); ok {
			all = append(all, m.Reports...)
		}
	}
	return all
}

// uplinks returns every uplink sent so far.
func (l *testLink) uplinks() (all []*bus.Uplink) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, message := range l.said {
		if u, ok := message.(*bus.Uplink); ok {
			all = append(all, u)
		}
	}
	return all
}

// refusals returns how many publishes failed.
func (l *testLink) refusals() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}

// lastBeat returns the newest full heartbeat.
func (l *testLink) lastBeat() bus.Uplink {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.beat
}

// bench is a worker under test, with a leader that the test plays.
type bench struct {
	*testLink
	t    *testing.T
	o    Options
	stop context.CancelFunc
	kill chan struct{}
	done chan error
	// limit bounds every wait; tests whose time is not real make it longer.
	limit time.Duration
}

const (
	testRun   = spec.RunName("run")
	testClass = "cpu"
)

// testOptions are options for a quick and quiet worker.
func testOptions(t *testing.T) Options {
	return Options{
		Dir: t.TempDir(), Slots: map[string]int{testClass: 2}, Grace: 5 * time.Second,
		Logger: slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// testLog writes the log of a test when it is asked for.
type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	if os.Getenv("WORKER_TEST_LOG") != "" {
		l.t.Log(string(b))
	}
	return len(b), nil
}

var _ io.Writer = testLog{}

// startBench starts a worker with the options changed by with.
func startBench(t *testing.T, with ...func(*Options)) *bench {
	t.Helper()
	o := testOptions(t)
	if time.Now().Year() > 2000 { // synctest's clock begins there
		o.Heartbeat = 10 * time.Millisecond
	}
	for _, change := range with {
		change(&o)
	}
	return restart(t, o, newTestLink())
}

// restart starts a worker with the same options on another link.
func restart(t *testing.T, o Options, link *testLink) *bench {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b := &bench{testLink: link, t: t, o: o, stop: cancel, kill: make(chan struct{}), done: make(chan error, 1), limit: 20 * time.Second}
	o.Kill = b.kill
	go func() {
		b.done <- run(ctx, o, func(context.Context, *Options, spec.WorkerID) (linkType, error) { return link, nil })
	}()
	t.Cleanup(func() {
		cancel()
		_ = b.end() // tests look at it where it matters
	})
	return b
}

// linkType lets a local variable be named link.
type linkType = link

// end waits for Run's return.
func (b *bench) end() error {
	b.t.Helper()
	err := <-b.done
	b.done <- err
	return err
}

// until waits until the condition, which is asked again whenever the worker said something, holds.
func (b *bench) until(what string, condition func() bool) {
	b.t.Helper()
	limit := time.NewTimer(b.limit)
	defer limit.Stop()
	for {
		b.mu.Lock()
		news := b.changed.wait()
		b.mu.Unlock()
		if condition() {
			return
		}
		select {
		case <-news:
		case err := <-b.done:
			b.done <- err
			if !condition() {
				b.t.Fatalf("the worker ended before %s: %v", what, err)
			}
			return
		case <-limit.C:
			b.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// give offers a dispatch.
func (b *bench) give(d *bus.Dispatch) {
	b.change(func() { b.tasks[d.Class] = append(b.tasks[d.Class], d) })
}

// tell answers the worker.
func (b *bench) tell(a bus.Answer) {
	b.t.Helper()
	b.until("it listens", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.answer != nil
	})
	if a.Run == "" {
		a.Run = testRun
	}
	b.answer(a)
}

// report waits for the n-th report of a task, from 1, and decodes it.
func (b *bench) report(task spec.TaskID, n int) (bus.Report, spec.TaskResult) {
	b.t.Helper()
	var found bus.Report
	b.until("task "+string(task)+" is reported", func() bool {
		seen := 0
		for _, report := range b.reports() {
			if report.Task == task {
				if seen++; seen == n {
					found = report
					return true
				}
			}
		}
		return false
	})
	if !found.Stored.IsZero() {
		b.mu.Lock()
		found.Body = b.blobs[found.Stored.Digest]
		b.mu.Unlock()
	}
	result, err := bus.DecodeResult(found.Body)
	if err != nil {
		b.t.Fatalf("decode the result of %s: %v", task, err)
	}
	return found, result
}

// running returns the claim under which the newest uplink lists the task as running, 0 for none.
func (b *bench) running(task spec.TaskID) spec.ClaimID {
	all := b.uplinks()
	if len(all) == 0 {
		return 0
	}
	for _, holding := range all[len(all)-1].Running {
		if holding.Task == task {
			return holding.Claim
		}
	}
	return 0
}

// awaitStart waits until the task is announced and returns its ref.
func (b *bench) awaitStart(task spec.TaskID) bus.AttemptRef {
	b.t.Helper()
	var ref bus.AttemptRef
	b.until("task "+string(task)+" is announced", func() bool {
		ref = bus.AttemptRef{Run: testRun, Task: task, Attempt: 1, Claim: b.running(task)}
		return ref.Claim != 0
	})
	return ref
}

// dispatch returns a dispatch of attempt 1 of a task.
func dispatch(task spec.TaskID, with ...func(*bus.Dispatch)) *bus.Dispatch {
	d := &bus.Dispatch{
		Run: testRun, Epoch: 1, Class: testClass, Attempt: 1,
		Task: spec.TaskSpec{ID: task, Kind: "train", Payload: spec.Payload(`{"lr":0.1}`)},
	}
	for _, change := range with {
		change(d)
	}
	return d
}

// script makes the dispatch run an experiment.
func script(lines ...string) func(*bus.Dispatch) {
	return func(d *bus.Dispatch) {
		d.Recipe.Argv = append([]string{os.Args[0]}, lines...)
		d.Recipe.Env = append(d.Recipe.Env, experimentVariable+"=1", "GORACE=atexit_sleep_ms=0")
	}
}

// runners registers Runners by kind.
func runners(byKind map[string]spec.RunnerFunc) func(*Options) {
	return func(o *Options) {
		o.Runners = map[string]spec.Runner{}
		for kind, runner := range maps.All(byKind) {
			o.Runners[kind] = runner
		}
	}
}

// kind sets the task's kind.
func kind(name string) func(*bus.Dispatch) {
	return func(d *bus.Dispatch) { d.Task.Kind = name }
}

// blocker is a Runner that waits for its context, and then returns its cause.
func blocker(ctx context.Context, _ spec.Attempt) (spec.TaskResult, error) {
	<-ctx.Done()
	return spec.TaskResult{}, context.Cause(ctx)
}
