package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// leader plays the leader of one run over a real NATS server.
type leader struct {
	t        testing.TB
	conn     *bus.Conn
	run      spec.RunName
	doorbell bus.Doorbell
	results  bus.Results
	uplinks  bus.Uplinks
	changed  broadcast

	mu      sync.Mutex
	reports []bus.Report
	heard   []bus.Uplink
	receipt bool // answer each report with a receipt
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// startServer runs a NATS server for the test's time.
func startServer(t testing.TB, port int, dir string) *bus.Embedded {
	t.Helper()
	server, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: dir, Port: port, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// startLeader provisions a run and begins to listen.
func startLeader(t testing.TB, url string, run spec.RunName) *leader {
	t.Helper()
	conn, err := bus.Connect(t.Context(), bus.Options{URL: url, Name: "leader", Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	l := &leader{t: t, conn: conn, run: run, uplinks: bus.NewUplinks(conn), results: bus.NewResults(conn, run, bus.StreamOptions{})}
	l.doorbell = bus.NewDoorbell(conn, bus.StreamOptions{}, func(subject string, err error) { t.Log(subject, err) })
	stopListening, err := l.uplinks.Listen(func(_ spec.WorkerID, u bus.Uplink) {
		l.note(func() { l.heard = append(l.heard, u) })
	})
	if err != nil {
		t.Fatal(err)
	}
	l.provision()
	stopReading, err := l.results.Consume(context.Background(), 0, l.read, func(err error) { t.Log("results:", err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stopReading()
		stopListening()
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l *leader) provision() {
	l.t.Helper()
	_, err := l.doorbell.Ensure(l.t.Context(), []string{testClass})
	if err := errors.Join(err, l.results.Ensure(l.t.Context())); err != nil {
		l.t.Fatal(err)
	}
}

func (l *leader) note(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn()
	l.changed.fire()
}

// read takes one message of results, and receipts it if the test wants that.
func (l *leader) read(_ uint64, _ spec.WorkerID, data []byte) {
	m, err := bus.DecodeResultMessage(data)
	if err != nil {
		l.t.Error(err)
		return
	}
	answer := bus.Answer{Run: l.run, Epoch: 1}
	for _, report := range m.Reports {
		answer.Receipt = append(answer.Receipt, report.AttemptRef)
	}
	l.note(func() { l.reports = append(l.reports, m.Reports...) })
	if l.receipt {
		if err := l.uplinks.Answer(m.Worker, answer); err != nil {
			l.t.Log(err)
		}
	}
}

// until waits until the condition, asked under the lock at each message, holds.
func (l *leader) until(what string, condition func() bool) {
	l.t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		l.mu.Lock()
		news := l.changed.wait()
		held := condition()
		l.mu.Unlock()
		if held {
			return
		}
		select {
		case <-news:
		case <-limit.C:
			l.t.Fatalf("waited in vain until %s", what)
		}
	}
}

func (l *leader) publish(d *bus.Dispatch) {
	l.t.Helper()
	d.Run = l.run
	if err := l.doorbell.Publish([]*bus.Dispatch{d}, false); err != nil {
		l.t.Fatal(err)
	}
}

// startRun runs a worker until the test's end or until stop is called, which returns what Run returned.
func startRun(t testing.TB, o Options) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = Run(ctx, o)
	}()
	stop = func() error {
		cancel()
		<-done
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return stop
}

func TestOverNATS(t *testing.T) {
	t.Parallel()
	server := startServer(t, -1, t.TempDir())
	l := startLeader(t, server.ClientURL(), "a run.*")
	l.receipt = true
	o := testOptions(t)
	o.Bus = bus.Options{URL: server.ClientURL(), Logger: o.Logger}
	o.Heartbeat = 50 * time.Millisecond
	o.Runners = map[string]spec.Runner{"go": spec.RunnerFunc(succeed), "block": spec.RunnerFunc(blocker)}
	stop := startRun(t, o)
	for i := range 100 {
		l.publish(dispatch(spec.TaskID(fmt.Sprint("task ", i)), kind("go")))
	}
	l.publish(dispatch("process", script("say [autoresearch] loss=4", `result {"output": {"x": 1}}`)))
	l.until("all are reported", func() bool { return len(l.reports) == 101 })
	l.publish(dispatch("held", kind("block")))
	var ref bus.AttemptRef
	l.until("one is announced", func() bool {
		for _, u := range l.heard {
			for _, holding := range u.Running {
				if holding.Task == "held" {
					ref = holding.AttemptRef
				}
			}
		}
		return ref.Claim != 0
	})
	worker := l.heard[0].Worker
	order := bus.StopOrder{AttemptRef: ref, Reason: spec.CauseCancelled}
	if err := l.uplinks.Answer(worker, bus.Answer{Run: l.run, Epoch: 1, Stop: []bus.StopOrder{order}}); err != nil {
		t.Fatal(err)
	}
	l.until("it is cancelled", func() bool { return len(l.reports) == 102 && l.reports[101].Failure.Cause() == spec.CauseCancelled })
	l.until("all receipts arrived", func() bool {
		last := l.heard[len(l.heard)-1]
		return last.Full && len(last.Finished)+len(last.Running) == 0
	})
	l.publish(dispatch("left", kind("block")))
	l.until("the last one runs", func() bool {
		last := l.heard[len(l.heard)-1]
		return len(last.Running) == 1
	})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	l.until("it is preempted", func() bool { return len(l.reports) == 103 && l.reports[102].Preempted })
	if err := l.uplinks.Hello(bus.Answer{Run: l.run, Epoch: 2, Hello: true}); err != nil {
		t.Fatal(err)
	}
}

// TestRestartOfNATS: the server goes away while an attempt runs, and with it the doorbell, which lies in its memory.
func TestRestartOfNATS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server := startServer(t, -1, dir)
	url := server.ClientURL()
	_, text, err := net.SplitHostPort(strings.TrimPrefix(url, "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	l := startLeader(t, url, testRun)
	release := make(chan struct{})
	o := testOptions(t)
	o.Bus = bus.Options{URL: url, Logger: o.Logger}
	o.Heartbeat = 50 * time.Millisecond
	o.Runners = map[string]spec.Runner{"train": spec.RunnerFunc(func(context.Context, spec.Attempt) (spec.TaskResult, error) {
		<-release
		return spec.TaskResult{}, nil
	})}
	startRun(t, o)
	l.publish(dispatch("during"))
	l.until("it runs", func() bool { n := len(l.heard); return n > 0 && len(l.heard[n-1].Running) == 1 })
	if err := server.Shutdown(); err != nil {
		t.Fatal(err)
	}
	close(release)
	startServer(t, port, dir)
	l.until("its result is there", func() bool { return len(l.reports) > 0 && l.reports[0].Task == "during" })
	l.until("the class is deaf", func() bool {
		last := l.heard[len(l.heard)-1]
		return last.Full && len(last.Running) == 0 && len(last.Finished) == 1 && last.Slots[0].Free == 0
	})
	l.provision()
	l.publish(dispatch("after"))
	l.until("the next is reported", func() bool { return l.reports[len(l.reports)-1].Task == "after" })
	l.until("the class hears again", func() bool { s := l.heard[len(l.heard)-1].Slots; return len(s) == 1 && s[0].Free == 2 })
}

func TestConnectErrors(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.Bus = bus.Options{URL: "nats://127.0.0.1:1", Logger: quiet()}
	if err := Run(t.Context(), o); !errors.Is(err, bus.ErrUnreachable) {
		t.Errorf("no server: %v", err)
	}
}
