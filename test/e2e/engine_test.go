//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// search is a run of the engine command: a lab, a workdir, and processes one after another.
type search struct {
	t        *testing.T
	lab      *lab
	workdir  workdir
	workflow string
	trail    *trail
}

// newSearch prepares a run of a workflow with these initial tasks; more is added to the workflow file.
func newSearch(t *testing.T, concurrency int, initial []task, more string) *search {
	t.Helper()
	lab, w := newLab(t), newWorkdir(t)
	left := &trail{t: t, store: w.path("engine/nats"), workers: []string{w.path("engine/worker")}, led: []string{w.dir}}
	left.follow()
	return &search{t: t, lab: lab, workdir: w, workflow: lab.workflow(concurrency, initial, more), trail: left}
}

// begin starts the engine with the workflow file.
func (s *search) begin(args ...string) *process {
	s.t.Helper()
	return start(s.t, "autoresearch", append([]string{"engine", "--workflow", s.workflow, "--workdir", s.workdir.dir}, args...)...)
}

// resume starts the engine with the workdir alone.
func (s *search) resume(args ...string) *process {
	s.t.Helper()
	return start(s.t, "autoresearch", append([]string{"engine", "--workdir", s.workdir.dir}, args...)...)
}

// TestRelativePaths names everything by relative paths, and goes on from another directory: commands run where the
// workflow file lies.
func TestRelativePaths(t *testing.T) {
	t.Parallel()
	lab := newLab(t)
	if err := os.Symlink(binary("experiment"), filepath.Join(lab.dir, "train")); err != nil {
		t.Fatal(err)
	}
	lab.write("w.yaml", "kinds: {default: {command: [./train], env: {E2E_LAB: .}}}\n"+
		"initial: [{id: held, payload: {gate: go}}, {id: queued}]\n")
	engine := startIn(t, lab.dir, "autoresearch", "engine", "--workflow", "w.yaml", "--workdir", "run")
	lab.awaitRunning(1)
	engine.signal(syscall.SIGTERM)
	engine.wantExit(143)
	lab.open("go")
	w := workdir{t: t, dir: filepath.Join(lab.dir, "run")}
	start(t, "autoresearch", "engine", "--workdir", w.dir).wantExit(0)
	w.wantCompleted("held", "queued")
	w.wantFiles()
}

// TestMaxConcurrency runs more at once than the workflow says.
func TestMaxConcurrency(t *testing.T) {
	t.Parallel()
	s := newSearch(t, 1, tasks(4, "t%d", payload{"gate": "go"}), "")
	engine := s.begin("--max-concurrency", "3")
	s.lab.awaitRunning(3)
	s.lab.open("go")
	engine.wantExit(0)
	s.lab.wantOnce("t1", "t2", "t3", "t4")
}
