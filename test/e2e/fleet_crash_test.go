//go:build linux

package e2e

import (
	"net/http"
	"testing"
	"time"
)

// leaseTTL is how long a lost worker keeps its leases.
const leaseTTL = 20 * time.Second

// heldAndQueued returns tasks that wait at the gate "go", as many as there are slots, and as many after them.
func heldAndQueued(slots int) []task {
	return append(tasks(slots, "held%d", payload{"gate": "go"}), tasks(slots, "queued%d", payload{"seconds": 0.1})...)
}

// TestWorkerKilled kills one of two workers: the other one's experiments go on, the lost ones run again on it once their
// leases have lapsed.
func TestWorkerKilled(t *testing.T) {
	t.Parallel()
	all := heldAndQueued(4)
	f := newFleet(t, 4, all)
	w := newWorkdir(t)
	first, second := f.worker(f.newWorkerDir(), 2), f.worker(f.newWorkerDir(), 2)
	coordinator := f.coordinator(w)
	running := f.lab.awaitRunning(4)
	kept, lost := second.of(running), first.of(running)
	if len(kept) != 2 || len(lost) != 2 {
		t.Fatalf("of 4 experiments %d run on the first worker and %d on the second", len(lost), len(kept))
	}
	first.kill()
	f.lab.killed()
	wantSameProcesses(t, kept, f.lab.awaitRunning(2))
	f.lab.open("go")
	coordinator.wantExit(0)

	w.wantStatus("stopped", 0, 0)
	w.wantCompleted(ids(all)...)
	f.lab.wantAgainOnlyAfterKills(4, ids(all)...)
	f.lab.wantNoneAlive()
	tree := w.tree()
	for _, e := range kept {
		if got := tree[e.id].Attempt; got != 1 {
			t.Errorf("%s ended as attempt %d", e.id, got)
		}
	}
	for _, e := range lost {
		if got := tree[e.id].Attempt; got < 2 {
			t.Errorf("%s ended as attempt %d", e.id, got)
		}
	}
}

// TestWorkerRestarted kills a worker and starts it again in the same directory: what it ran is known to be lost at once,
// and runs again without waiting for the leases; results go to both workers' credit.
func TestWorkerRestarted(t *testing.T) {
	t.Parallel()
	all := heldAndQueued(4)
	f := newFleet(t, 4, all)
	w := newWorkdir(t)
	dir := f.newWorkerDir()
	first, second := f.worker(dir, 2), f.worker(f.newWorkerDir(), 2)
	coordinator := f.coordinator(w)
	kept := second.of(f.lab.awaitRunning(4))
	first.kill()
	f.lab.killed()
	wantSameProcesses(t, kept, f.lab.awaitRunning(2))
	began := time.Now()
	first = f.worker(dir, 2)
	running := f.lab.awaitRunning(4)
	if took := time.Since(began); took > leaseTTL*3/4 {
		t.Errorf("the lost experiments ran again after %v, as if their leases had had to lapse", took)
	}
	wantSameProcesses(t, kept, running)
	if got := len(first.of(running)); got != 2 {
		t.Errorf("%d experiments run on the restarted worker", got)
	}
	f.lab.open("go")
	coordinator.wantExit(0)

	w.wantCompleted(ids(all)...)
	f.lab.wantAgainOnlyAfterKills(4, ids(all)...)
	workers := map[string]bool{}
	for _, n := range w.tree() {
		workers[n.Worker] = true
	}
	if len(workers) != 2 {
		t.Errorf("the tree names the workers %v", workers)
	}
}

