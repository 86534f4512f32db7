package bus_test

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"autoresearch/pkg/bus"
)

// wantExplained checks that an error says each of the words: what is wrong, where, and what to do.
func wantExplained(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
}

func TestEmbeddedServesInProcessAndOverTCP(t *testing.T) {
	e := startServer(t, bus.EmbeddedOptions{})
	inside, err := e.Connect(t.Context(), "inside")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := inside.Close(); err != nil {
			t.Error(err)
		}
	}()
	outside := connect(t, bus.Options{URL: e.ClientURL()})
	for _, c := range []*bus.Conn{inside, outside} {
		if c.MaxPayload() != bus.MaxPayloadDefault || !c.Connected() {
			t.Errorf("max payload %d, connected %v", c.MaxPayload(), c.Connected())
		}
		if rtt, err := c.RTT(t.Context()); err != nil || rtt <= 0 {
			t.Errorf("round trip %v, error %v", rtt, err)
		}
	}
}

func TestEmbeddedPortInUse(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	})
	port := listener.Addr().(*net.TCPAddr).Port
	_, err = bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: t.TempDir(), Port: port, Logger: quiet()})
	wantExplained(t, err, listener.Addr().String(), "another port")
}

func TestEmbeddedStoreIsLocked(t *testing.T) {
	dir := t.TempDir()
	first, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: dir, Port: -1, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: dir, Port: -1, Logger: quiet()})
	wantExplained(t, err, dir, "in use", "another directory")
	shutDown(t, first)
	shutDown(t, first) // again: nothing
	startServer(t, bus.EmbeddedOptions{StoreDir: dir})
}

func TestEmbeddedStoreCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: filepath.Join(file, "store"), Port: -1, Logger: quiet()})
	wantExplained(t, err, "store", "can be written")
	_, err = bus.StartEmbedded(bus.EmbeddedOptions{Port: -1, Logger: quiet()})
	wantExplained(t, err, "no store directory")
}

// The server itself finds some faults only after it began to start.
func TestEmbeddedStartFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "jetstream"), []byte("a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: dir, Port: -1, Logger: quiet()})
	wantExplained(t, err, "embedded NATS", "JetStream")
	if err := os.Remove(filepath.Join(dir, "jetstream")); err != nil {
		t.Fatal(err)
	}
	startServer(t, bus.EmbeddedOptions{StoreDir: dir}) // the failed start holds no lock
}

func TestEmbeddedPassword(t *testing.T) {
	e := startServer(t, bus.EmbeddedOptions{Username: "u", Password: "secret", SyncAlways: true})
	inside, err := e.Connect(t.Context(), "inside")
	if err != nil {
		t.Fatal(err)
	}
	if err := inside.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("secret\r\nnote"), 0o600); err != nil {
		t.Fatal(err)
	}
	connect(t, bus.Options{URL: e.ClientURL(), User: "u", PasswordFile: file})
	for _, o := range []bus.Options{
		{URL: e.ClientURL(), Logger: quiet()},
		{URL: e.ClientURL(), User: "u", Password: "wrong", Logger: quiet()},
	} {
		_, err := bus.Connect(t.Context(), o)
		if !errors.Is(err, bus.ErrCredentials) {
			t.Errorf("connected with %q: %v", o.Password, err)
		}
	}
}

// TestEmbeddedSaysWhereItListens: whoever finds the store in use finds the server; one that only its process reaches is
// not found.
func TestEmbeddedSaysWhereItListens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: dir, Port: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if url, err := bus.EmbeddedURL(dir); err != nil || url != server.ClientURL() {
		t.Errorf("it listens at %s; the store says %q, %v", server.ClientURL(), url, err)
	}
	if _, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: dir, InProcess: true}); !errors.Is(err, bus.ErrStoreInUse) {
		t.Errorf("a second server on the store: %v", err)
	}
	if err := server.Shutdown(); err != nil {
		t.Fatal(err)
	}
	server, err = bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: dir, InProcess: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := server.Connect(t.Context(), "test")
	if err == nil {
		err = conn.Close()
	}
	if err != nil {
		t.Errorf("connect within the process: %v", err)
	}
	if url, err := bus.EmbeddedURL(dir); err == nil {
		t.Errorf("the store says that it listens at %q", url)
	}
	if err := server.Shutdown(); err != nil {
		t.Fatal(err)
	}
}
