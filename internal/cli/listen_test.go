package cli

import (
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"autoresearch/internal/auth"
	"autoresearch/pkg/bus"
)

// TestListenWithKeys: the server asks for the keys of a directory of credentials, and lets the program in with its own.
func TestListenWithKeys(t *testing.T) {
	t.Parallel()
	keys := filepath.Join(t.TempDir(), "auth")
	d, err := auth.Open(keys)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Init(auth.TLSPaths{}, false); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	f := ListenFlags{Address: freeAddress(t), Credentials: keys}
	server, err := f.Start(t.TempDir(), log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
	}()
	own, err := server.Connect(t.Context(), "own")
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.NewResults(own, "r", bus.StreamOptions{}).Ensure(t.Context()); err != nil {
		t.Error(err)
	}
	worker := NATSFlags{URL: "nats://" + f.Address, NKeySeed: d.Seed(auth.User{Role: auth.RoleWorker, Group: auth.GroupDefault})}
	other, err := bus.Connect(t.Context(), worker.Options("worker", log))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(own.Close(), other.Close()); err != nil {
		t.Error(err)
	}
	nobody := NATSFlags{URL: worker.URL}
	if _, err := bus.Connect(t.Context(), nobody.Options("nobody", log)); !errors.Is(err, bus.ErrCredentials) {
		t.Errorf("without a key: %v", err)
	}
	if group := worker.Group(); group != auth.GroupDefault {
		t.Errorf("the worker's group is %q", group)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String()
}
