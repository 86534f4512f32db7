//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// askChanges returns the changes that people asked for: what, who and why.
func askChanges(t *testing.T, server, run string) (list []string) {
	t.Helper()
	text := ask(t, "events", "--server", server, "--run", run, "--type", "change", "-o", "json")
	for line := range strings.Lines(text) {
		var event struct {
			Change struct {
				Action, Task, By, Reason string
				Value                    float64
			}
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		c := event.Change
		if c.By == "" {
			t.Errorf("nobody asked for it: %s", line)
		}
		list = append(list, fmt.Sprintf("%s %s %v by %s: %s", c.Action, c.Task, c.Value, c.By, c.Reason))
	}
	return list
}

// TestSteeringSurvivesFailover changes a run at its leader and kills that: the next leader goes by every change, tells who
// asked and why in the same words, and what ran, above a budget that was lowered meanwhile, is the same process still.
func TestSteeringSurvivesFailover(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	l := newLab(t)
	start(t, "worker", "--nats", c.nats.url(), "--dir", t.TempDir(), "--slots", "4")
	all := append(tasks(3, "held%d", payload{"gate": "go"}), tasks(3, "queued%d", payload{})...)
	ask(t, "run", "create", "a", "-f", l.workflow(3, all, ""), "--server", c.servers[0])
	running := l.awaitRunning(3)
	ask(t, "budget", "1", "--server", c.servers[1], "-m", "others need it")
	ask(t, "bump", "queued3", "--server", c.servers[0], "-m", "promising")
	ask(t, "cancel", "queued2", "--yes", "--server", c.servers[1], "-m", "diverges")
	ask(t, "pause", "--server", c.servers[0], "-m", "a look")
	before := askChanges(t, c.servers[0], "a")
	if len(before) != 4 || !slices.ContainsFunc(before, func(s string) bool { return strings.Contains(s, "cancel queued2") && strings.Contains(s, "diverges") }) {
		t.Errorf("changes: %q", before)
	}

	leader := slices.IndexFunc(c.coordinators[:], func(p *process) bool { return strings.Contains(p.output.String(), "msg=leading") })
	c.coordinators[leader].kill()
	next := c.servers[1-leader]
	awaitLeads(t, next, "a", 3)
	if after := askChanges(t, next, "a"); !slices.Equal(after, before) {
		t.Errorf("changes after the failover %q, before %q", after, before)
	}
	if said := ask(t, "status", "--server", next); !strings.Contains(said, "paused") || !strings.Contains(said, "1 experiments at once") {
		t.Errorf("status: %s", said)
	}
	wantSameProcesses(t, running, l.awaitRunning(3))
	l.open("go")
	l.awaitEnded(3)
	ask(t, "resume", "--server", next)
	l.awaitEnded(5)
	list, _ := l.executions()
	var order []string
	for _, e := range list {
		order = append(order, e.id)
	}
	slices.Sort(order[:3])
	if want := []string{"held1", "held2", "held3", "queued3", "queued1"}; !slices.Equal(order, want) {
		t.Errorf("they ran in the order %v, want %v", order, want)
	}
}
