//go:build linux

package e2e

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// someDoneSomeRunning are a task that ends, two that wait at gates, and one behind them, for two slots.
func someDoneSomeRunning() []task {
	return []task{
		{ID: "done", Priority: -1, Payload: payload{}}, {ID: "ends", Payload: payload{"gate": "ends"}},
		{ID: "runs", Payload: payload{"gate": "go"}}, {ID: "waits", Payload: payload{}},
	}
}

// TestRestoreWhileExperimentsRun deletes the journal under a coordinator. It raises the alarm, a person restores the run,
// and the coordinator goes on by itself: what had ended stays ended, what runs goes on as the same process, and the result
// that came meanwhile is applied.
func TestRestoreWhileExperimentsRun(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, someDoneSomeRunning())
	f.worker(f.newWorkerDir(), 2)
	w := newWorkdir(t)
	f.trail.led = append(f.trail.led, w.dir)
	coordinator := f.daemon("coordinator", "--workflow", f.workflow, "--workdir", w.dir)
	f.lab.awaitEnded(1)
	before := f.lab.awaitRunning(2)
	f.nats.deleteStream("AR_JOURNAL_e2e")
	f.lab.open("ends")
	coordinator.awaitMetric("autoresearch_alarm", 1)
	coordinator.awaitCode("/readyz", 503)
	if _, body := coordinator.get("/readyz"); !strings.Contains(body, "autoresearch restore --from") {
		t.Errorf("/readyz does not say what to do: %s", body)
	}

	restore := func(args ...string) *process {
		return start(t, "autoresearch", append([]string{"restore", "--from", w.path("engine_state.json"), "--nats", f.nats.url()}, args...)...)
	}
	restore().wantExit(2)
	dry := restore("--dry-run")
	dry.wantExit(0)
	dry.wantSaid("journal stream is gone", "1 completed", "2 running", "1 queued", "nothing was changed")
	coordinator.awaitCode("/readyz", 503)
	real := restore("--yes")
	real.wantExit(0)
	real.wantSaid("restored")
	coordinator.awaitRole("leader")
	coordinator.awaitMetric("autoresearch_alarm", 0)
	f.lab.awaitEnded(3)
	goesOn := slices.DeleteFunc(before, func(e *execution) bool { return e.id != "runs" })
	wantSameProcesses(t, goesOn, f.lab.awaitRunning(1))
	restore("--yes").wantRefusal("a coordinator leads it")
	f.lab.open("go")
	w.awaitState("stopped", func(s state) string {
		if s.Status != "stopped" {
			return s.Status
		}
		return ""
	})
	coordinator.signal(syscall.SIGTERM)
	coordinator.wantExit(0)
	restore("--yes").wantRefusal("is whole")
	w.wantCompleted("done", "ends", "runs", "waits")
	f.lab.wantOnce("done", "ends", "runs", "waits")
}

// TestRestoreIntoAnEmptyServer loses NATS with all it held. The workdir is enough to go on.
func TestRestoreIntoAnEmptyServer(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, someDoneSomeRunning())
	f.worker(f.newWorkerDir(), 2)
	w := newWorkdir(t)
	first := f.coordinator(w)
	f.lab.awaitEnded(1)
	before := f.lab.awaitRunning(2)
	first.signal(syscall.SIGTERM)
	first.wantExit(0)
	f.nats.kill()
	if err := os.RemoveAll(f.nats.store); err != nil {
		t.Fatal(err)
	}
	f.nats.restart()

	refused := f.coordinator(w)
	refused.wantRefusal("journal stream is gone")
	restored := start(t, "autoresearch", "restore", "--from", w.path("engine_state.json"), "--nats", f.nats.url(), "--yes")
	restored.wantExit(0)
	restored.wantSaid("1 completed", "3 queued", "restored")
	second := f.coordinator(w)
	second.awaitRole("leader")
	wantSameProcesses(t, before, f.lab.awaitRunning(2))
	f.lab.open("ends")
	f.lab.open("go")
	second.wantExit(0)
	w.wantCompleted("done", "ends", "runs", "waits")
	f.lab.wantOnce("done", "ends", "runs", "waits")
}

// TestRestoreAnEnginesWorkdir removes what the engine's own NATS kept.
func TestRestoreAnEnginesWorkdir(t *testing.T) {
	t.Parallel()
	s := newSearch(t, 1, tasks(3, "t%d", payload{}), "stop: {max_experiments: 1}")
	s.begin().wantExit(0)
	if err := os.RemoveAll(s.workdir.path("engine/nats")); err != nil {
		t.Fatal(err)
	}
	before := s.workdir.contents()
	restore := func(arg string) *process {
		return start(t, "autoresearch", "restore", "--from", s.workdir.path("engine_state.json"), arg)
	}
	restore("--dry-run").wantExit(0)
	s.workdir.wantUnchanged(before)
	s.resume().wantRefusal("journal", "gone", "autoresearch restore --from")
	restore("--yes").wantExit(0)
	s.resume("--", "stop.max_experiments=3").wantExit(0)
	s.workdir.wantCompleted("t1", "t2", "t3")
	s.lab.wantOnce("t1", "t2", "t3")
}
