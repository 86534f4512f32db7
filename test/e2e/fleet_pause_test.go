//go:build linux

package e2e

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"
)

// TestWorkerPaused pauses a worker past its lease, until its experiment runs elsewhere, and lets it go on: it is told to
// stop, and the task is applied once.
func TestWorkerPaused(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, tasks(1, "held%d", payload{"gate": "go"}))
	w := newWorkdir(t)
	paused := f.worker(f.newWorkerDir(), 1)
	coordinator := f.coordinator(w)
	first := f.lab.awaitRunning(1)[0]
	paused.signal(syscall.SIGSTOP)
	f.worker(f.newWorkerDir(), 1)
	second := f.lab.awaitRunning(2)[1]
	if first.attempt != 1 || second.attempt != 2 {
		t.Errorf("the attempts are %d and %d", first.attempt, second.attempt)
	}
	coordinator.awaitMetric(`autoresearch_task_events_total{event="lost"}`, 1)
	paused.signal(syscall.SIGCONT)
	paused.says("stopping an attempt.*superseded")
	if left := f.lab.awaitRunning(1)[0]; left.pid != second.pid {
		t.Errorf("attempt %d was left", left.attempt)
	}
	f.lab.open("go")
	coordinator.wantExit(0)
	w.wantCompleted("held1")
	if got := w.tree()["held1"].Attempt; got != 2 {
		t.Errorf("attempt %d was applied", got)
	}
}

// TestLeaderPaused pauses the leader past its lease and lets it go on when the standby leads: it stands by, and the run
// is led by one.
func TestLeaderPaused(t *testing.T) {
	t.Parallel()
	all := append(heldAndQueued(2), tasks(4, "more%d", payload{"seconds": 0.1})...)
	f := newFleet(t, 2, all)
	workdirs := []workdir{newWorkdir(t), newWorkdir(t)}
	f.worker(f.newWorkerDir(), 2)
	old := f.coordinator(workdirs[0])
	f.lab.awaitRunning(2)
	before := old.awaitRole("leader")
	next := f.coordinator(workdirs[1])
	next.awaitRole("standby")
	old.signal(syscall.SIGSTOP)
	if after := next.awaitRole("leader"); after.Epoch <= before.Epoch {
		t.Errorf("the epoch went from %d to %d", before.Epoch, after.Epoch)
	}
	f.lab.open("go")
	f.lab.awaitEnded(2)
	old.signal(syscall.SIGCONT)
	next.wantExit(0)
	workdirs[1].wantStatus("stopped", 0, 0)
	workdirs[1].wantCompleted(ids(all)...)
	f.lab.wantOnce(ids(all)...)
	old.wantExit(0) // it leads the stopped run once more, and finds nothing to do
	workdirs[0].wantCompleted(ids(all)...)
}

// TestCoordinatorHandsOver ends the leader by SIGTERM: what runs goes on under the standby, which leads at once.
func TestCoordinatorHandsOver(t *testing.T) {
	t.Parallel()
	all := heldAndQueued(2)
	f := newFleet(t, 2, all)
	workdirs := []workdir{newWorkdir(t), newWorkdir(t)}
	f.worker(f.newWorkerDir(), 2)
	leader := f.coordinator(workdirs[0])
	running := f.lab.awaitRunning(2)
	standby := f.coordinator(workdirs[1])
	standby.awaitRole("standby")
	leader.signal(syscall.SIGTERM)
	leader.wantExit(0)
	standby.awaitRole("leader")
	wantSameProcesses(t, running, f.lab.awaitRunning(2))
	f.lab.open("go")
	standby.wantExit(0)
	workdirs[1].wantCompleted(ids(all)...)
	f.lab.wantOnce(ids(all)...)
}

