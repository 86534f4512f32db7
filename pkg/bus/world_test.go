package bus_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/bus/bustest"
	"autoresearch/pkg/spec"
)

func TestMain(m *testing.M) { bustest.VerifyTestMain(m) }

// quiet is a logger for tests that provoke errors.
func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// startServer starts an embedded server that ends with the test.
func startServer(t testing.TB, o bus.EmbeddedOptions) *bus.Embedded {
	t.Helper()
	if o.StoreDir == "" {
		o.StoreDir = t.TempDir()
	}
	if o.Port == 0 {
		o.Port = -1
	}
	if o.Logger == nil {
		o.Logger = quiet()
	}
	e, err := bus.StartEmbedded(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shutDown(t, e) })
	return e
}

func shutDown(t testing.TB, e *bus.Embedded) {
	t.Helper()
	if err := e.Shutdown(); err != nil {
		t.Error(err)
	}
}

// connect connects over TCP; the connection ends with the test.
func connect(t testing.TB, o bus.Options) *bus.Conn {
	t.Helper()
	if o.Logger == nil {
		o.Logger = quiet()
	}
	c, err := bus.Connect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// world is a real server that can be stopped and started again at the same address, with a connection for the leader
// and one for a worker.
type world struct {
	t        *testing.T
	mu       sync.Mutex
	server   *bus.Embedded
	o        bus.EmbeddedOptions
	leader   *bus.Conn
	worker   *bus.Conn
	reunited chan struct{}
}

func newWorld(t *testing.T) bustest.World { return newRealWorld(t) }

func newRealWorld(t *testing.T) *world {
	w := &world{t: t, o: bus.EmbeddedOptions{StoreDir: t.TempDir(), Port: -1, Logger: quiet()}, reunited: make(chan struct{}, 10)}
	w.start()
	t.Cleanup(func() { w.Down() })
	_, port, err := net.SplitHostPort(w.server.Server().Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if w.o.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	w.leader = connect(t, bus.Options{URL: w.server.ClientURL(), Name: "leader", ReconnectWait: 10 * time.Millisecond})
	w.worker = connect(t, bus.Options{URL: w.server.ClientURL(), Name: "worker", ReconnectWait: 10 * time.Millisecond})
	for _, c := range []*bus.Conn{w.leader, w.worker} {
		c.OnReconnect(func() { w.reunited <- struct{}{} })
	}
	return w
}

func (w *world) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	var err error
	if w.server, err = bus.StartEmbedded(w.o); err != nil {
		w.t.Fatal(err)
	}
}

// shortTimeout keeps the tests of outages short.
func shortTimeout(o bus.StreamOptions) bus.StreamOptions {
	if o.AppendTimeout == 0 {
		o.AppendTimeout = 500 * time.Millisecond
	}
	return o
}

func (w *world) Journal(run spec.RunName, o bus.StreamOptions) bus.Journal {
	return bus.NewJournal(w.leader, run, shortTimeout(o))
}

func (w *world) Results(run spec.RunName, o bus.StreamOptions) bus.Results {
	return bus.NewResults(w.leader, run, o)
}

func (w *world) Objects(run spec.RunName, o bus.StreamOptions) bus.Objects {
	return bus.NewObjects(w.leader, run, o)
}

func (w *world) Rejects(run spec.RunName) bus.Rejects {
	return bus.NewRejects(w.leader, run, bus.StreamOptions{})
}

func (w *world) Elapse(time.Duration) {} // a renewal after a nanosecond needs no more

func (w *world) Doorbell(o bus.StreamOptions, failed func(string, error)) bus.Doorbell {
	return bus.NewDoorbell(w.leader, o, failed)
}

func (w *world) PublishResult(ctx context.Context, run spec.RunName, m *bus.ResultMessage) error {
	return w.worker.PublishResult(ctx, run, m.Worker, m)
}

func (w *world) Pull(ctx context.Context, class string, wait time.Duration) ([]*bus.Dispatch, error) {
	puller := bus.NewPuller(w.worker, class, nil)
	tasks, err := puller.Pull(ctx, wait)
	return tasks, errors.Join(err, puller.Close())
}

func (w *world) Down() {
	w.mu.Lock()
	defer w.mu.Unlock()
	shutDown(w.t, w.server)
}

func (w *world) Up() {
	w.start()
	for range 2 {
		select {
		case <-w.reunited:
		case <-time.After(10 * time.Second):
			w.t.Fatal("no reconnect")
		}
	}
}

func (w *world) Await(stream string, messages uint64) {
	s := bus.NewStream(w.leader, jetstream.StreamConfig{Name: stream})
	for deadline := time.Now().Add(10 * time.Second); ; {
		bounds, err := s.Bounds(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if bounds.Last+1-bounds.First == messages {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("stream %s never held %d messages", stream, messages)
		}
	}
}

func (w *world) Delete(stream string) {
	js, err := jetstream.New(w.leader.NATS())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := js.DeleteStream(w.t.Context(), stream); err != nil {
		w.t.Fatal(err)
	}
}

func TestJournal(t *testing.T)  { bustest.TestJournal(t, newWorld) }
func TestResults(t *testing.T)  { bustest.TestResults(t, newWorld) }
func TestObjects(t *testing.T)  { bustest.TestObjects(t, newWorld) }
func TestRejects(t *testing.T)  { bustest.TestRejects(t, newWorld) }
func TestDoorbell(t *testing.T) { bustest.TestDoorbell(t, newWorld) }
