package bus_test

import (
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"autoresearch/internal/testca"
	"autoresearch/pkg/bus"
)

// startTLS starts a server with a certificate of the authority; verify has it ask clients for one too.
func startTLS(t *testing.T, authority *testca.Authority, verify bool) *server.Server {
	t.Helper()
	cert, key := authority.Issue(t.TempDir())
	config, err := server.GenTLSConfig(&server.TLSConfigOpts{CertFile: cert, KeyFile: key, CaFile: authority.File, Verify: verify})
	if err != nil {
		t.Fatal(err)
	}
	config.MinVersion = tls.VersionTLS12
	return startPlain(t, &server.Options{JetStream: true, StoreDir: t.TempDir(), TLS: true, TLSTimeout: 5, TLSVerify: verify, TLSConfig: config})
}

// wantTLSRefused: the error says that it is about the TLS files. A server that refuses a certificate may close before its
// word is read, and is asked again.
func wantTLSRefused(t *testing.T, o bus.Options) {
	t.Helper()
	o.Logger, o.Retry, o.ReconnectWait = quiet(), true, time.Millisecond
	_, err := bus.Connect(t.Context(), o)
	if !errors.Is(err, bus.ErrCredentials) {
		t.Fatal(err)
	}
	wantExplained(t, err, "TLS files")
}

func TestConnectWithTLS(t *testing.T) {
	authority, other := testca.New(t), testca.New(t)
	s := startTLS(t, authority, false)
	connect(t, bus.Options{URL: s.ClientURL(), TLSCA: authority.File})
	wantTLSRefused(t, bus.Options{URL: s.ClientURL()})
	wantTLSRefused(t, bus.Options{URL: s.ClientURL(), TLSCA: other.File})
}

// TestConnectWithACertificate: to a server that asks clients for a certificate of its authority.
func TestConnectWithACertificate(t *testing.T) {
	authority, other := testca.New(t), testca.New(t)
	s := startTLS(t, authority, true)
	o := bus.Options{URL: s.ClientURL(), TLSCA: authority.File}
	wantTLSRefused(t, o)
	o.TLSCert, o.TLSKey = other.Issue(t.TempDir())
	wantTLSRefused(t, o)
	o.TLSCert, o.TLSKey = authority.Issue(t.TempDir())
	connect(t, o)
}
