//go:build linux

package e2e

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/bus/bustest"
)

// TestOwnNATS: a server that somebody else runs, and of which the programs get no more than the account that is documented.
// Others have streams there by the same names; the programs neither see nor touch them.
func TestOwnNATS(t *testing.T) {
	t.Parallel()
	lab := newLab(t)
	account, err := filepath.Abs("../../deploy/k8s/components/own-nats/account.conf")
	if err != nil {
		t.Fatal(err)
	}
	server := startNATSWith(t, fmt.Sprintf(`accounts {
  include %q
  others: {jetstream: enabled, users: [{user: them, password: theirs}]}
  system: {users: [{user: admin, password: admin}]}
}
system_account: system`, relativeTo(t, lab.dir, account)), lab, "AUTORESEARCH_PASSWORD=ours")
	others := asOthers(t, server)

	address := fmt.Sprintf("127.0.0.1:%d", bustest.FreePort(t))
	credentials := filepath.Join(t.TempDir(), "auth")
	start(t, "autoresearch", "auth", "init", credentials).wantExit(0) // for the tokens of the API
	tokens := filepath.Join(credentials, "http-tokens")
	with := []string{"--nats", server.url(), "--nats-user", "autoresearch", "--nats-password-file", lab.write("password", "ours\n")}
	start(t, "coordinator", append(with, "--http", address, "--http-tokens", tokens, "--workdir", t.TempDir())...).says("serving every run")
	start(t, "worker", append(with, "--dir", t.TempDir(), "--slots", "2", "--http", "")...)
	all := tasks(4, "e%d", payload{"loss": 1, "child_count": 1})
	all[0].Payload = payload{"loss": 0.5, "child_bytes": 600_000, "pad": strings.Repeat("x", 600_000)} // for the object store
	at := []string{"--server", "http://" + address, "--token-file", tokens}
	ask(t, append([]string{"run", "create", "e2e", "-f", lab.workflow(2, all, "")}, at...)...)
	eventually(t, "the run has stopped", func() string {
		if said := ask(t, append([]string{"run", "ls"}, at...)...); !strings.Contains(said, "stopped") {
			return said
		}
		return ""
	})
	start(t, "autoresearch", append([]string{"verify", "--run", "e2e"}, with...)...).wantExit(0)
	others.wantAlone()
}

// tenants are others on the same server, with a stream of their own.
type tenants struct {
	t  *testing.T
	js jetstream.JetStream
}

func asOthers(t *testing.T, s *natsServer) tenants {
	t.Helper()
	conn, err := nats.Connect(s.url(), nats.UserInfo("them", "theirs"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err == nil {
		_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "AR_TASKS", Subjects: []string{"ar.>"}})
	}
	if err == nil {
		_, err = js.Publish(t.Context(), "ar.journal.e2e", []byte("theirs"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return tenants{t: t, js: js}
}

// wantAlone: their stream holds what they put there, and it is their only one.
func (o tenants) wantAlone() {
	o.t.Helper()
	var have []string
	for info := range o.js.ListStreams(o.t.Context()).Info() {
		have = append(have, info.Config.Name+" "+strconv.FormatUint(info.State.Msgs, 10))
	}
	if len(have) != 1 || have[0] != "AR_TASKS 1" {
		o.t.Errorf("others have %v", have)
	}
}
