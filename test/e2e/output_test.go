//go:build linux

package e2e

import (
	"strings"
	"testing"
)

// TestLogsOutliveTheWorker follows what an experiment writes while it runs, and reads it again when its worker was killed,
// when the next attempt has ended, and when no worker is left.
func TestLogsOutliveTheWorker(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, []task{{ID: "talker/1", Payload: payload{"say": "hello from the first line", "gate": "go", "loss": 1}},
		{ID: "held", Payload: payload{"gate": "never"}}})
	dir := f.newWorkerDir()
	worker, c := f.worker(dir, 1), f.coordinator(newWorkdir(t))
	f.lab.awaitRunning(1)
	follower := start(t, "autoresearch", "logs", "talker/1", "-f", "--server", c.url)
	follower.says("hello from the first line")
	worker.kill()
	f.lab.killed()
	if said := ask(t, "logs", "talker/1", "--attempt", "1", "--server", c.url); !strings.Contains(said, "hello from the first line") {
		t.Errorf("the log of a killed worker's attempt: %s", said)
	}
	f.worker(dir, 1)
	f.lab.open("go")
	f.lab.awaitEnded(1)
	eventually(t, "the log of the next attempt ends", func() string {
		said := ask(t, "logs", "talker/1", "--attempt", "2", "--server", c.url)
		if strings.Contains(said, "hello from the first line\n[autoresearch] loss=1") {
			return ""
		}
		return said
	})
	follower.wantExit(0) // the first attempt is over
}

// TestSeriesOfAnExperiment sees the metrics of an experiment as they went.
func TestSeriesOfAnExperiment(t *testing.T) {
	t.Parallel()
	s := newSearch(t, 1, []task{{ID: "curve", Payload: payload{"steps": 300, "loss": 0.5}}, {ID: "held", Payload: payload{"gate": "go"}}}, "")
	engine := s.begin()
	s.lab.awaitEnded(1)
	eventually(t, "the series is there", func() string {
		said := ask(t, "show", "curve", "--server", s.workdir.dir)
		if strings.Contains(said, "series     loss █") && strings.Contains(said, "steps 1 to 301") {
			return ""
		}
		return said
	})
	if said := ask(t, "logs", "curve", "--server", s.workdir.dir); strings.Count(said, "[autoresearch] step=") != 300 {
		t.Errorf("%d lines of output", strings.Count(said, "\n"))
	}
	s.lab.open("go")
	engine.wantExit(0)
}
