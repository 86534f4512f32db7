//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// ask runs a command of the person's tool and returns what it says; it must succeed.
func ask(t *testing.T, args ...string) string {
	t.Helper()
	p := start(t, "autoresearch", args...)
	p.wantExit(0)
	return p.output.String()
}

// awaitSays waits until a command that asks the server says what is wanted.
func awaitSays(t *testing.T, server, want string, args ...string) {
	t.Helper()
	eventually(t, strings.Join(args, " ")+" says "+want, func() string {
		text := ask(t, append(args, "--server", server)...)
		if !strings.Contains(text, want) {
			return text
		}
		return ""
	})
}

// counts of a run, as status says them.
type counts struct{ Queued, Running, Completed, Cancelled int }

func askCounts(t *testing.T, server string) counts {
	t.Helper()
	var run struct{ Counts counts }
	text := ask(t, "status", "--server", server, "-o", "json")
	if err := json.Unmarshal([]byte(text), &run); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return run.Counts
}

// TestSteerAnEngine steers a search by the commands, through the socket in its workdir.
func TestSteerAnEngine(t *testing.T) {
	t.Parallel()
	all := []task{
		{ID: "a", Payload: payload{"gate": "first"}}, {ID: "b", Payload: payload{"gate": "first"}}, {ID: "c", Payload: payload{"gate": "second"}},
		{ID: "d", Payload: payload{"gate": "second"}}, {ID: "late/one", Payload: payload{"gate": "second"}},
	}
	s := newSearch(t, 2, all, "")
	engine := s.begin()
	s.lab.awaitRunning(2)
	dir := s.workdir.dir

	// A budget below what runs stops nothing.
	ask(t, "budget", "1", "--server", dir, "-m", "others need the machine")
	ask(t, "submit", "--server", dir, "--id", "extra", "--payload", `{"gate": "never", "children": []}`)
	ask(t, "submit", "--server", dir, "--id", "below", "--parent", "extra", "--payload", `{"gate": "never"}`)
	ask(t, "bump", "late/one", "--server", dir)
	if running := s.lab.running(); len(running) != 2 {
		t.Errorf("%d run under a lowered budget", len(running))
	}
	if said := ask(t, "show", "c", "--server", dir); !strings.Contains(said, "the budget of 1 experiments at once is used up") {
		t.Errorf("why c waits: %s", said)
	}
	// Paused: what runs ends, nothing begins.
	ask(t, "pause", dir, "-m", "a look at the results")
	s.lab.open("first")
	s.lab.awaitEnded(2)
	eventually(t, "both are completed", func() string {
		if n := askCounts(t, dir); n.Completed == 2 && n.Running == 0 {
			return ""
		}
		return "not yet"
	})
	// A restart by force changes none of it.
	engine.kill()
	engine = s.resume()
	eventually(t, "the engine is back", func() string {
		p := start(t, "autoresearch", "status", dir, "-o", "json")
		if p.wait() == 0 && strings.Contains(p.output.String(), `"paused": true`) && strings.Contains(p.output.String(), `"budget": 1`) {
			return ""
		}
		return p.output.String()
	})
	ask(t, "cancel", "extra", "--subtree", "--server", dir, "--yes", "-m", "not needed")
	ask(t, "resume", dir)
	if running := s.lab.awaitRunning(1); running[0].id != "late/one" {
		t.Errorf("%s runs first, want what was bumped", running[0].id)
	}
	ask(t, "budget", "0", "--server", dir)
	s.lab.awaitRunning(2)
	events := ask(t, "events", dir, "--type", "change")
	for _, want := range []string{
		"budget to 1 by ", "because: others need the machine", "reprioritise late/one", "pause by", "because: a look at the results",
		"cancel extra and below (2 tasks) by", "resume by",
	} {
		if !strings.Contains(events, want) {
			t.Errorf("the events do not say %q:\n%s", want, events)
		}
	}
	if rows := strings.Count(ask(t, "export", dir, "--format", "csv"), "\n"); rows != 1+len(all)+2 {
		t.Errorf("%d rows of the running search", rows)
	}
	s.lab.open("second")
	engine.wantExit(0)
	s.workdir.wantEnded(ids(all), map[string]string{"extra": "interrupted", "below": "interrupted"})
	if rows := strings.Count(ask(t, "export", dir, "--format", "csv"), "\n"); rows != 1+len(all)+2 {
		t.Errorf("%d rows of the finished search", rows)
	}
	p := start(t, "autoresearch", "status", dir)
	p.wantExit(5)
	p.wantSaid("no engine or coordinator runs there")
}

// TestDrainAnEngine lets what runs finish; the engine then ends by itself, and goes on when it is started again.
func TestDrainAnEngine(t *testing.T) {
	t.Parallel()
	s := newSearch(t, 1, tasks(2, "t%d", payload{"gate": "go"}), "")
	engine := s.begin()
	s.lab.awaitRunning(1)
	ask(t, "drain", s.workdir.dir, "--yes", "-m", "reboot")
	s.lab.open("go")
	engine.wantExit(0)
	engine.wantSaid("stopped (drained)", "1 queued")
	s.resume().wantExit(0)
	s.workdir.wantCompleted("t1", "t2")
	s.lab.wantOnce("t1", "t2")
}

// TestSteerAFleetOverAFailover steers through a standby, kills the leader, and finds every change in force.
func TestSteerAFleetOverAFailover(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, tasks(6, "t%d", payload{"gate": "go"}))
	leader := f.coordinator(newWorkdir(t))
	leader.awaitRole("leader")
	standby := f.coordinator(newWorkdir(t))
	standby.awaitRole("standby")
	f.worker(f.newWorkerDir(), 2)
	f.lab.awaitRunning(2)
	eventually(t, "the standby forwards", func() string {
		p := start(t, "autoresearch", "status", "--server", standby.url)
		if p.wait() == 0 {
			return ""
		}
		return p.output.String()
	})
	ask(t, "pause", "--server", standby.url, "-m", "before the fall")
	ask(t, "cancel", "t6", "--server", standby.url, "--yes")
	ask(t, "bump", "t5", "--server", standby.url)
	follower := start(t, "autoresearch", "events", "--server", standby.url, "--follow", "--type", "change,leader", "--after", "0")
	follower.says("cancel t6")
	leader.kill()
	standby.awaitRole("leader")
	follower.says("a leader took over: term 2")
	said := ask(t, "status", "--server", standby.url)
	if !strings.Contains(said, "paused") || !strings.Contains(said, "1 cancelled") {
		t.Errorf("after the fall: %s", said)
	}
	f.lab.open("go")
	f.lab.awaitEnded(2)
	eventually(t, "nothing runs", func() string {
		if n := askCounts(t, standby.url); n.Running == 0 && n.Completed == 2 {
			return ""
		}
		return "something does"
	})
	ask(t, "budget", "1", "--server", standby.url) // so that the order of starts is that of the queue
	ask(t, "resume", "--server", standby.url)
	follower.says("resume by")
	standby.wantExit(0)
	all, _ := f.lab.executions()
	if len(all) != 5 || all[2].id != "t5" {
		t.Errorf("executed: %v", ended(all))
	}
	follower.signal(syscall.SIGINT)
	follower.wantExit(130)
}

func ended(all []*execution) (said []string) {
	for _, e := range all {
		said = append(said, fmt.Sprint(e.id, "/", e.attempt))
	}
	return said
}
