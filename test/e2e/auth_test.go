//go:build linux

package e2e

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"autoresearch/internal/testca"
	"autoresearch/pkg/bus/bustest"
)

// TestSearchUnderCredentials has the programs make their credentials and do a search with them, over TLS: a coordinator, two
// groups of workers, large payloads and results, and the commands of an operator. Without credentials, or without the
// authority, nobody gets in.
func TestSearchUnderCredentials(t *testing.T) {
	t.Parallel()
	lab, w := newLab(t), newWorkdir(t)
	all := tasks(6, "e%d", payload{"loss": 1, "child_count": 1})
	all[0].Payload = payload{"loss": 0.5, "child_bytes": 400_000, "pad": strings.Repeat("x", 400_000)}
	workflow := lab.workflow(3, all, "")
	credentials, authority := filepath.Join(t.TempDir(), "auth"), testca.New(t)
	cert, certKey := authority.Issue(t.TempDir())
	start(t, "autoresearch", "auth", "init", credentials, "--tls-ca", authority.File, "--tls-cert", cert, "--tls-key", certKey).wantExit(0)
	start(t, "autoresearch", "auth", "add-worker", credentials, "spot", "--class", "default").wantExit(0)
	key := func(name string) string { return filepath.Join(credentials, name+".nk") }
	include := func(name string) string {
		return "include " + strconv.Quote(relativeTo(t, lab.dir, filepath.Join(credentials, name))) + "\n"
	}

	nats := startNATSWith(t, include("auth.conf")+include("tls.conf"), lab)
	with := func(user string, more ...string) []string {
		return append([]string{"--nats", nats.url(), "--nats-tls-ca", authority.File, "--nats-nkey", key(user)}, more...)
	}
	start(t, "worker", "--dir", t.TempDir(), "--nats", nats.url(), "--nats-tls-ca", authority.File).wantRefusal("credentials", nats.url())
	start(t, "worker", "--dir", t.TempDir(), "--nats", nats.url(), "--nats-nkey", key("worker-default")).wantRefusal("TLS files", nats.url())
	coordinator := start(t, "coordinator", with("coordinator", "--workflow", workflow, "--workdir", w.dir,
		"--http", "127.0.0.1:0", "--exit-when-stopped")...)
	start(t, "worker", with("worker-spot", "--dir", t.TempDir(), "--slots", "2", "--http", "")...)
	// Where everything else is, flags may be left to variables.
	startWith(t, t.TempDir(), []string{"AUTORESEARCH_NATS_TLS_CA=" + authority.File, "AUTORESEARCH_NATS_NKEY=" + key("worker-default")},
		"worker", "--nats", nats.url(), "--dir", t.TempDir(), "--slots", "2", "--http", "")
	coordinator.wantExit(0)
	w.wantStatus("stopped", 0, 0)
	start(t, "autoresearch", append([]string{"verify", "--run", "e2e"}, with("operator")...)...).wantExit(0)
	rejected := start(t, "autoresearch", append([]string{"rejected", "list", "--run", "e2e"}, with("operator")...)...)
	rejected.wantExit(0)
	rejected.wantSaid("nothing was rejected")
}

// startNATSWith starts a server whose configuration has these lines, with more in its environment.
func startNATSWith(t *testing.T, lines string, lab *lab, env ...string) *natsServer {
	t.Helper()
	s := &natsServer{store: t.TempDir(), port: bustest.FreePort(t)}
	config := lab.write("nats.conf", fmt.Sprintf("host: 127.0.0.1\nport: %d\njetstream {store_dir: %q}\n%s\n", s.port, s.store, lines))
	s.process = startWith(t, lab.dir, env, "nats-server", "-c", config)
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
