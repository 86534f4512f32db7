//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// olderBuild is a commit whose workers tell nothing of GPUs, labels and groups, take no secrets, no code and no classes that
// share slots, and decline nothing; and whose leaders send none of that and tell each other of no shares.
const olderBuild = "9b004cab57358a1f0a585df7f5f594b5062199e0"

// buildOlder makes the programs of olderBuild, as older/coordinator and older/worker. Where the repository's history does not
// reach back so far the test is skipped.
func buildOlder(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("git", "-C", "../..", "cat-file", "-e", olderBuild+"^{commit}").CombinedOutput(); err != nil {
		t.Skipf("an older build cannot be made: commit %s is not here: %v\n%s", olderBuild, err, out)
	}
	source := t.TempDir()
	unpack := fmt.Sprintf("git -C ../.. archive %s cmd internal pkg go.mod go.sum | tar -x -C %s", olderBuild, source)
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary("older")+"/", "./cmd/coordinator", "./cmd/worker")
	build.Dir, build.Env = source, append(os.Environ(), "CGO_ENABLED=0")
	for _, cmd := range []*exec.Cmd{exec.Command("sh", "-c", unpack), build} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
	}
}

// inStage is how many experiments of a rollout wait for each of its stages. Each has a child, which is dispatched then.
const inStage = 3

// rollout is a run whose programs are changed while it goes on. A build is "" or "older/".
type rollout struct {
	*fleet
	workdirs map[string]workdir // by build
	initial  []task
	children []task
	stage    int
	ended    int // executions that must have ended by now
}

func newRollout(t *testing.T, stages int) *rollout {
	t.Helper()
	r := &rollout{initial: tasks(2, "held%d", payload{"gate": "go"})}
	for stage := range stages {
		for i := range inStage {
			child := task{ID: fmt.Sprintf("s%d-%d-child", stage, i), Payload: payload{}}
			r.children = append(r.children, child)
			r.initial = append(r.initial, task{
				ID: fmt.Sprintf("s%d-%d", stage, i), Payload: payload{"gate": fmt.Sprint(stage), "children": []task{child}},
			})
		}
	}
	r.fleet = newFleet(t, len(r.initial), r.initial)
	r.workdirs = map[string]workdir{"older/": newWorkdir(t), "": newWorkdir(t)}
	for _, w := range r.workdirs {
		r.trail.led = append(r.trail.led, w.dir)
	}
	return r
}

func (r *rollout) coordinate(build string) *daemon {
	r.t.Helper()
	return r.daemon(build+"coordinator", "--workflow", r.workflow, "--workdir", r.workdirs[build].dir, "--exit-when-stopped")
}

func (r *rollout) work(build, dir string) *daemon {
	r.t.Helper()
	r.trail.workers = append(r.trail.workers, dir)
	return r.daemon(build+"worker", "--dir", dir, "--slots", fmt.Sprint(len(r.initial)))
}

// follow has a coordinator of a build stand by until end has ended the leader, and returns it when it leads.
func (r *rollout) follow(build string, end func()) *daemon {
	r.t.Helper()
	next := r.coordinate(build)
	next.awaitRole("standby")
	end()
	next.awaitRole("leader")
	return next
}

// pass ends the experiments of the next stage, and waits until they and, as somebody leads, their children have ended.
func (r *rollout) pass() {
	r.t.Helper()
	r.endStage()
	r.ended += inStage
	r.lab.awaitEnded(r.ended)
}

// endStage is pass while nobody leads, so that the children wait.
func (r *rollout) endStage() {
	r.t.Helper()
	r.lab.open(fmt.Sprint(r.stage))
	r.stage++
	r.ended += inStage
	r.lab.awaitEnded(r.ended)
}

// awaitRest waits until what is left of the initial experiments runs, and nothing else.
func (r *rollout) awaitRest() []*execution {
	r.t.Helper()
	return r.lab.awaitRunning(len(r.initial) - r.stage*inStage)
}

// TestRollingChange changes the coordinators and workers of a run to today's build, one after the other, and goes back with
// the coordinator once. In each state results are applied and their children run; experiments that no kill ends go on as the
// same processes; what a worker kept is brought by its newer successor; and verify judges what both builds have left.
func TestRollingChange(t *testing.T) {
	t.Parallel()
	buildOlder(t)
	r := newRollout(t, 6)
	leader := r.coordinate("older/")
	leader.awaitRole("leader")
	dir := r.newWorkerDir()
	older := r.work("older/", dir)
	r.awaitRest()
	r.pass()

	running := r.awaitRest()
	leader = r.follow("", leader.kill)
	r.pass()
	leader = r.follow("older/", leader.kill)
	r.pass()
	left := r.awaitRest()
	wantSameProcesses(t, left, running)

	leader.kill()
	r.endStage()
	older.awaitMetricMin("autoresearch_worker_spool_entries", inStage)
	r.nats.deleteStream("AR_RESULTS_e2e")
	older.kill()
	r.lab.killed()
	worker := r.work("", dir)
	worker.says("results of an earlier start wait in the spool")
	leader = r.coordinate("older/")
	r.ended += inStage // the children that waited
	r.lab.awaitEnded(r.ended)
	r.awaitRest()
	r.pass()

	last := r.work("", r.newWorkerDir())
	r.lab.killed()
	worker.signal(syscall.SIGTERM)
	worker.wantExit(0)
	if rest := r.awaitRest(); len(last.of(rest)) != len(rest) {
		t.Errorf("of %d experiments %d have moved", len(rest), len(last.of(rest)))
	}
	leader = r.follow("", func() {
		leader.signal(syscall.SIGTERM)
		leader.wantExit(0)
	})
	r.pass()
	r.lab.open("go")
	leader.wantExit(0)
	all := append(ids(r.initial), ids(r.children)...)
	r.workdirs[""].wantStatus("stopped", 0, 0)
	r.workdirs[""].wantCompleted(all...)
	r.lab.wantAgainOnlyAfterKills(len(r.initial), all...)
}
