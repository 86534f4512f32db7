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

// TestSweepHeedsTheRun: how long a run keeps its checkpoints outlasts the worker that was told, and touches no other run's,
// wherever they lie.
func TestSweepHeedsTheRun(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Options){
		"shared":    func(o *Options) { o.CheckpointRoot = filepath.Join(o.Dir, "shared") },
		"own":       func(*Options) {},
		"elsewhere": func(o *Options) { o.AttemptDir = attemptDirDefault(filepath.Join(o.Dir, "elsewhere")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := testOptions(t)
			change(&o)
			w := sweeper(t, o)
			brief, patient := leaveCheckpoint(t, w, "brief", time.Hour), leaveCheckpoint(t, w, "patient", 1000*time.Hour)
			silent := leaveCheckpoint(t, w, "silent", 0)
			if name != "elsewhere" { // there the next process learns it with the next attempt
				w = sweeper(t, o)
			}
			in := func(d time.Duration, want map[string]bool) {
				t.Helper()
				w.sweep(t.Context(), time.Now().Add(d))
				for path, stays := range want {
					if holdsFiles(path) != stays {
						t.Errorf("after %v: %s is there: %v", d, path, !stays)
					}
				}
			}
			in(30*time.Minute, map[string]bool{brief: true, patient: true, silent: true})
			in(2*time.Hour, map[string]bool{brief: false, patient: true, silent: true})
			in(30*24*time.Hour, map[string]bool{patient: true, silent: name == "elsewhere"})
			in(2000*time.Hour, map[string]bool{patient: false})
		})
	}
}

// TestRetentionNote: what a run says anew holds, and a note that cannot be read removes nothing.
func TestRetentionNote(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, keep := range []time.Duration{0, time.Hour, time.Hour, 90 * time.Minute, 0} {
		if err := writeRetention(filepath.Join(dir, keepFileName), keep); err != nil || retentionIn(dir) != keep {
			t.Errorf("%v: read as %v, %v", keep, retentionIn(dir), err)
		}
	}
	for _, text := range []string{"", "7", "-1h", "nonsense"} {
		if err := os.WriteFile(filepath.Join(dir, keepFileName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if keep := retentionIn(dir); keep != forever {
			t.Errorf("%q is read as %v", text, keep)
		}
	}
}

// sweeper is a worker that only sweeps.
func sweeper(t *testing.T, o Options) *worker {
	t.Helper()
	o, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{o: o, log: o.Logger, ledger: newLedger(nil, time.Now())}
	w.metrics = newMetrics(w)
	return w
}

// leaveCheckpoint leaves what an attempt of a run leaves that keeps its checkpoints for so long, and names its checkpoint.
func leaveCheckpoint(t *testing.T, w *worker, run spec.RunName, keep time.Duration) (checkpoint string) {
	t.Helper()
	a := newAttempt(dispatch("t", func(d *bus.Dispatch) { d.Run, d.Recipe.KeepCheckpoints = run, keep }), &pool{}, time.Now())
	files := w.filesOf(a)
	if _, err := w.prepare(a, files); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(files.checkpoint, "weights"), []byte("w"), 0o600); err != nil {
		t.Fatal(err)
	}
	return files.checkpoint
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
