package kv_test

import (
	"context"
	"errors"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
)

// TestRuns registers, replaces and removes: of two that saw the same, one wins; who follows is told of each change.
func TestRuns(t *testing.T) {
	t.Parallel()
	w := newRealWorld(t)
	runs := kv.NewRuns(w.conn, 1)
	if err := runs.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	changes := make(chan struct{}, 10)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runs.Follow(ctx, func() { changes <- struct{}{} }) }()
	<-changes
	if e, err := runs.Get(t.Context(), "a run"); !errors.Is(err, bus.ErrMissing) || e.Revision != 0 {
		t.Errorf("before it is registered: %+v, %v", e, err)
	}
	entry := kv.RunEntry{Name: "a run", ID: "1", Workflow: "name: x", Args: []string{"stop.max_experiments=3"}, Weight: 2}
	first, err := runs.Put(t.Context(), entry)
	if err != nil {
		t.Fatal(err)
	}
	<-changes
	if _, err := runs.Put(t.Context(), entry); !errors.Is(err, kv.ErrTaken) {
		t.Errorf("the same name again: %v", err)
	}
	got, err := runs.Get(t.Context(), "a run")
	if err != nil || got.Revision != first || got.Weight != 2 || got.Workflow != "name: x" || got.Version != kv.RunEntryVersion {
		t.Errorf("%+v, %v", got, err)
	}
	got.Archived = true
	if _, err = runs.Put(t.Context(), got); err != nil {
		t.Fatal(err)
	}
	<-changes
	if _, err := runs.Put(t.Context(), got); !errors.Is(err, kv.ErrTaken) {
		t.Errorf("a change of what was changed since: %v", err)
	}
	list := wantRuns(t, runs, 1)
	if err := runs.Remove(t.Context(), list[0]); err != nil {
		t.Fatal(err)
	}
	<-changes
	wantRuns(t, runs, 0)
	gone, err := runs.Get(t.Context(), "a run")
	if !errors.Is(err, bus.ErrMissing) {
		t.Errorf("removed: %v", err)
	}
	entry.ID, entry.Revision = "2", gone.Revision
	if _, err := runs.Put(t.Context(), entry); err != nil {
		t.Errorf("the name of a removed run: %v", err)
	}
	cancel()
	if err := <-ended; err != nil && ctx.Err() == nil {
		t.Error(err)
	}
}

func wantRuns(t *testing.T, runs *kv.Runs, want int) []kv.RunEntry {
	t.Helper()
	list, err := runs.List(t.Context(), func(err error) { t.Error(err) })
	if err != nil || len(list) != want {
		t.Errorf("%d runs, want %d: %v", len(list), want, err)
	}
	return list
}
