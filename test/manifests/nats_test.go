package manifests

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"autoresearch/internal/testca"
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
			if text, err := os.ReadFile(filepath.Join(config, "nats.conf")); err != nil || !regexp.MustCompile(`(?m)^\s*sync_interval: always$`).Match(text) {
				t.Errorf("what NATS acknowledges is not synced (%v)", err)
			}
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
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	authority := testca.New(t)
	authority.Issue(dir)
	if err := os.Link(authority.File, filepath.Join(dir, "ca.crt")); err != nil {
		t.Fatal(err)
	}
	return dir
}
