//go:build linux

package e2e

import (
	"encoding/json"
	"strings"
	"testing"
)

// spending is what status says of what a run has spent.
type spending struct {
	Status, Reason string
	Spent          struct {
		Cost float64
		Unit string
	}
}

func askSpending(t *testing.T, server string) (s spending) {
	t.Helper()
	text := ask(t, "status", "--server", server, "-o", "json")
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return s
}

// TestMaxCost lets a run spend what it may, through the death of its coordinator: people are warned once, what runs ends by
// itself, and nothing more begins.
func TestMaxCost(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 1, []task{{ID: "held", Payload: payload{"gate": "go"}}, {ID: "queued", Priority: 1, Payload: payload{}}})
	f.lab.write("workflow.yaml", readFile(t, f.workflow)+"prices: {unit: USD, classes: {cpu: {slot_hour: 3600}}}\nstop: {max_cost: 5}\n")
	w := newWorkdir(t)
	f.worker(f.newWorkerDir(), 1)
	coordinator := f.coordinator(w)
	f.lab.awaitRunning(1)
	eventually(t, "something is spent", func() string {
		if s := askSpending(t, coordinator.url); s.Spent.Cost >= 1 && s.Spent.Unit == "USD" {
			return ""
		}
		return "not yet"
	})
	ask(t, "submit", "--server", coordinator.url, "--id", "late", "--priority", "2", "--payload", "{}") // a record, with the time
	coordinator.kill()
	coordinator = f.coordinator(w)
	coordinator.awaitRole("leader")
	if s := askSpending(t, coordinator.url); s.Spent.Cost < 1 {
		t.Errorf("after the coordinator was killed the run has spent %v", s.Spent.Cost)
	}
	eventually(t, "the limit is reached", func() string {
		if s := askSpending(t, coordinator.url); s.Reason == "max_cost reached" && s.Spent.Cost >= 5 {
			return ""
		}
		return "not yet"
	})
	events := ask(t, "events", "--server", coordinator.url, "--type", "change")
	if strings.Count(events, "of max_cost is spent") != 1 {
		t.Errorf("the events: %s", events)
	}
	f.lab.awaitRunning(1) // it was not stopped
	f.lab.open("go")
	coordinator.wantExit(0)
	coordinator.wantSaid("max_cost reached")
	w.wantStatus("stopped", 2, 0)
	f.lab.wantOnce("held")
}
