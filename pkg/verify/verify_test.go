package verify_test

import (
	"context"
	"errors"
	"testing"

	"autoresearch/pkg/spec"
	"autoresearch/pkg/verify"
)

// wantClean fails for everything that a report objects to.
func wantClean(t *testing.T, r *verify.Report) {
	t.Helper()
	for _, v := range r.Violations {
		t.Errorf("false alarm: %s", v)
	}
	for _, doubt := range append(r.Doubts, r.Unjudged...) {
		t.Errorf("not clean: %s", doubt)
	}
}

func TestAFinishedRunIsClean(t *testing.T) {
	t.Parallel()
	r := copyOf(t).check(t)
	wantClean(t, r)
	n := r.Counts
	if n.Tasks != searchSize || n.Completed != searchSize || n.InFlight != 0 || n.Retries == 0 || n.Attempts != uint64(searchSize)+n.Retries {
		t.Errorf("counts %+v", n)
	}
	if n.WorkerLogs != 1 || n.Executions != int(n.Attempts) || n.Applied != searchSize || n.Counted != int(n.Retries) || n.Wasted != 0 || n.Open != 0 {
		t.Errorf("of the workers' logs: %+v", n)
	}
	if r.Status != spec.StatusStopped || n.Epochs != 1 || n.Records == 0 || n.Commits != n.Records {
		t.Errorf("status %s, counts %+v", r.Status, n)
	}
}

// TestARunningRunIsClean looks at a run before each of its attempts ends, and changes its coordinator in the middle.
func TestARunningRunIsClean(t *testing.T) {
	t.Parallel()
	l, err := openLab(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	goOn := make(chan struct{})
	stop := l.work(func(ctx context.Context, a spec.Attempt) (spec.TaskResult, error) {
		select {
		case <-goOn:
		case <-ctx.Done():
		}
		return train(ctx, a)
	})
	defer func() {
		if err := errors.Join(stop(), l.close()); err != nil {
			t.Error(err)
		}
	}()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	lead := func() { ended <- l.coordinate(ctx, nil) }
	go lead()
	for looks := 0; ; looks++ {
		select {
		case goOn <- struct{}{}:
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			r := l.look(t)
			wantClean(t, r)
			if r.Counts.Completed != searchSize || r.Counts.Epochs != 2 || looks < searchSize {
				t.Errorf("%d looks, counts %+v", looks, r.Counts)
			}
			return
		}
		if looks == searchSize/2 {
			cancel()
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			ctx = context.Background()
			go lead()
		}
		for _, v := range l.look(t).Violations {
			t.Fatalf("false alarm: %s", v)
		}
	}
}

// look checks the run as it stands on the real server.
func (l *lab) look(t *testing.T) *verify.Report {
	t.Helper()
	r, err := verify.Run(context.Background(), l.sources())
	if err != nil {
		t.Fatal(err)
	}
	return r
}
