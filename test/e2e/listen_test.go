//go:build linux

package e2e

import (
	"fmt"
	"testing"

	"autoresearch/pkg/bus/bustest"
)

// TestListen has the coordinator bring the NATS server, behind a password, and kills both at once: the worker's
// experiments go on, and are taken over as they are.
func TestListen(t *testing.T) {
	t.Parallel()
	all := heldAndQueued(2)
	lab, w := newLab(t), newWorkdir(t)
	workflow, port := lab.workflow(2, all, ""), bustest.FreePort(t)
	address := fmt.Sprintf("127.0.0.1:%d", port)
	password, wrong := lab.write("password", "secret\n"), lab.write("wrong", "guess\n")
	coordinator := func() *daemon {
		p := start(t, "coordinator", "--workflow", workflow, "--workdir", w.dir, "--listen", address, "--listen-user", "ar",
			"--listen-password-file", password, "--http", "127.0.0.1:0", "--exit-when-stopped")
		return &daemon{process: p, url: "http://" + p.says(`msg="serving .*address=(\S+)`)[1]}
	}
	first := coordinator()
	first.awaitRole("leader")
	dir := t.TempDir()
	start(t, "worker", "--dir", dir, "--nats", "nats://"+address).wantRefusal("credentials", address, "password")
	start(t, "worker", "--dir", dir, "--nats", "nats://"+address, "--nats-user", "ar", "--nats-password-file", wrong).
		wantRefusal("credentials", address, "password")
	start(t, "worker", "--dir", dir, "--nats", "nats://"+address, "--nats-user", "ar", "--nats-password-file", password,
		"--slots", "2", "--http", "")
	running := lab.awaitRunning(2)
	first.kill()
	wantSameProcesses(t, running, lab.awaitRunning(2))
	second := coordinator()
	second.awaitRole("leader")
	second.awaitMetric(`autoresearch_tasks{state="running"}`, 2)
	lab.open("go")
	second.wantExit(0)
	w.wantStatus("stopped", 0, 0)
	w.wantCompleted(ids(all)...)
	lab.wantOnce(ids(all)...)
}
