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

// TestArtifacts fetches what an experiment left, after its worker has gone, and only that.
func TestArtifacts(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, []task{{ID: "maker", Payload: payload{"leave": "model/best.txt", "loss": 1}}, {ID: "held", Payload: payload{"gate": "never"}}})
	worker, c := f.worker(f.newWorkerDir(), 1), f.coordinator(newWorkdir(t))
	f.lab.awaitEnded(1)
	eventually(t, "they are listed", func() string {
		if said := ask(t, "artifacts", "ls", "maker", "--server", c.url); !strings.Contains(said, "model/best.txt") {
			return said
		}
		return ""
	})
	worker.kill()
	to := t.TempDir()
	p := start(t, "autoresearch", "artifacts", "get", "maker", "--to", to, "--server", c.url)
	p.wantRefusal("1 entries were not stored")
	if text := readFile(t, to+"/model/best.txt"); text != "left by maker" {
		t.Errorf("fetched %q", text)
	}
	if said := ask(t, "artifacts", "get", "maker", "model/best.txt", "--to", "-", "--server", c.url); said != "left by maker" {
		t.Errorf("printed %q", said)
	}
	start(t, "autoresearch", "artifacts", "get", "maker", "model/best.txt", "--to", to, "--server", c.url).wantRefusal("--force")
	start(t, "autoresearch", "artifacts", "get", "maker", "none", "--to", to, "--server", c.url).wantExit(3)
}

// TestResultsComeWithoutRoomForOutput runs experiments that write, leave files and tell curves while the streams for all of
// that take nothing: every result arrives, and what is missing is said.
func TestResultsComeWithoutRoomForOutput(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, []task{{ID: "full", Payload: payload{"say": "hello", "steps": 300, "leave": "a.txt", "gate": "go", "loss": 1}},
		{ID: "held", Payload: payload{"gate": "never"}}})
	f.daemon("worker", "--dir", f.newWorkerDir(), "--slots", "1", "--keep-timeout", "2s")
	c := f.coordinator(newWorkdir(t))
	f.lab.awaitRunning(1)
	for _, stream := range []string{"AR_LOGS_e2e", "OBJ_AR_OUTPUT_e2e"} {
		f.nats.seal(stream)
	}
	f.lab.open("go")
	eventually(t, "the result is there", func() string {
		said := ask(t, "show", "full", "--server", c.url)
		if strings.Contains(said, "status     completed") && strings.Contains(said, "301 points") {
			return ""
		}
		return said
	})
	if said := ask(t, "artifacts", "ls", "full", "--server", c.url); !strings.Contains(said, "it was not stored") {
		t.Errorf("the artifacts: %s", said)
	}
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
