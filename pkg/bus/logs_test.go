package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

func piece(text string) bus.LogPiece { return bus.LogPiece{Data: []byte(text)} }

func warning(text string) bus.LogPiece { return bus.LogPiece{Data: []byte(text), Stderr: true} }

// logWorld is a run's log stream, and how a worker writes to it.
func logWorld(t *testing.T) (*world, bus.Logs, func(worker spec.WorkerID, task spec.TaskID, attempt uint32, m *bus.LogMessage)) {
	t.Helper()
	w := newWorld(t).(*world)
	logs := bus.NewLogs(w.leader, "r", bus.StreamOptions{})
	if err := logs.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w, logs, func(worker spec.WorkerID, task spec.TaskID, attempt uint32, m *bus.LogMessage) {
		t.Helper()
		if err := w.worker.PublishLog(t.Context(), "r", worker, task, attempt, bus.LogHead, m); err != nil {
			t.Fatal(err)
		}
	}
}

// read is what a scan has to tell, as text.
func read(t *testing.T, s *bus.LogScan) string {
	t.Helper()
	var all strings.Builder
	err := s.Read(t.Context(), func(_ uint64, _ spec.WorkerID, m *bus.LogMessage) error {
		for _, p := range m.Pieces {
			if p.Skipped > 0 {
				fmt.Fprintf(&all, "<%d>", p.Skipped)
			}
			if p.Stderr {
				all.WriteByte('!')
			}
			all.Write(p.Data)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// TestLogs: the output of an attempt is read in order and apart from others', each byte once, what is missing is told, and a
// reader goes on where another stopped.
func TestLogs(t *testing.T) {
	t.Parallel()
	_, logs, say := logWorld(t)
	odd := spec.TaskID("a.b*>ü")
	say("w", odd, 2, &bus.LogMessage{Claim: 1, Pieces: []bus.LogPiece{piece("one "), warning("two ")}})
	say("w", "other", 2, &bus.LogMessage{Claim: 1, Pieces: []bus.LogPiece{piece("not this")}})
	say("w", odd, 1, &bus.LogMessage{Claim: 9, Pieces: []bus.LogPiece{piece("nor this")}})
	scan := bus.NewLogScan(logs, odd, 2, 0)
	if got := read(t, scan); got != "one !two " || scan.Ended() {
		t.Fatalf("%q", got)
	}
	middle := scan.Position()
	again := &bus.LogMessage{Claim: 1, Pieces: []bus.LogPiece{piece("one "), warning("two ")}}
	say("w", odd, 2, again) // its answer was lost
	say("w", odd, 2, &bus.LogMessage{Claim: 1, Out: 14, Err: 4, Pieces: []bus.LogPiece{piece("three "), {Stderr: true, Skipped: 5, Data: []byte("four ")}}})
	say("v", odd, 2, &bus.LogMessage{Claim: 2, Pieces: []bus.LogPiece{piece("another worker ")}})
	say("w", odd, 2, &bus.LogMessage{Claim: 1, Out: 20, Err: 14, Ended: true, Pieces: []bus.LogPiece{{Skipped: 3}}})
	for _, s := range []*bus.LogScan{scan, bus.NewLogScan(logs, odd, 2, middle)} {
		if got, want := read(t, s), "<10>three <5>!four another worker <3>"; got != want || !s.Ended() {
			t.Errorf("%q, not %q", got, want)
		}
	}
	attempts, err := logs.Attempts(t.Context(), odd)
	if err != nil || !slices.Equal(attempts, []uint32{1, 2}) {
		t.Errorf("attempts %v, %v", attempts, err)
	}
	if attempts, err := logs.Attempts(t.Context(), "nobody"); err != nil || len(attempts) != 0 {
		t.Errorf("attempts of nobody %v, %v", attempts, err)
	}
}

// TestLogsAreWatched: whoever watches hears of what comes.
func TestLogsAreWatched(t *testing.T) {
	t.Parallel()
	_, logs, say := logWorld(t)
	news := make(chan struct{}, 10)
	stop, err := logs.Watch("t", 1, func() { news <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for limit := time.After(10 * time.Second); ; {
		say("w", "t", 1, &bus.LogMessage{Pieces: []bus.LogPiece{piece("x")}}) // the subscription may come behind the first
		select {
		case <-news:
			return
		case <-limit:
			t.Fatal("nothing was heard")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestLogsAreBounded: of an attempt that writes without end the newest is kept, and its head; a reader is told what is gone.
func TestLogsAreBounded(t *testing.T) {
	t.Parallel()
	w, logs, _ := logWorld(t)
	js, err := jetstream.New(w.leader.NATS())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), bus.LogsStream("r"))
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	if config.MaxBytes <= 0 || config.MaxAge <= 0 || config.MaxMsgsPerSubject <= bus.LogHeadMax || config.Discard != jetstream.DiscardOld {
		t.Errorf("the stream has no bounds: %+v", config)
	}
	config.MaxMsgsPerSubject = 3
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		part := bus.LogHead
		if i >= 2 {
			part = bus.LogTail
		}
		m := &bus.LogMessage{Out: int64(i), Pieces: []bus.LogPiece{piece(fmt.Sprint(i))}}
		if err := w.worker.PublishLog(t.Context(), "r", "w", "t", 1, part, m); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, bus.NewLogScan(logs, "t", 1, 0)); got != "01<5>789" {
		t.Errorf("%q", got)
	}
	if got := read(t, bus.NewLogScan(logs, "t", 1, 3)); got != "<5>789" && got != "789" { // the message it goes on after is gone
		t.Errorf("%q", got)
	}
}

// TestLogsMissing: without a stream there is nothing to read, and it is said why.
func TestLogsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t).(*world)
	logs := bus.NewLogs(w.leader, "r", bus.StreamOptions{})
	_, err := logs.Attempts(t.Context(), "t")
	scanned := bus.NewLogScan(logs, "t", 1, 0).Read(t.Context(), nil)
	if !errors.Is(err, bus.ErrMissing) || !errors.Is(scanned, bus.ErrMissing) {
		t.Errorf("%v, %v", err, scanned)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := w.worker.PublishLog(ctx, "r", "w", "t", 1, bus.LogHead, &bus.LogMessage{}); err == nil {
		t.Error("it was stored nowhere")
	}
}
