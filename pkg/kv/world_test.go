package kv_test

import (
	"io"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/bus/bustest"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/kv/kvtest"
	"autoresearch/pkg/spec"
)

func TestMain(m *testing.M) { bustest.VerifyTestMain(m) }

// world is a real server that can be stopped and started again at the same address.
type world struct {
	t        testing.TB
	server   *bus.Embedded
	o        bus.EmbeddedOptions
	conn     *bus.Conn
	reunited chan struct{}
}

func newWorld(t *testing.T) kvtest.World { return newRealWorld(t) }

func newRealWorld(t testing.TB) *world {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	w := &world{t: t, o: bus.EmbeddedOptions{StoreDir: t.TempDir(), Port: -1, Logger: log}, reunited: make(chan struct{}, 10)}
	w.start()
	t.Cleanup(w.Down)
	_, port, err := net.SplitHostPort(w.server.Server().Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if w.o.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	w.conn, err = bus.Connect(t.Context(), bus.Options{
		URL: w.server.ClientURL(), ReconnectWait: 10 * time.Millisecond, Logger: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.conn.OnReconnect(func() { w.reunited <- struct{}{} })
	t.Cleanup(func() {
		if err := w.conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) start() {
	var err error
	if w.server, err = bus.StartEmbedded(w.o); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) Mirror(run spec.RunName) kv.Mirror {
	return kv.NewMirror(w.conn, run, bus.StreamOptions{})
}
func (w *world) Lease(o kv.LeaseOptions) kv.Lease { return kv.NewLease(w.conn, o) }
func (w *world) Elapse(d time.Duration)           { time.Sleep(d) }

func (w *world) Down() {
	if err := w.server.Shutdown(); err != nil {
		w.t.Error(err)
	}
}

func (w *world) Up() {
	w.start()
	select {
	case <-w.reunited:
	case <-time.After(10 * time.Second):
		w.t.Fatal("no reconnect")
	}
}

func TestMirror(t *testing.T) { t.Parallel(); kvtest.TestMirror(t, newWorld) }
func TestLease(t *testing.T)  { kvtest.TestLease(t, newWorld) }
