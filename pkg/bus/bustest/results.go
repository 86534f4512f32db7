package bustest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// TestResults checks every contract line of bus.Results.
func TestResults(t *testing.T, newWorld func(t *testing.T) World) {
	for name, test := range map[string]func(t *testing.T, w World){
		"Missing":        resultsMissing,
		"Consume":        resultsConsume,
		"ConsumeAfter":   resultsConsumeAfter,
		"ConsumeBeyond":  resultsConsumeBeyond,
		"ConsumeStops":   resultsConsumeStops,
		"ContextStops":   resultsContextStops,
		"BackPressure":   resultsBackPressure,
		"Purge":          resultsPurge,
		"SurvivesOutage": resultsOutage,
		"Deleted":        resultsDeleted,
		"Recreated":      resultsRecreated,
		"Full":           resultsFull,
		"TooLarge":       resultsTooLarge,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t))
		})
	}
}

func newResults(t *testing.T, w World) bus.Results {
	t.Helper()
	r := w.Results(run, bus.StreamOptions{})
	must(t, r.Ensure(deadline(t)))
	must(t, r.Ensure(deadline(t)))
	return r
}

func resultMessage(n int) *bus.ResultMessage {
	report := bus.Report{AttemptRef: bus.AttemptRef{Run: run, Task: "t", Attempt: uint32(n)}, Body: fmt.Appendf(nil, "body %d", n)}
	return &bus.ResultMessage{Worker: "wörker 1", Boot: 2, Reports: []bus.Report{report}}
}

func publish(t *testing.T, w World, first, last int) {
	t.Helper()
	for n := first; n <= last; n++ {
		must(t, w.PublishResult(deadline(t), run, resultMessage(n)))
	}
}

// arrival is what a consumer was called with: its sequence and the attempt in the message.
type arrival struct{ seq, attempt uint64 }

// arrivals decodes what a Consume delivers.
func arrivals(t *testing.T, to chan<- arrival) func(seq uint64, from spec.WorkerID, data []byte) {
	return func(seq uint64, from spec.WorkerID, data []byte) {
		m, err := bus.DecodeResultMessage(data)
		if err != nil || len(m.Reports) != 1 || m.Worker != "wörker 1" || from != m.Worker {
			t.Errorf("message %d from %q: %+v, error %v", seq, from, m, err)
			return
		}
		to <- arrival{seq: seq, attempt: uint64(m.Reports[0].Attempt)}
	}
}

// unexpected fails the test when a stream that is sound is said to have failed.
func unexpected(t *testing.T) func(error) {
	return func(err error) { t.Errorf("consuming failed: %v", err) }
}

func expectArrivals(t *testing.T, from <-chan arrival, first, last uint64) {
	t.Helper()
	for seq := first; seq <= last; seq++ {
		if got := next(t, from); got != (arrival{seq, seq}) {
			t.Fatalf("got %+v, want %d", got, seq)
		}
	}
}

func resultsMissing(t *testing.T, w World) {
	newJournal(t, w)
	r := w.Results(run, bus.StreamOptions{})
	_, err := r.Bounds(deadline(t))
	wantError(t, err, bus.ErrMissing)
	_, err = r.Consume(deadline(t), 0, nil, nil)
	wantError(t, err, bus.ErrMissing)
	wantError(t, r.Purge(deadline(t), 1), bus.ErrMissing)
	if err := w.PublishResult(deadline(t), run, resultMessage(1)); err == nil {
		t.Fatal("a result went nowhere without an error")
	}
}

func resultsConsume(t *testing.T, w World) {
	r := newResults(t, w)
	wantBounds(t, r, 1, 0)
	publish(t, w, 1, 3)
	wantBounds(t, r, 1, 3)
	got := make(chan arrival, 100)
	stop, err := r.Consume(t.Context(), 0, arrivals(t, got), unexpected(t))
	must(t, err)
	defer stop()
	expectArrivals(t, got, 1, 3)
	publish(t, w, 4, 20)
	expectArrivals(t, got, 4, 20)
}

func resultsConsumeAfter(t *testing.T, w World) {
	r := newResults(t, w)
	publish(t, w, 1, 5)
	for _, after := range []uint64{3, 5} {
		got := make(chan arrival, 100)
		stop, err := r.Consume(t.Context(), after, arrivals(t, got), unexpected(t))
		must(t, err)
		expectArrivals(t, got, after+1, 5)
		stop()
	}
}

func resultsConsumeBeyond(t *testing.T, w World) {
	r := newResults(t, w)
	publish(t, w, 1, 2)
	_, err := r.Consume(deadline(t), 3, nil, nil) // 3 was never there: the stream is behind
	wantError(t, err, bus.ErrGap)
}