// TestCoordinatorKilled kills the coordinator while experiments run: the next one takes them over as they are.
func TestCoordinatorKilled(t *testing.T) {
	t.Parallel()
	all := heldAndQueued(4)
	f := newFleet(t, 4, all)
	w := newWorkdir(t)
	f.worker(f.newWorkerDir(), 2)
	f.worker(f.newWorkerDir(), 2)
	coordinator := f.coordinator(w)
	running := f.lab.awaitRunning(4)
	before := coordinator.awaitRole("leader")
	coordinator.kill()

	coordinator = f.coordinator(w)
	if after := coordinator.awaitRole("leader"); after.Epoch <= before.Epoch {
		t.Errorf("the epoch went from %d to %d", before.Epoch, after.Epoch)
	}
	coordinator.awaitMetric(`autoresearch_tasks{state="running"}`, 4)
	wantSameProcesses(t, running, f.lab.awaitRunning(4))
	f.lab.open("go")
	coordinator.wantExit(0)

	w.wantStatus("stopped", 0, 0)
	w.wantCompleted(ids(all)...)
	f.lab.wantOnce(ids(all)...)
}

// TestResultsWhileNobodyLeads ends experiments while there is no coordinator: the next one hears of them, and runs none
// again.
func TestResultsWhileNobodyLeads(t *testing.T) {
	t.Parallel()
	all := heldAndQueued(2)
	f := newFleet(t, 2, all)
	w := newWorkdir(t)
	f.worker(f.newWorkerDir(), 2)
	coordinator := f.coordinator(w)
	f.lab.awaitRunning(2)
	coordinator.kill()
	f.lab.open("go")
	f.lab.awaitEnded(2)
	f.coordinator(w).wantExit(0)
	w.wantCompleted(ids(all)...)
	f.lab.wantOnce(ids(all)...)
}

// TestStandby kills the leader of two coordinators: the standby goes on, and ends the run in its own workdir.
func TestStandby(t *testing.T) {
	t.Parallel()
	all := heldAndQueued(2)
	f := newFleet(t, 2, all)
	workdirs := []workdir{newWorkdir(t), newWorkdir(t)}
	f.worker(f.newWorkerDir(), 2)
	leader := f.coordinator(workdirs[0])
	first := leader.awaitRole("leader")
	standby := f.coordinator(workdirs[1])
	standby.awaitRole("standby")
	running := f.lab.awaitRunning(2)
	leader.awaitRole("leader")
	standby.awaitRole("standby")

	leader.kill()
	if second := standby.awaitRole("leader"); second.Epoch <= first.Epoch {
		t.Errorf("the epoch went from %d to %d", first.Epoch, second.Epoch)
	}
	wantSameProcesses(t, running, f.lab.awaitRunning(2))
	f.lab.open("go")
	standby.wantExit(0)
	workdirs[1].wantStatus("stopped", 0, 0)
	workdirs[1].wantCompleted(ids(all)...)
	f.lab.wantOnce(ids(all)...)
}

// TestNATSKilled kills the server of a run and starts it again: experiments go on meanwhile, also to their end, and
// nobody does anything else by hand.
func TestNATSKilled(t *testing.T) {
	t.Parallel()
	all := append(append(tasks(1, "early%d", payload{"gate": "early"}), tasks(1, "late%d", payload{"gate": "late"})...),
		tasks(6, "queued%d", payload{"seconds": 0.05})...)
	f := newFleet(t, 2, all)
	w := newWorkdir(t)
	worker := f.worker(f.newWorkerDir(), 2)
	coordinator := f.coordinator(w)
	running := f.lab.awaitRunning(2)
	f.nats.kill()
	for _, d := range []*daemon{coordinator, worker} {
		d.awaitCode("/readyz", http.StatusServiceUnavailable)
		d.awaitCode("/healthz", http.StatusOK)
	}
	wantSameProcesses(t, running, f.lab.awaitRunning(2))
	f.lab.open("early")
	f.lab.awaitEnded(1)
	f.nats.restart()
	f.lab.awaitEnded(len(all) - 1)
	f.nats.kill()
	f.lab.open("late")
	f.lab.awaitEnded(len(all))
	f.nats.restart()
	coordinator.wantExit(0)
	w.wantStatus("stopped", 0, 0)
	w.wantCompleted(ids(all)...)
	f.lab.wantOnce(ids(all)...)
}

