package api

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/bus/bustest"
	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/worker"
)

func TestMain(m *testing.M) { bustest.VerifyTestMain(m) }

// world is a NATS server with coordinators, their APIs, and workers, all in this process.
type world struct {
	t      testing.TB
	server *bus.Embedded
	wg     sync.WaitGroup
	conns  []*bus.Conn
	cancel []func()
}

func newWorld(t testing.TB) *world {
	t.Helper()
	server, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: t.TempDir(), Port: -1, Logger: quiet(t)})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, server: server}
	t.Cleanup(func() {
		for _, cancel := range w.cancel {
			cancel()
		}
		w.wg.Wait()
		for _, conn := range w.conns {
			if err := conn.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
		if err := server.Shutdown(); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return w
}

func quiet(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
}

func (w *world) connect() *bus.Conn {
	w.t.Helper()
	conn, err := w.server.Connect(w.t.Context(), "test")
	if err != nil {
		w.t.Fatal(err)
	}
	w.conns = append(w.conns, conn)
	return conn
}

// search is a workflow that has two kinds in classes of their own and minimises a loss.
type search struct {
	specs []spec.TaskSpec
}

func (s *search) Load(context.Context) ([]spec.TaskSpec, error) { return s.specs, nil }

func (s *search) Checkpoint(context.Context, []spec.TaskSpec, []spec.TaskSpec, spec.Status) error {
	return nil
}

func (s *search) OnResult(_ context.Context, _ spec.TaskSpec, r spec.TaskResult) ([]spec.TaskSpec, error) {
	return r.Children, nil
}

func (s *search) Summarize(context.Context, string) (string, error) { return "", nil }

func (s *search) Policies() (map[string]spec.KindPolicy, bool) {
	return map[string]spec.KindPolicy{
		"train": {Class: "gpu"}, spec.KindDefault: {}, "flaky": {Retries: 1}, "think": {Class: "think", Uncounted: true},
	}, false
}

func (s *search) Limits() spec.Limits { return spec.Limits{} }

func (s *search) Objective() spec.Objective { return spec.Objective{Metric: "loss"} }

// node is a coordinator with its API.
type node struct {
	*coordinator.Coordinator
	api  *Server
	http *httptest.Server
	stop func()
}

// coordinate starts a coordinator of run "test", with its API.
func (w *world) coordinate(specs ...spec.TaskSpec) *node { return w.coordinateRun("test", specs...) }

func (w *world) coordinateRun(run spec.RunName, specs ...spec.TaskSpec) *node {
	w.t.Helper()
	n := &node{api: NewServer(Options{Logger: quiet(w.t), Loopback: true, Version: "test"})}
	n.http = httptest.NewServer(n.api)
	c, err := coordinator.New(coordinator.Options{
		Conn: w.connect(), Run: run, Workflow: &search{specs: specs}, MaxConcurrency: 4, Seed: 1, Logger: quiet(w.t),
		LeaderTTL: 2 * time.Second, LeaseTTL: 3 * time.Second, WorkerTTL: 2 * time.Second, HTTP: n.http.URL,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	n.Coordinator = c
	n.api.Register(c)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	w.wg.Go(func() {
		defer close(ended)
		if _, err := c.Run(ctx); err != nil {
			w.t.Errorf("coordinator: %v", err)
		}
	})
	n.stop = func() { cancel(); <-ended }
	w.cancel = append(w.cancel, n.http.CloseClientConnections, n.http.Close, n.stop)
	return n
}

// leads waits until the node leads and its first specs are loaded.
func (n *node) leads(t testing.TB) *coordinator.View {
	t.Helper()
	var view *coordinator.View
	eventually(t, "it leads", func() bool {
		var err error
		view, err = n.View()
		return err == nil && view.Meta().Loaded
	})
	return view
}

// client returns a client of the node whose every answer is checked against the document.
func (n *node) client(t testing.TB) *Client {
	t.Helper()
	return clientOf(t, ClientOptions{Server: n.http.URL, By: "anna"})
}

func clientOf(t testing.TB, o ClientOptions) *Client {
	t.Helper()
	c, err := NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	inner := c.http.Transport.(*http.Transport)
	t.Cleanup(inner.CloseIdleConnections)
	c.http.Transport = &checked{t: t, inner: inner}
	return c
}

// work starts a worker with a runner for the kinds default, train and flaky.
func (w *world) work(slots map[string]int, runner spec.RunnerFunc) {
	w.t.Helper()
	conn, dir := w.connect(), w.t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = append([]func(){cancel}, w.cancel...)
	w.wg.Go(func() {
		err := worker.Run(ctx, worker.Options{
			Conn: conn, Dir: dir, Slots: slots, Heartbeat: 100 * time.Millisecond, Logger: quiet(w.t),
			Runners: map[string]spec.Runner{spec.KindDefault: runner, "train": runner, "flaky": runner},
		})
		if err != nil {
			w.t.Errorf("worker: %v", err)
		}
	})
}

// eventually polls until ok, and fails with what at the end of patience.
func eventually(t testing.TB, what string, ok func() bool) {
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

func task(id string) spec.TaskSpec { return spec.TaskSpec{ID: spec.TaskID(id), Kind: spec.KindDefault} }

// must returns what a call returned, and ends the test if the call failed: must(call())(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
