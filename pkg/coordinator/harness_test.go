package coordinator

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/bus/bustest"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/worker"
)

func TestMain(m *testing.M) { bustest.VerifyTestMain(m) }

// world is a NATS server with coordinators and workers, all in this process.
type world struct {
	t      *testing.T
	server *bus.Embedded
	conn   *bus.Conn
	run    spec.RunName
	wg     sync.WaitGroup
	cancel []func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOf(t, 0)
}

// newWorldOf is newWorld with a bound of messages in bytes; 0 for the default.
func newWorldOf(t *testing.T, payloadMax int) *world {
	t.Helper()
	server, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: t.TempDir(), Port: -1, MaxPayload: payloadMax, Logger: quiet(t)})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, server: server, run: "test"}
	w.conn = w.connect()
	t.Cleanup(func() {
		w.stop()
		if err := w.conn.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := server.Shutdown(); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return w
}

// stop ends every coordinator and worker and waits.
func (w *world) stop() {
	for _, cancel := range w.cancel {
		cancel()
	}
	w.cancel = nil
	w.wg.Wait()
}

func (w *world) connect() *bus.Conn {
	w.t.Helper()
	conn, err := w.server.Connect(w.t.Context(), "test")
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// quiet logs to the test, at warnings.
func quiet(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// ended is how a coordinator's Run returned.
type ended struct {
	status Status
	err    error
}

// served is a coordinator that runs.
type served struct {
	*Coordinator
	cancel func()
	ended  chan ended
}

func (w *world) coordinate(wf spec.Workflow, change func(*Options)) *served {
	w.t.Helper()
	o := Options{
		Conn: w.conn, Run: w.run, Workflow: wf, MaxConcurrency: 8, ExitWhenStopped: true, Seed: 1, Logger: quiet(w.t),
		LeaderTTL: 2 * time.Second, LeaseTTL: 3 * time.Second, WorkerTTL: 2 * time.Second,
	}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = append(w.cancel, cancel)
	s := &served{Coordinator: c, cancel: cancel, ended: make(chan ended, 1)}
	w.wg.Go(func() {
		status, err := c.Run(ctx)
		s.ended <- ended{status, err}
	})
	return s
}

// wait returns how the coordinator ended.
func (s *served) wait(t *testing.T) ended {
	t.Helper()
	select {
	case e := <-s.ended:
		return e
	case <-time.After(30 * time.Second):
		status, err := s.Status()
		t.Fatalf("the run does not end: %+v, %v", status, err)
		return ended{}
	}
}

// work starts a worker with Go runners and returns what ends it.
func (w *world) work(slots int, runner spec.RunnerFunc) (stop func()) {
	w.t.Helper()
	dir := w.t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	stop = func() { cancel(); <-done }
	w.cancel = append(w.cancel, stop)
	w.wg.Go(func() {
		defer close(done)
		err := worker.Run(ctx, worker.Options{
			Conn: w.conn, Dir: dir, Slots: map[string]int{spec.ClassDefault: slots}, Heartbeat: 200 * time.Millisecond,
			Runners: map[string]spec.Runner{spec.KindDefault: runner}, Logger: quiet(w.t),
		})
		if err != nil {
			w.t.Errorf("worker: %v", err)
		}
	})
	return stop
}

// eventually polls until ok, and fails with what at the end of patience.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("it never happened: %s", what)
		case <-tick.C:
		}
	}
}

// tree is a workflow whose tasks return children: a root, and fan children below each node down to depth.
type tree struct {
	fan, depth int

	mu      sync.Mutex
	results map[spec.TaskID]int
	onHook  func(spec.TaskSpec, spec.TaskResult) ([]spec.TaskSpec, error)
}

func newTree(fan, depth int) *tree {
	return &tree{fan: fan, depth: depth, results: make(map[spec.TaskID]int)}
}

// size is how many tasks a tree has.
func (w *tree) size() int {
	total, level := 0, 1
	for range w.depth + 1 {
		total += level
		level *= w.fan
	}
	return total
}

func (w *tree) Load(context.Context) ([]spec.TaskSpec, error) {
	return []spec.TaskSpec{task("r")}, nil
}

func task(id string) spec.TaskSpec { return spec.TaskSpec{ID: spec.TaskID(id), Kind: spec.KindDefault} }

func (w *tree) Checkpoint(context.Context, []spec.TaskSpec, []spec.TaskSpec, spec.Status) error {
	return nil
}

func (w *tree) OnResult(_ context.Context, ts spec.TaskSpec, r spec.TaskResult) ([]spec.TaskSpec, error) {
	w.mu.Lock()
	w.results[ts.ID]++
	w.mu.Unlock()
	if w.onHook != nil {
		return w.onHook(ts, r)
	}
	return r.Children, nil
}

func (w *tree) Summarize(context.Context, string) (string, error) { return "done\n", nil }

// grow is the tree's runner.
func (w *tree) grow(_ context.Context, a spec.Attempt) (spec.TaskResult, error) {
	r := spec.TaskResult{Metrics: map[string]float64{"depth": float64(len(a.Task.ID))}}
	if len(a.Task.ID) <= w.depth {
		for i := range w.fan {
			r.Children = append(r.Children, task(fmt.Sprintf("%s%d", a.Task.ID, i)))
		}
	}
	return r, nil
}

// counted counts the executions of a runner.
func counted(n *atomic.Int64, runner spec.RunnerFunc) spec.RunnerFunc {
	return func(ctx context.Context, a spec.Attempt) (spec.TaskResult, error) {
		n.Add(1)
		return runner(ctx, a)
	}
}

// heldUntil is a runner whose attempts last until release is closed.
func heldUntil(release <-chan struct{}) spec.RunnerFunc {
	return func(ctx context.Context, _ spec.Attempt) (spec.TaskResult, error) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return spec.TaskResult{}, nil
	}
}
