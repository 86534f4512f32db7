//go:build linux

package e2e

import (
	"testing"
)

// TestLabels: a kind that requires a label runs on workers that have it, in their slots of its class, and waits until there is
// one.
func TestLabels(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4, nil)
	f.workflow = f.lab.write("labels.yaml", `
name: labels
kinds:
  anywhere:
    command: [/bin/sh, -c, 'echo "[autoresearch] place=1"']
  here:
    command: [/bin/sh, -c, 'test "$PLACE" = b']
    requires: {zone: b}
initial:
  - {id: here1, kind: here}
  - {id: here2, kind: here}
  - {id: here3, kind: here}
  - {id: anywhere1, kind: anywhere}
`)
	coordinator := f.daemon("coordinator", "--workflow", f.workflow, "--workdir", t.TempDir())
	coordinator.awaitRole("leader")
	worker := func(place string) {
		startWith(t, t.TempDir(), []string{"PLACE=" + place}, "worker", "--nats", f.nats.url(), "--dir", f.newWorkerDir(),
			"--slots", "1", "--label", "zone="+place)
	}
	await := func(want string, args ...string) {
		t.Helper()
		awaitSays(t, coordinator.url, want, args...)
	}
	worker("a")
	await("completed", "show", "anywhere1")
	await("no worker offers slots of class cpu[zone=b]", "show", "here1")
	worker("b")
	for _, task := range []string{"here1", "here2", "here3"} {
		await("completed", "show", task)
	}
}
