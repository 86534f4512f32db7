//go:build linux

package e2e

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/bus/bustest"
)

// natsServer is a nats-server as a process, with its store and its port, which a restart keeps.
type natsServer struct {
	*process
	store string
	port  int
}

// startNATS starts a server with JetStream on a free port of the loopback.
func startNATS(t *testing.T) *natsServer {
	t.Helper()
	s := &natsServer{store: t.TempDir(), port: bustest.FreePort(t)}
	s.process = start(t, "nats-server", "-a", "127.0.0.1", "-p", strconv.Itoa(s.port), "-js", "-sd", s.store)
	s.says("Server is ready")
	return s
}

// restart starts it again after a kill, on the same port and store.
func (s *natsServer) restart() {
	s.t.Helper()
	s.process = start(s.t, "nats-server", s.cmd.Args[1:]...)
	s.says("Server is ready")
}

func (s *natsServer) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", s.port) }

// seal makes a stream take nothing more, as one that is full does.
func (s *natsServer) seal(stream string) {
	s.t.Helper()
	conn, err := nats.Connect(s.url())
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, stream+" is sealed", func() string {
		found, err := js.Stream(s.t.Context(), stream)
		if err == nil {
			config := found.CachedInfo().Config
			config.Sealed = true
			_, err = js.UpdateStream(s.t.Context(), config)
		}
		if err != nil {
			return err.Error()
		}
		return ""
	})
}
