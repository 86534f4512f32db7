package manifests

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestNATSTakesItsConfiguration has a nats-server read the configuration of each build, warnings being errors.
func TestNATSTakesItsConfiguration(t *testing.T) {
	t.Parallel()
	dirs := builds(t)
	server := filepath.Join(t.TempDir(), "nats-server")
	quietly(t, "go", "build", "-o", server, "github.com/nats-io/nats-server/v2")
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			_, objects := build(t, dir)
			if named(objects, "StatefulSet")["nats"] == nil {
				return // it has a NATS of its own
			}
			config := lay(t, objects)
			cmd := exec.CommandContext(t.Context(), server, "-t", "-c", filepath.Join(config, "nats.conf"))
			cmd.Env = append(os.Environ(), "POD_NAME=nats-0")
			out, err := cmd.CombinedOutput()
			if err != nil || regexp.MustCompile(`\[(WRN|ERR|FTL)\]|deprecated`).Match(out) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// lay writes the ConfigMap of NATS into a folder, with what Secrets would bring.
func lay(t *testing.T, objects []object) (dir string) {
	t.Helper()
	dir = t.TempDir()
	files := map[string]string{"auth.conf": "# as a Secret would bring it\n"}
	for name, o := range named(objects, "ConfigMap") {
		if strings.HasPrefix(name, "nats-config-") {
			for file, text := range o["data"].(object) {
				files[file] = strings.ReplaceAll(text.(string), "/etc/nats-tls", dir)
			}
		}
	}
	if files["nats.conf"] == "" {
		t.Fatal("there is no nats.conf")
	}
	cert, key := certificate(t)
	files["tls.crt"], files["ca.crt"], files["tls.key"] = cert, cert, key
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// certificate returns a self-signed certificate and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, data []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}))
	}
	return text("CERTIFICATE", signed), text("PRIVATE KEY", secret)
}
