// Package bustest is the contract of package bus's interfaces as tests. The real JetStream and its model pass the same
// suite, or a simulation over the model proves nothing.
package bustest

import (
	"context"
	"errors"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// World is one JetStream, real or modelled, that a test has for itself. It ends with the test.
type World interface {
	// Journal and Results return a handle; handles of the same run share one stream.
	Journal(run spec.RunName, o bus.StreamOptions) bus.Journal
	Results(run spec.RunName, o bus.StreamOptions) bus.Results
	Objects(run spec.RunName, o bus.StreamOptions) bus.Objects
	Rejects(run spec.RunName) bus.Rejects
	// Doorbell returns a handle on the one doorbell. failed hears of publishes that failed later.
	Doorbell(o bus.StreamOptions, failed func(subject string, err error)) bus.Doorbell
	// PublishResult and Pull are a worker's: bus.Conn.PublishResult, and one Pull that waits for at most wait.
	PublishResult(ctx context.Context, run spec.RunName, m *bus.ResultMessage) error
	Pull(ctx context.Context, class string, wait time.Duration) ([]*bus.Dispatch, error)
	// Down cuts every handle off from the server. Up ends that; the server was restarted meanwhile: what lay in memory
	// is gone. Up returns once the handles can speak again.
	Down()
	Up()
	// Await returns once a stream holds so many messages.
	Await(stream string, messages uint64)
	// Elapse lets time pass, on a modelled clock at once; on a real one it has passed before anybody looks.
	Elapse(d time.Duration)
	// Delete removes a stream, as an operator does.
	Delete(stream string)
}

// patience bounds every wait of the suite.
const patience = 10 * time.Second

// deadline returns a context that ends when the suite's patience does.
func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// next waits for a value that the system under test sends.
func next[T any](t *testing.T, values <-chan T) T {
	t.Helper()
	select {
	case value := <-values:
		return value
	case <-time.After(patience):
		t.Fatal("nothing came")
	}
	panic("unreachable")
}
