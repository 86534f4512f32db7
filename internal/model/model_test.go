package model_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"autoresearch/internal/host"
	"autoresearch/internal/model"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/bus/bustest"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/kv/kvtest"
	"autoresearch/pkg/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a modelled server on real goroutines, for the suites that the real server passes.
type world struct {
	t      *testing.T
	server *model.Server
	client *model.Client

	mu     sync.Mutex
	passed time.Duration
}

func newWorld(t *testing.T) *world {
	w := &world{t: t}
	began := time.Now()
	w.server = model.NewServer(func() time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return began.Add(w.passed)
	})
	w.client = model.NewClient(w.server, model.Direct{Server: w.server}, host.Machine{})
	return w
}

func (w *world) Journal(run spec.RunName, o bus.StreamOptions) bus.Journal {
	return w.client.Journal(run, o)
}
func (w *world) Results(run spec.RunName, o bus.StreamOptions) bus.Results {
	return w.client.Results(run, o)
}
func (w *world) Objects(run spec.RunName, o bus.StreamOptions) bus.Objects {
	return w.client.Objects(run, o)
}
func (w *world) Rejects(run spec.RunName) bus.Rejects { return w.client.Rejects(run) }
func (w *world) Mirror(run spec.RunName) kv.Mirror    { return w.client.Mirror(run) }
func (w *world) Lease(o kv.LeaseOptions) kv.Lease     { return w.client.Lease(o) }
func (w *world) Down()                                { w.server.Down() }
func (w *world) Up()                                  { w.server.Up() }
func (w *world) Delete(stream string)                 { w.server.Delete(stream) }

func (w *world) Doorbell(o bus.StreamOptions, failed func(string, error)) bus.Doorbell {
	return w.client.Doorbell(o, failed)
}

func (w *world) Elapse(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passed += d
}

func (w *world) PublishResult(_ context.Context, run spec.RunName, m *bus.ResultMessage) error {
	if w.server.IsDown() {
		return bus.ErrAmbiguous
	}
	return w.server.PublishResult(run, m)
}

func (w *world) Pull(ctx context.Context, class string, wait time.Duration) ([]*bus.Dispatch, error) {
	for end := time.Now().Add(wait); ; time.Sleep(time.Millisecond) {
		pulled, err := w.server.Pull(class, false)
		if len(pulled) > 0 || err != nil || ctx.Err() != nil || time.Now().After(end) {
			return pulled, err
		}
	}
}

func (w *world) Await(stream string, messages uint64) {
	for w.server.Messages(stream) != messages {
		time.Sleep(time.Millisecond)
	}
}

func TestJournal(t *testing.T) {
	t.Parallel()
	bustest.TestJournal(t, func(t *testing.T) bustest.World { return newWorld(t) })
}

func TestResults(t *testing.T) {
	t.Parallel()
	bustest.TestResults(t, func(t *testing.T) bustest.World { return newWorld(t) })
}

func TestDoorbell(t *testing.T) {
	t.Parallel()
	bustest.TestDoorbell(t, func(t *testing.T) bustest.World { return newWorld(t) })
}

func TestObjects(t *testing.T) {
	t.Parallel()
	bustest.TestObjects(t, func(t *testing.T) bustest.World { return newWorld(t) })
}

func TestRejects(t *testing.T) {
	t.Parallel()
	bustest.TestRejects(t, func(t *testing.T) bustest.World { return newWorld(t) })
}

func TestMirror(t *testing.T) {
	t.Parallel()
	kvtest.TestMirror(t, func(t *testing.T) kvtest.World { return newWorld(t) })
}

func TestLease(t *testing.T) {
	t.Parallel()
	kvtest.TestLease(t, func(t *testing.T) kvtest.World { return newWorld(t) })
}
