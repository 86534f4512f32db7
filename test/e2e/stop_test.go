//go:build linux

package e2e

import (
	"strings"
	"testing"
)

// TestMaxExperiments stops a search with specs left in the queue, and goes on with them when the limit is raised.
func TestMaxExperiments(t *testing.T) {
	t.Parallel()
	all := tasks(8, "t%d", payload{})
	s := newSearch(t, 2, all, "stop: {max_experiments: 3}")
	engine := s.begin()
	engine.wantExit(0)
	engine.wantSaid("stopped", "max_experiments")
	s.workdir.wantStatus("stopped", 5, 0)
	s.lab.wantOnce("t1", "t2", "t3")

	s.resume("--", "stop.max_experiments=6").wantExit(0)
	s.workdir.wantStatus("stopped", 2, 0)
	s.lab.wantOnce(ids(all[:6])...)

	s.resume().wantExit(0) // the override is remembered
	s.workdir.wantStatus("stopped", 2, 0)
	s.resume("--", "stop.max_experiments=null").wantExit(0)
	s.workdir.wantStatus("stopped", 0, 0)
	s.workdir.wantCompleted(ids(all)...)
	s.lab.wantOnce(ids(all)...)
}

// TestMaxExperimentsRaised raises the limit of a search whose proposer had nothing left to propose under the old one.
func TestMaxExperimentsRaised(t *testing.T) {
	t.Parallel()
	s := newSearch(t, 2, nil, "space: {loss: {float: [0, 1]}}\nstop: {max_experiments: 4}")
	s.begin().wantExit(0)
	s.workdir.wantStatus("stopped", 0, 0)
	s.workdir.wantCompleted("e0001", "e0002", "e0003", "e0004")
	s.resume("--", "stop.max_experiments=6").wantExit(0)
	s.workdir.wantStatus("stopped", 0, 0)
	s.workdir.wantCompleted("e0001", "e0002", "e0003", "e0004", "e0005", "e0006")
}

// TestPatience stops a search once nothing gets better, and goes on when a person has more patience. The experiment that
// begins while the proposer learns of the last result is let through.
func TestPatience(t *testing.T) {
	t.Parallel()
	all := append([]task{{ID: "best", Priority: -1, Payload: payload{"loss": 1}}}, tasks(9, "t%d", payload{"loss": 2, "seconds": 0.1})...)
	s := newSearch(t, 1, all, "stop: {patience: 2}")
	engine := s.begin()
	engine.wantExit(0)
	engine.wantSaid("stopped (patience: no improvement in 2 experiments)")
	if ended := s.lab.ended(); ended < 3 || ended > 4 {
		t.Errorf("it stopped after %d experiments", ended)
	}
	s.workdir.wantStatus("stopped", len(all)-s.lab.ended(), 0)
	s.resume("--", "stop.patience=20").wantExit(0)
	s.workdir.wantStatus("stopped", 0, 0)
	s.workdir.wantCompleted(ids(all)...)
	s.lab.wantOnce(ids(all)...)
}

// TestMaxDuration stops a search after a while and lets it go on.
func TestMaxDuration(t *testing.T) {
	t.Parallel()
	all := tasks(12, "t%d", payload{"seconds": 0.2})
	s := newSearch(t, 1, all, "stop: {max_duration: 1s}")
	engine := s.begin()
	engine.wantExit(0)
	engine.wantSaid("stopped (max_duration reached)")
	ended := s.lab.ended()
	if ended == 0 || ended > 6 {
		t.Errorf("%d experiments of 0.2 s ended in 1 s", ended)
	}
	s.workdir.wantStatus("stopped", len(all)-ended, 0)
	s.resume("--", "stop.max_duration=null").wantExit(0)
	s.workdir.wantCompleted(ids(all)...)
	s.lab.wantOnce(ids(all)...)
}

// TestWorkersBreaker: a worker whose attempts all fail in the same way takes itself out and says so; one that can run them is
// not held up by it.
func TestWorkersBreaker(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, nil)
	f.workflow = f.lab.write("breaker.yaml", `
name: breaker
max_concurrency: 1
kinds:
  default: {command: [/bin/sh, -c, 'test "$HEALTHY" = yes']}
initial: [{id: t1}, {id: t2}, {id: t3}, {id: t4}, {id: t5}]
`)
	c := f.daemon("coordinator", "--workflow", f.workflow, "--workdir", t.TempDir())
	c.awaitRole("leader")
	sick := f.daemon("worker", "--dir", f.newWorkerDir(), "--slots", "1", "--breaker", "3")
	sick.awaitMetric("autoresearch_worker_breaker_open", 1)
	sick.awaitMetric("autoresearch_worker_breaker_trips_total", 1)
	const said = "takes nothing: breaker: the last 3 tasks all failed in the same way (job_startup_failed, cause exit, exit_code 1)"
	eventually(t, "workers says so", func() string {
		if text := ask(t, "workers", "--server", c.url); !strings.Contains(text, said) {
			return text
		}
		return ""
	})
	startWith(t, t.TempDir(), []string{"HEALTHY=yes"}, "worker", "--nats", f.nats.url(), "--dir", f.newWorkerDir(), "--slots", "1")
	for _, task := range []string{"t4", "t5"} {
		eventually(t, task+" is completed", func() string {
			if text := ask(t, "show", task, "--server", c.url); !strings.Contains(text, "completed") {
				return text
			}
			return ""
		})
	}
}

// TestBreaker stops a search whose experiments all fail in the same way, and goes on when a person says so.
func TestBreaker(t *testing.T) {
	t.Parallel()
	all := tasks(13, "t%d", payload{"exit": 7})
	s := newSearch(t, 1, all, "")
	engine := s.begin()
	engine.wantExit(3)
	engine.wantSaid("breaker: the last 10 tasks all failed in the same way (job_runtime_failed, cause exit, exit_code 7)")
	s.workdir.wantStatus("stopped", 3, 0)
	s.resume("--no-breaker").wantExit(0)
	s.workdir.wantStatus("stopped", 0, 0)
	s.lab.wantOnce(ids(all)...)
}
