//go:build linux

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFailover loses the leader again and again, in each way that there is, while one experiment runs through it all as
// the same process. It measures how long it takes until another coordinator dispatches the next experiment, and logs it:
//
//	go test ./test/e2e -run TestFailover -v
func TestFailover(t *testing.T) {
	t.Parallel()
	for _, way := range []struct {
		name   string
		rounds int
		lose   func(d *duet)
	}{
		{"kill -9", 5, (*duet).killLeader},
		{"SIGTERM", 5, (*duet).endLeader},
		{"SIGSTOP", 2, (*duet).stopLeader},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			d := newDuet(t, way.rounds)
			var dispatched, led []time.Duration
			for range way.rounds {
				way.lose(d)
				dispatched, led = append(dispatched, d.dispatched), append(led, d.led)
			}
			d.finish()
			t.Logf("%s, %d rounds: the next leads after %s, dispatches after %s", way.name, way.rounds, spread(led), spread(dispatched))
		})
	}
}

// spread says the least, median and most of some times.
func spread(times []time.Duration) string {
	times = slices.Clone(times)
	slices.Sort(times)
	var parts []string
	for _, i := range []int{0, len(times) / 2, len(times) - 1} {
		parts = append(parts, fmt.Sprintf("%.2f s", times[i].Seconds()))
	}
	return strings.Join(parts, " / ")
}

// duet is a run with two coordinators, one of which leads, and a worker with two slots: one for an experiment that lasts
// until the end, one for those whose starts tell when somebody dispatches.
type duet struct {
	*fleet
	workdirs        [2]workdir
	leader, standby *daemon
	at              int // of the leader, in workdirs
	epoch           int
	rounds, round   int
	long            *execution

	led, dispatched time.Duration // since the leader was lost, in the newest round
}

func newDuet(t *testing.T, rounds int) *duet {
	all := tasks(1, "long%d", payload{"gate": "end"})
	for i := range rounds + 1 {
		all = append(all, task{ID: fmt.Sprintf("step%d", i+1), Payload: payload{"gate": fmt.Sprintf("step%d", i+1)}})
	}
	d := &duet{fleet: newFleet(t, 2, all), workdirs: [2]workdir{newWorkdir(t), newWorkdir(t)}, rounds: rounds}
	d.worker(d.newWorkerDir(), 2)
	d.leader = d.coordinator(d.workdirs[0])
	running := d.lab.awaitRunning(2)
	d.long = running[slices.IndexFunc(running, func(e *execution) bool { return e.id == "long1" })]
	d.epoch = d.leader.awaitRole("leader").Epoch
	d.standby = d.coordinator(d.workdirs[1])
	d.standby.awaitRole("standby")
	return d
}

// killLeader is kill -9. A new standby takes its place.
func (d *duet) killLeader() {
	began := time.Now()
	d.leader.kill()
	d.awaitSuccessor(began)
	d.leader, d.standby = d.standby, d.coordinator(d.workdirs[d.at])
	d.next()
}

// endLeader is SIGTERM: it hands over.
func (d *duet) endLeader() {
	began := time.Now()
	d.leader.signal(syscall.SIGTERM)
	d.awaitSuccessor(began)
	d.leader.wantExit(0)
	d.leader, d.standby = d.standby, d.coordinator(d.workdirs[d.at])
	d.next()
}

// stopLeader is SIGSTOP, and SIGCONT once another leads: the old leader is refused and stands by.
func (d *duet) stopLeader() {
	began := time.Now()
	d.leader.signal(syscall.SIGSTOP)
	d.awaitSuccessor(began)
	d.leader.signal(syscall.SIGCONT)
	d.leader.says("deposed; standing by")
	d.leader, d.standby = d.standby, d.leader
	d.next()
}

// awaitSuccessor lets the step under way end and waits until the standby has dispatched the next.
func (d *duet) awaitSuccessor(began time.Time) {
	d.t.Helper()
	d.round++
	d.lab.open(fmt.Sprintf("step%d", d.round))
	next := fmt.Sprintf("step%d", d.round+1)
	d.led = 0
	eventually(d.t, next+" starts under another leader", func() string {
		if d.led == 0 {
			if _, body := d.standby.get("/readyz"); strings.Contains(body, `"role":"leader"`) {
				d.led = time.Since(began)
			}
		}
		for _, e := range d.lab.running() {
			if e.id == next && d.led > 0 {
				d.dispatched = time.Since(began)
				return ""
			}
		}
		return "not yet"
	})
}

// next checks a round and what comes after it: one leads in a later epoch, the other stands by, and the long experiment
// is the same process.
func (d *duet) next() {
	d.t.Helper()
	d.at = 1 - d.at
	after := d.leader.awaitRole("leader")
	d.standby.awaitRole("standby")
	if after.Epoch <= d.epoch {
		d.t.Errorf("round %d: the epoch went from %d to %d", d.round, d.epoch, after.Epoch)
	}
	d.epoch = after.Epoch
	wantSameProcesses(d.t, []*execution{d.long}, d.lab.awaitRunning(2))
}

// finish lets everything end, and checks that every experiment was executed once.
func (d *duet) finish() {
	d.t.Helper()
	d.lab.open("end")
	d.lab.open(fmt.Sprintf("step%d", d.rounds+1))
	d.leader.wantExit(0)
	all := []string{"long1"}
	for i := range d.rounds + 1 {
		all = append(all, fmt.Sprintf("step%d", i+1))
	}
	d.workdirs[d.at].wantCompleted(all...)
	d.lab.wantOnce(all...)
}
