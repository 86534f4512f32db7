//go:build linux

package e2e

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestSearchUnderCredentials has the programs make their credentials and do a search with them: a coordinator, two groups of
// workers, large payloads and results, and the commands of an operator. Without credentials nobody gets in.
func TestSearchUnderCredentials(t *testing.T) {
	t.Parallel()
	lab, w := newLab(t), newWorkdir(t)
	all := tasks(6, "e%d", payload{"loss": 1, "child_count": 1})
	all[0].Payload = payload{"loss": 0.5, "child_bytes": 400_000, "pad": strings.Repeat("x", 400_000)}
	workflow := lab.workflow(3, all, "")
	credentials := filepath.Join(t.TempDir(), "auth")
	start(t, "autoresearch", "auth", "init", credentials).wantExit(0)
	start(t, "autoresearch", "auth", "add-worker", credentials, "spot", "--class", "default").wantExit(0)
	key := func(name string) string { return filepath.Join(credentials, name+".nk") }

	nats := startNATSWith(t, "include "+strconv.Quote(relativeTo(t, lab.dir, filepath.Join(credentials, "auth.conf"))), lab)
	start(t, "worker", "--dir", t.TempDir(), "--nats", nats.url()).wantRefusal("credentials", nats.url())
	coordinator := start(t, "coordinator", "--workflow", workflow, "--workdir", w.dir, "--nats", nats.url(), "--nats-nkey", key("coordinator"),
		"--http", "127.0.0.1:0", "--exit-when-stopped")
	for _, group := range []string{"worker-default", "worker-spot"} {
		start(t, "worker", "--dir", t.TempDir(), "--nats", nats.url(), "--nats-nkey", key(group), "--slots", "2", "--http", "")
	}
	coordinator.wantExit(0)
	w.wantStatus("stopped", 0, 0)
	verify := start(t, "autoresearch", "verify", "--nats", nats.url(), "--nats-nkey", key("operator"), "--run", "e2e")
	verify.wantExit(0)
	rejected := start(t, "autoresearch", "rejected", "list", "--nats", nats.url(), "--nats-nkey", key("operator"), "--run", "e2e")
	rejected.wantExit(0)
	rejected.wantSaid("nothing was rejected")
}

// startNATSWith starts a server whose configuration has these lines.
func startNATSWith(t *testing.T, lines string, lab *lab) *natsServer {
	t.Helper()
	s := &natsServer{store: t.TempDir(), port: freePort(t)}
	config := lab.write("nats.conf", fmt.Sprintf("host: 127.0.0.1\nport: %d\njetstream {store_dir: %q}\n%s\n", s.port, s.store, lines))
	s.process = start(t, "nats-server", "-c", config)
	s.says("Server is ready")
	return s
}

func relativeTo(t *testing.T, dir, path string) string {
	t.Helper()
	rel, err := filepath.Rel(dir, path)
	if err != nil {
		t.Fatal(err)
	}
	return rel
}
