package bus_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"autoresearch/pkg/bus"
)

// selfSigned returns a certificate for 127.0.0.1 that is its own authority, and the path of its PEM file.
func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, path
}

func TestConnectWithTLS(t *testing.T) {
	certificate, authority := selfSigned(t)
	s := startPlain(t, &server.Options{
		JetStream: true, StoreDir: t.TempDir(), TLS: true, TLSTimeout: 5,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
	})
	connect(t, bus.Options{URL: s.ClientURL(), TLSCA: authority})
	_, other := selfSigned(t)
	for name, o := range map[string]bus.Options{"no authority": {}, "another authority": {TLSCA: other}} {
		o.URL, o.Logger = s.ClientURL(), quiet()
		_, err := bus.Connect(t.Context(), o)
		if !errors.Is(err, bus.ErrCredentials) {
			t.Fatalf("%s: %v", name, err)
		}
		wantExplained(t, err, "TLS files")
	}
}
