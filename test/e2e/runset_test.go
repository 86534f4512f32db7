//go:build linux

package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// entryVersion is the version of what is registered of a run.
func entryVersion(t *testing.T, server, run string) string {
	t.Helper()
	var shown struct {
		Version string `json:"entry_version"`
	}
	text := ask(t, "run", "show", run, "--server", server, "-o", "json")
	if err := json.Unmarshal([]byte(text), &shown); err != nil || shown.Version == "" {
		t.Fatalf("%v: %s", err, text)
	}
	return shown.Version
}

// TestRunIsChanged gives a run another budget and another workflow while it goes on: what runs is the same process still, what
// begins later goes by the new ones, who has seen older ones is refused, and all of it survives the leader.
func TestRunIsChanged(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	l, later := newLab(t), newLab(t)
	start(t, "worker", "--nats", c.nats.url(), "--dir", t.TempDir(), "--slots", "4")
	all := tasks(5, "t%d", payload{"gate": "go"})
	ask(t, "run", "create", "a", "-f", l.workflow(2, all, ""), "--server", c.servers[0])
	two := l.awaitRunning(2)
	seen := entryVersion(t, c.servers[1], "a")

	said := ask(t, "run", "set", "a", "--budget", "3", "--weight", "2", "--if-version", seen, "-m", "room", "--server", c.servers[1])
	if !strings.Contains(said, "budget 0 -> 3, weight 1 -> 2") {
		t.Errorf("set: %s", said)
	}
	three := l.awaitRunning(3)
	wantSameProcesses(t, two, three)
	p := start(t, "autoresearch", "run", "set", "a", "--budget", "9", "--if-version", seen, "--server", c.servers[0])
	p.wantExit(4)
	p.wantSaid("changed since it was read")

	text := ask(t, "run", "show", "a", "--workflow", "--server", c.servers[1])
	file := later.write("workflow.yaml", strings.ReplaceAll(text, "E2E_LAB: "+l.dir, "E2E_LAB: "+later.dir))
	ask(t, "run", "set", "a", "-f", file, "-m", "another lab", "--server", c.servers[0])
	wantSameProcesses(t, three, l.awaitRunning(3))
	changes := askChanges(t, c.servers[0], "a")
	if len(changes) != 2 || !strings.HasPrefix(changes[0], "configure") || !strings.HasSuffix(changes[1], "another lab") {
		t.Errorf("changes: %q", changes)
	}

	leads := func(server string) bool { return askRuns(t, server)["a"].Role == "leader" }
	leader := slices.IndexFunc(c.servers[:], leads)
	if leader < 0 {
		t.Fatal("nobody leads")
	}
	c.coordinators[leader].kill()
	next := c.servers[1-leader]
	awaitLeads(t, next, "a", 3)
	if after := askChanges(t, next, "a"); !slices.Equal(after, changes) {
		t.Errorf("changes after the failover %q, before %q", after, changes)
	}
	if said := ask(t, "run", "show", "a", "--server", next); !strings.Contains(said, "budget     3") || !strings.Contains(said, "because: another lab") {
		t.Errorf("show: %s", said)
	}
	wantSameProcesses(t, three, l.awaitRunning(3))
	l.open("go")
	later.open("go")
	l.awaitEnded(3)
	later.awaitEnded(2)
	l.wantOnce("t1", "t2", "t3")
	later.wantOnce("t4", "t5")
}
