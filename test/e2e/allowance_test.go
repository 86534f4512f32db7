//go:build linux

package e2e

import (
	"strings"
	"testing"
)

// TestAllowance lets a task and its descendants spend what they may, through the death of the coordinator: what is left of them
// waits, although there is room, until somebody allows more.
func TestAllowance(t *testing.T) {
	t.Parallel()
	kids := []task{{ID: "kid1", Payload: payload{"gate": "go"}}, {ID: "kid2", Priority: 1, Payload: payload{"gate": "go"}}}
	f := newFleet(t, 2, []task{{ID: "root", Payload: payload{"children": kids}}})
	f.lab.write("workflow.yaml", strings.Replace(readFile(t, f.workflow), `{"id":"root"`, `{"allowance":{"max_experiments":2},"id":"root"`, 1))
	w := newWorkdir(t)
	f.worker(f.newWorkerDir(), 2)
	coordinator := f.coordinator(w)
	f.lab.awaitRunning(1)
	wantParked := func() {
		t.Helper()
		eventually(t, "kid2 waits for its allowance", func() string {
			p := start(t, "autoresearch", "show", "kid2", "--server", coordinator.url)
			if p.wait() == 0 && strings.Contains(p.output.String(), "what task root and its descendants may spend is spent: max_experiments is reached") {
				return ""
			}
			return p.output.String()
		})
	}
	wantParked()
	coordinator.kill()
	coordinator = f.coordinator(w)
	coordinator.awaitRole("leader")
	wantParked()
	if running := f.lab.awaitRunning(1); running[0].id != "kid1" {
		t.Errorf("%s runs", running[0].id)
	}
	ask(t, "allow", "root", "--max-experiments", "3", "--server", coordinator.url, "-m", "it is promising")
	f.lab.awaitRunning(2)
	events := ask(t, "events", "--server", coordinator.url, "--type", "change")
	for _, want := range []string{"warn root and below 100 % of max_experiments is spent: 2 of 2", "allow root and below max_experiments 3 by", "it is promising"} {
		if strings.Count(events, want) != 1 {
			t.Errorf("the events do not say %q once: %s", want, events)
		}
	}
	f.lab.open("go")
	coordinator.wantExit(0)
	w.wantStatus("stopped", 0, 0)
	w.wantCompleted("root", "kid1", "kid2")
	f.lab.wantOnce("root", "kid1", "kid2")
}
