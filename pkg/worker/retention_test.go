package worker

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// TestCheckpointRoot: the next attempt finds the last one's checkpoint on another worker, but not that of another run of the
// same name.
func TestCheckpointRoot(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	share := func(o *Options) { o.CheckpointRoot = root }
	of := func(attempt uint32, runID string, lines ...string) *bus.Dispatch {
		return dispatch("t", script(lines...), func(d *bus.Dispatch) { d.Attempt, d.RunID = attempt, runID })
	}
	one := startBench(t, share)
	one.give(of(1, "first", "checkpoint 7", "exit 1"))
	one.report("t", 1)
	another := startBench(t, share)
	another.give(of(2, "first", "restored"))
	if report, result := another.report("t", 1); result.Metrics["restored"] != 7 || result.Metrics["resumed"] != 1 {
		t.Errorf("the second attempt saw %v, %+v", result.Metrics, report.Failure)
	}
	another.give(of(3, "second", "restored"))
	if _, result := another.report("t", 2); result.Metrics["resumed"] != 0 {
		t.Errorf("another run saw %v", result.Metrics)
	}
}

func TestSweep(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.KeepAttempts, o.AttemptDir = time.Hour, attemptDirDefault(o.Dir)
	w := &worker{o: o, log: o.Logger, ledger: newLedger(nil, time.Now())}
	w.metrics = newMetrics(w)
	attempts := filepath.Join(o.Dir, attemptsDirName)
	age := func(name string, by time.Duration) {
		path := filepath.Join(attempts, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		for at := time.Now().Add(-by); path != attempts; path = filepath.Dir(path) {
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	age("run/old/1/checkpoint/x", 2*time.Hour)
	age("run/mixed/1/x", 2*time.Hour)
	age("run/mixed/2/checkpoint/deep/x", 0)
	if err := os.Chtimes(filepath.Join(attempts, "run/mixed/2"), time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	age("run/held/1/x", 2*time.Hour)
	held := newAttempt(dispatch("held"), &pool{}, time.Now())
	held.ref.Run = spec.RunName("run")
	w.ledger.running[keyOf(held.ref)] = held
	w.sweep(t.Context(), time.Now())
	for name, stays := range map[string]bool{"run/old/1": false, "run/mixed/1": false, "run/mixed/2": true, "run/held/1": true} {
		if _, err := os.Stat(filepath.Join(attempts, name)); (err == nil) != stays {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestUnservedClass: a class that no coordinator serves is said.
func TestUnservedClass(t *testing.T) {
	t.Parallel()
	w := &worker{ledger: newLedger(map[string]int{"gpu": 1}, time.Now()), health: &health{}, log: testOptions(t).Logger}
	w.metrics = newMetrics(w)
	p := w.ledger.pools[0]
	w.pullFailed(p, 1, bus.ErrMissing)
	if reasons := strings.Join(w.unreadiness(), "; "); !strings.Contains(reasons, "class gpu: no coordinator serves it") {
		t.Errorf("not ready because of %q", reasons)
	}
	w.pullWorked(p)
	if reasons := strings.Join(w.unreadiness(), "; "); strings.Contains(reasons, "gpu") {
		t.Errorf("not ready because of %q", reasons)
	}
}