// TestNATSRestartedIdle restarts the server while every slot is busy, so that nothing is dispatched meanwhile: when one is
// free again, the next experiment starts soon, although the server has forgotten its queue of tasks.
func TestNATSRestartedIdle(t *testing.T) {
	t.Parallel()
	const soon = 5 * time.Second
	all := heldAndQueued(1)
	f := newFleet(t, 1, all)
	w := newWorkdir(t)
	worker := f.worker(f.newWorkerDir(), 1)
	coordinator := f.coordinator(w)
	f.lab.awaitRunning(1)
	f.nats.kill()
	f.nats.restart()
	worker.awaitReady()
	coordinator.awaitRole("leader")
	f.lab.open("go")
	began := time.Now()
	f.lab.awaitEnded(2)
	if took := time.Since(began); took > soon {
		t.Errorf("the next experiment ran only after %v", took)
	}
	coordinator.wantExit(0)
	w.wantCompleted(ids(all)...)
	f.lab.wantOnce(ids(all)...)
}

// TestEverythingKilled kills server, workers and coordinators at once, twice, and starts them again in different orders.
func TestEverythingKilled(t *testing.T) {
	t.Parallel()
	all := append(tasks(3, "first%d", payload{"seconds": 0.05}), heldAndQueued(3)...)
	f := newFleet(t, 3, all)
	w := newWorkdir(t)
	dirs := []string{f.newWorkerDir(), f.newWorkerDir()}
	coordinator := f.coordinator(w)
	workers := []*daemon{f.worker(dirs[0], 2), f.worker(dirs[1], 1)}
	killAll := func() {
		f.lab.awaitRunning(3)
		f.nats.kill()
		for _, p := range []*daemon{workers[1], coordinator, workers[0]} {
			p.kill()
		}
		f.lab.killed()
		f.lab.awaitRunning(0)
		f.nats.restart()
	}
	killAll()
	workers = []*daemon{f.worker(dirs[0], 2), f.worker(dirs[1], 1)}
	coordinator = f.coordinator(w)
	killAll()
	f.lab.open("go")
	coordinator = f.coordinator(w)
	f.worker(dirs[1], 1)
	f.worker(dirs[0], 2)
	coordinator.wantExit(0)
	w.wantStatus("stopped", 0, 0)
	w.wantCompleted(ids(all)...)
	f.lab.wantAgainOnlyAfterKills(3, ids(all)...)
	f.lab.wantNoneAlive()
}

// TestCoordinatorAway ends experiments while there is no coordinator for many heartbeats, none of which is answered. What
// the workers have published is lost with the results stream, and one of them is killed: each keeps its results until
// somebody leads, sends again what nobody has, and nothing is executed twice.
func TestCoordinatorAway(t *testing.T) {
	t.Parallel()
	const heartbeats = 3
	all := append(heldAndQueued(4), tasks(2, "child%d", payload{})...)
	for i, child := range all[len(all)-2:] {
		all[i].Payload = payload{"gate": "go", "children": []task{child}}
	}
	initial := all[:len(all)-2]
	f := newFleet(t, 4, initial)
	w := newWorkdir(t)
	dirs := []string{f.newWorkerDir(), f.newWorkerDir()}
	workers := []*daemon{f.worker(dirs[0], 2), f.worker(dirs[1], 2)}
	coordinator := f.coordinator(w)
	f.lab.awaitRunning(4)
	coordinator.kill()

	sent := make([]float64, len(workers))
	for i, worker := range workers {
		sent[i], _ = worker.metric("autoresearch_worker_heartbeats_total")
	}
	f.lab.open("go")
	f.lab.awaitEnded(4)
	for i, worker := range workers {
		worker.awaitMetricMin("autoresearch_worker_heartbeats_total", sent[i]+heartbeats)
		worker.awaitMetric("autoresearch_worker_spool_entries", 2)
	}
	f.nats.deleteStream("AR_RESULTS_e2e")
	workers[0].kill()
	f.worker(dirs[0], 2).says("results of an earlier start wait in the spool.*results=2")
	f.coordinator(w).wantExit(0)
	w.wantStatus("stopped", 0, 0)
	w.wantCompleted(ids(all)...)
	f.lab.wantOnce(ids(all)...)
}
