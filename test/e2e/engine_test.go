package e2e

import "testing"

// search is a run of the engine command: a lab, a workdir, and processes one after another.
type search struct {
	t        *testing.T
	lab      *lab
	workdir  workdir
	workflow string
}

// newSearch prepares a run of a workflow with these initial tasks; more is added to the workflow file.
func newSearch(t *testing.T, concurrency int, initial []task, more string) *search {
	t.Helper()
	lab := newLab(t)
	return &search{t: t, lab: lab, workdir: newWorkdir(t), workflow: lab.workflow(concurrency, initial, more)}
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