func resultsConsumeStops(t *testing.T, w World) {
	r := newResults(t, w)
	publish(t, w, 1, 3)
	entered, leave, left := make(chan uint64, 3), make(chan struct{}), make(chan struct{})
	stop, err := r.Consume(t.Context(), 0, func(seq uint64, _ spec.WorkerID, _ []byte) {
		entered <- seq
		<-leave
		if seq == 1 {
			close(left)
		}
	}, unexpected(t))
	must(t, err)
	next(t, entered)
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	select {
	case <-stopped:
		t.Fatal("stop did not wait for fn")
	default:
	}
	close(leave)
	next(t, stopped)
	select {
	case <-left:
	default:
		t.Fatal("stop returned before fn")
	}
	stop() // again: nothing
}

func resultsContextStops(t *testing.T, w World) {
	r := newResults(t, w)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan arrival, 100)
	stop, err := r.Consume(ctx, 0, arrivals(t, got), unexpected(t))
	must(t, err)
	publish(t, w, 1, 1)
	expectArrivals(t, got, 1, 1)
	cancel()
	stop()
}

func resultsBackPressure(t *testing.T, w World) {
	r := newResults(t, w)
	got := make(chan arrival) // fn blocks until the test takes what it has
	stop, err := r.Consume(t.Context(), 0, arrivals(t, got), unexpected(t))
	must(t, err)
	publish(t, w, 1, 50)
	expectArrivals(t, got, 1, 50)
	stop()
}

func resultsPurge(t *testing.T, w World) {
	r := newResults(t, w)
	publish(t, w, 1, 5)
	must(t, r.Purge(deadline(t), 3))
	wantBounds(t, r, 4, 5)
	got := make(chan arrival, 100)
	stop, err := r.Consume(t.Context(), 0, arrivals(t, got), unexpected(t))
	must(t, err)
	defer stop()
	expectArrivals(t, got, 4, 5)
	must(t, r.Purge(deadline(t), 5))
	wantBounds(t, r, 6, 5)
	publish(t, w, 6, 6)
	expectArrivals(t, got, 6, 6)
}

func resultsOutage(t *testing.T, w World) {
	r := newResults(t, w)
	got := make(chan arrival, 100)
	stop, err := r.Consume(t.Context(), 0, arrivals(t, got), unexpected(t))
	must(t, err)
	defer stop()
	publish(t, w, 1, 3)
	expectArrivals(t, got, 1, 3)
	for n := range 2 {
		w.Down()
		if err := w.PublishResult(deadline(t), run, resultMessage(9)); err == nil {
			t.Fatal("a result was published while cut off")
		}
		w.Up()
		publish(t, w, 4+n, 4+n)
		expectArrivals(t, got, uint64(4+n), uint64(4+n))
	}
}

func resultsDeleted(t *testing.T, w World) {
	newJournal(t, w)
	r := newResults(t, w)
	publish(t, w, 1, 3)
	got, failed := make(chan arrival, 100), make(chan error, 10)
	stop, err := r.Consume(t.Context(), 0, arrivals(t, got), func(err error) { failed <- err })
	must(t, err)
	expectArrivals(t, got, 1, 3)
	w.Delete(bus.ResultsStream(run))
	wantError(t, next(t, failed), bus.ErrMissing)
	stop()
	if len(failed) != 0 {
		t.Fatalf("failed was called again: %v", <-failed)
	}
}

func resultsRecreated(t *testing.T, w World) {
	newJournal(t, w)
	r := newResults(t, w)
	publish(t, w, 1, 3)
	got, failed := make(chan arrival, 100), make(chan error, 10)
	stop, err := r.Consume(t.Context(), 0, arrivals(t, got), func(err error) { failed <- err })
	must(t, err)
	defer stop()
	expectArrivals(t, got, 1, 3)
	w.Delete(bus.ResultsStream(run))
	must(t, r.Ensure(deadline(t)))
	for n := 1; n <= 5; n++ { // the new stream grows past where the reader stood
		must(t, w.PublishResult(deadline(t), run, resultMessage(100+n)))
	}
	if err := next(t, failed); !errors.Is(err, bus.ErrGap) && !errors.Is(err, bus.ErrMissing) {
		t.Fatalf("failed with %v", err)
	}
	if len(got) != 0 {
		t.Fatalf("%+v was read from the new stream", <-got)
	}
}

func resultsFull(t *testing.T, w World) {
	r := w.Results(run, bus.StreamOptions{ResultsMaxBytes: 64 << 10})
	must(t, r.Ensure(deadline(t)))
	message := resultMessage(1)
	message.Reports[0].Body = make([]byte, 8<<10)
	var err error
	stored := 0
	for ; err == nil && stored < 100; stored++ {
		err = w.PublishResult(deadline(t), run, message)
	}
	wantError(t, err, bus.ErrRefused)
	if errors.Is(err, bus.ErrTooLarge) {
		t.Fatal("a full stream is not too large a message")
	}
	wantBounds(t, r, 1, uint64(stored-1)) // nothing was dropped to make room
}

func resultsTooLarge(t *testing.T, w World) {
	newResults(t, w)
	message := resultMessage(1)
	message.Reports[0].Body = make([]byte, bus.MaxPayloadDefault)
	err := w.PublishResult(deadline(t), run, message)
	wantError(t, err, bus.ErrTooLarge)
	wantError(t, err, bus.ErrRefused)
}
