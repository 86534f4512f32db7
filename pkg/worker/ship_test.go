package worker

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// heard is what of a task's output was published, as text, and whether it was said that nothing follows.
func (b *bench) heard(task spec.TaskID) (text string, ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all strings.Builder
	for _, m := range b.logs[task] {
		for _, p := range m.Pieces {
			if p.Skipped > 0 {
				fmt.Fprintf(&all, "<%d>", p.Skipped)
			}
			all.Write(p.Data)
		}
		ended = m.Ended
	}
	return all.String(), ended
}

func (b *bench) untilHeard(task spec.TaskID, want string) {
	b.t.Helper()
	b.until("the output of "+string(task)+" was published", func() bool { text, ended := b.heard(task); return ended && text == want })
}

// TestOutputTravels: what an experiment writes is published while it runs, in order, and its end is said.
func TestOutputTravels(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.give(dispatch("live", script("say first", "await", "warn last")))
	b.until("the first line is published while it runs", func() bool {
		text, ended := b.heard("live")
		return strings.Contains(text, "first\n") && !ended
	})
	ref := b.awaitStart("live")
	b.tell(bus.Answer{Epoch: 1, Stop: []bus.StopOrder{{AttemptRef: ref, Reason: spec.CauseCancelled}}})
	b.untilHeard("live", "first\n[autoresearch] waiting\nlast\n")
	b.give(dispatch("silent", script("exit 0")))
	b.report("silent", 1)
	if text, ended := b.heard("silent"); text != "" || ended {
		t.Errorf("a silent experiment: %q", text)
	}
}

// TestOutputOutlastsAnOutage: without NATS the experiment and its result go on; the output comes when NATS is back.
func TestOutputOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.change(func() { b.logErr = bus.ErrAmbiguous })
	b.give(dispatch("cut", script("say hello")))
	if report, _ := b.report("cut", 1); report.Failure != nil {
		t.Errorf("%+v", report.Failure)
	}
	b.change(func() { b.logErr = nil; b.again() })
	b.untilHeard("cut", "hello\n")
}

// TestOutputNeverHoldsAWorkerUp: a worker that leaves while its output cannot be sent leaves all the same.
func TestOutputNeverHoldsAWorkerUp(t *testing.T) {
	t.Parallel()
	b := startBench(t, func(o *Options) { o.KeepTimeout = 10 * time.Millisecond })
	b.change(func() { b.logErr = bus.ErrAmbiguous })
	b.give(dispatch("cut", script("say hello")))
	b.report("cut", 1)
	b.stop()
	if err := b.end(); err != nil {
		t.Error(err)
	}
}

// shipping is a shipper whose messages the test takes itself.
func shipping(t *testing.T) *shipper {
	t.Helper()
	w := newWorker(Options{Slots: map[string]int{"cpu": 1}, KeepTimeout: time.Minute, Logger: slog.Default()}, identity{}, "host", nil)
	w.link = newTestLink()
	s := w.newShipper(bus.AttemptRef{Claim: 7})
	s.sending = true
	t.Cleanup(func() { s.discard(); w.stopKeep() })
	return s
}

// TestShipperBounds: whatever is written, what waits is bounded, what is left out is told where it is missing, and the last
// words are kept.
func TestShipperBounds(t *testing.T) {
	t.Parallel()
	s := shipping(t)
	written := [2]int64{}
	for i := range 40_000 {
		stderr := i%3 == 0
		line := fmt.Sprintf("line %d\n", i)
		s.add(stderr, []byte(line))
		written[index(stderr)] += int64(len(line))
		if s.size > shipBufferMax || len(s.pieces) > shipPiecesMax {
			t.Fatalf("%d bytes in %d pieces wait", s.size, len(s.pieces))
		}
	}
	s.end()
	place, skipped, last := [2]int64{}, int64(0), ""
	for {
		m := s.take()
		if m.Out != place[0] || m.Err != place[1] {
			t.Fatalf("a message begins at %d and %d, not %v", m.Out, m.Err, place)
		}
		for _, p := range m.Pieces {
			place[index(p.Stderr)] += p.Skipped + int64(len(p.Data))
			skipped += p.Skipped
			last = string(p.Data)
		}
		if m.Ended {
			break
		}
	}
	if place != written || skipped == 0 || !strings.HasSuffix(last, "line 39999\n") || s.size != 0 || s.w.shipped.Load() != 0 {
		t.Errorf("told %v of %v, %d skipped, last %q, %d bytes left", place, written, skipped, last, s.size)
	}
}

// TestShipperCutsBetweenCharacters: a character that is not whole yet waits for its rest, and is sent as it is at the end.
func TestShipperCutsBetweenCharacters(t *testing.T) {
	t.Parallel()
	s := shipping(t)
	euro := []byte("€")
	s.add(false, append([]byte("a"), euro[:2]...))
	if m := s.take(); len(m.Pieces) != 1 || string(m.Pieces[0].Data) != "a" {
		t.Fatalf("%+v", m)
	}
	if m := s.take(); m != nil {
		t.Fatalf("half a character: %+v", m)
	}
	s.add(false, euro[2:])
	if m := s.take(); string(m.Pieces[0].Data) != "€" || m.Out != 1 {
		t.Fatalf("%+v", m)
	}
	s.add(true, euro[:1])
	s.end()
	if m := s.take(); string(m.Pieces[0].Data) != string(euro[:1]) || !m.Ended || m.Out != 4 {
		t.Fatalf("%+v", m)
	}
	s.add(false, []byte("left behind"))
	if m := s.take(); len(m.Pieces) != 0 {
		t.Errorf("after the end: %+v", m)
	}
}