// TestWorkerLeaves ends workers by SIGTERM: one lets its experiment end first, the other hands its own back, which then
// runs elsewhere without waiting for a lease.
func TestWorkerLeaves(t *testing.T) {
	t.Parallel()
	all := append(tasks(1, "ends%d", payload{"gate": "ends"}), tasks(1, "moves%d", payload{"gate": "moves"})...)
	f := newFleet(t, 1, all)
	w := newWorkdir(t)
	coordinator := f.coordinator(w)
	patient := f.daemon("worker", "--dir", f.newWorkerDir(), "--drain-timeout", "1m")
	f.lab.awaitRunning(1)
	patient.signal(syscall.SIGTERM)
	patient.awaitCode("/readyz", http.StatusServiceUnavailable)
	f.lab.open("ends")
	patient.wantExit(0)

	hasty := f.worker(f.newWorkerDir(), 1)
	f.lab.awaitRunning(1)
	hasty.signal(syscall.SIGTERM)
	hasty.wantExit(0)
	f.lab.wantNoneAlive()
	f.worker(f.newWorkerDir(), 1)
	if again := f.lab.awaitRunning(1)[0]; again.id != "moves1" || again.attempt != 2 {
		t.Errorf("%s runs, attempt %d", again.id, again.attempt)
	}
	coordinator.awaitMetric(`autoresearch_task_events_total{event="preempted"}`, 1)
	coordinator.awaitMetric(`autoresearch_task_events_total{event="lost"}`, 0)
	f.lab.open("moves")
	coordinator.wantExit(0)
	w.wantCompleted(ids(all)...)
}

// TestStreamsDeleted deletes everything of a run but its journal, in mid run: what can be made again is, by itself.
func TestStreamsDeleted(t *testing.T) {
	t.Parallel()
	all := append(heldAndQueued(2), tasks(4, "more%d", payload{"seconds": 0.05})...)
	f := newFleet(t, 2, all)
	w := newWorkdir(t)
	f.worker(f.newWorkerDir(), 2)
	coordinator := f.coordinator(w)
	running := f.lab.awaitRunning(2)
	for _, stream := range []string{"AR_TASKS", "AR_RESULTS_e2e", "KV_AR_LEASE"} {
		f.nats.deleteStream(stream)
	}
	wantSameProcesses(t, running, f.lab.awaitRunning(2))
	f.lab.open("go")
	coordinator.wantExit(0)
	w.wantStatus("stopped", 0, 0)
	w.wantCompleted(ids(all)...)
	f.lab.wantOnce(ids(all)...)
}

// TestMirrorDeleted deletes the mirror in mid run, and then kills the coordinator: the journal alone tells all.
func TestMirrorDeleted(t *testing.T) {
	t.Parallel()
	all := append(tasks(4, "first%d", payload{}), heldAndQueued(2)...)
	f := newFleet(t, 2, all)
	w := newWorkdir(t)
	f.worker(f.newWorkerDir(), 2)
	coordinator := f.coordinator(w)
	f.lab.awaitEnded(4)
	running := f.lab.awaitRunning(2)
	f.nats.deleteStream("KV_AR_STATE_e2e")
	coordinator.kill()
	coordinator = f.coordinator(w)
	coordinator.awaitMetric(`autoresearch_tasks{state="running"}`, 2)
	wantSameProcesses(t, running, f.lab.awaitRunning(2))
	f.lab.open("go")
	coordinator.wantExit(0)
	w.wantCompleted(ids(all)...)
	f.lab.wantOnce(ids(all)...)
}

// TestClasses runs kinds of two classes, each on the workers that offer its class.
func TestClasses(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4, nil)
	f.workflow = f.lab.write("classes.yaml", fmt.Sprintf("name: e2e\nmax_concurrency: 4\nkinds:\n"+
		"  small: {command: [%[1]s], env: {E2E_LAB: %[2]s}, class: cpu}\n  large: {command: [%[1]s], env: {E2E_LAB: %[2]s}, class: gpu}\n"+
		"initial: [{id: s1, kind: small, payload: {gate: go}}, {id: l1, kind: large, payload: {gate: go}},\n"+
		"  {id: l2, kind: large, payload: {gate: go}}, {id: s2, kind: small, payload: {gate: go}}]\n", binary("experiment"), f.lab.dir))
	w := newWorkdir(t)
	small := f.daemon("worker", "--dir", f.newWorkerDir(), "--slots", "1")
	both := f.daemon("worker", "--dir", f.newWorkerDir(), "--slots", "cpu=1,gpu=1")
	coordinator := f.coordinator(w)
	running := f.lab.awaitRunning(3)
	if here, there := small.of(running), both.of(running); len(here) != 1 || here[0].id[0] != 's' || len(there) != 2 {
		t.Errorf("the worker with one class runs %v, the other one %v", here, there)
	}
	f.lab.open("go")
	coordinator.wantExit(0)
	w.wantCompleted("s1", "s2", "l1", "l2")
}
