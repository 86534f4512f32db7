package bus_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// A message that an operator deleted is a gap, wherever it was.
func TestReadNoticesDeletedRecords(t *testing.T) {
	c, js := handMade(t)
	config := jetstream.StreamConfig{Name: bus.JournalStream("r"), Subjects: []string{bus.JournalSubject("r")}}
	stream, err := js.CreateStream(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	j := bus.NewJournal(c, "r", bus.StreamOptions{})
	for n := range uint64(9) {
		if err := j.Append(t.Context(), n, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	read := func(from uint64) (calls int, err error) {
		return calls, j.Read(t.Context(), from, func(uint64, []byte) error { calls++; return nil })
	}
	if err := stream.DeleteMsg(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	if calls, err := read(1); !errors.Is(err, bus.ErrGap) || calls > 4 {
		t.Errorf("in the middle: %d calls, error %v", calls, err)
	}
	if _, err := read(6); err != nil {
		t.Errorf("after it: %v", err)
	}
	for _, seq := range []uint64{8, 9} {
		if err := stream.DeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := read(6); !errors.Is(err, bus.ErrGap) {
		t.Errorf("at the end: %v", err)
	}
	if _, err := read(8); !errors.Is(err, bus.ErrGap) {
		t.Errorf("nothing but deleted ones: %v", err)
	}
}

// consuming starts to consume a results stream and returns what arrives and what fails.
func consuming(t *testing.T, c *bus.Conn) (bus.Results, <-chan uint64, <-chan error) {
	t.Helper()
	r := bus.NewResults(c, "r", bus.StreamOptions{})
	if err := r.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	arrived, failed := make(chan uint64, 100), make(chan error, 10)
	stop, err := r.Consume(context.Background(), 0, func(seq uint64, _ spec.WorkerID, _ []byte) { arrived <- seq }, func(err error) { failed <- err })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return r, arrived, failed
}

func report(t *testing.T, c *bus.Conn) {
	t.Helper()
	if err := c.PublishResult(t.Context(), "r", "w", &bus.ResultMessage{Worker: "w"}); err != nil {
		t.Fatal(err)
	}
}

func TestConsumeSurvivesTheLossOfItsConsumer(t *testing.T) {
	c, js := handMade(t)
	_, arrived, failed := consuming(t, c)
	for seq := uint64(1); seq <= 3; seq++ {
		report(t, c)
		if got := <-arrived; got != seq {
			t.Fatalf("%d arrived, want %d", got, seq)
		}
		stream, err := js.Stream(t.Context(), bus.ResultsStream("r"))
		if err != nil {
			t.Fatal(err)
		}
		for name := range stream.ConsumerNames(t.Context()).Name() {
			if err := stream.DeleteConsumer(t.Context(), name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
				t.Fatal(err)
			}
		}
	}
	report(t, c)
	if got := <-arrived; got != 4 {
		t.Errorf("%d arrived", got)
	}
	if len(failed) != 0 {
		t.Errorf("failed: %v", <-failed)
	}
}

func TestConsumeFailsWhenItsConnectionIsClosed(t *testing.T) {
	e := startServer(t, bus.EmbeddedOptions{})
	c := connect(t, bus.Options{URL: e.ClientURL()})
	_, _, failed := consuming(t, c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failed:
		if err == nil {
			t.Error("failed without a reason")
		}
	case <-time.After(10 * time.Second):
		t.Error("it goes on over a closed connection")
	}
}

// A reader leaves no consumer behind.
func TestReadersGiveTheirConsumersBack(t *testing.T) {
	c, js := handMade(t)
	j := bus.NewJournal(c, "r", bus.StreamOptions{})
	if _, err := j.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), 0, []byte("x")); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := j.Read(t.Context(), 1, func(uint64, []byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(10 * time.Second); ; {
		stream, err := js.Stream(t.Context(), bus.JournalStream("r"))
		if err != nil {
			t.Fatal(err)
		}
		if stream.CachedInfo().State.Consumers == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d consumers are left", stream.CachedInfo().State.Consumers)
		}
	}
}
