package worker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"autoresearch/pkg/spec"
)

// TestSecretsThatCannotBeHad: an experiment does not begin without its secrets, and what is said names them and the remedy,
// never a value.
func TestSecretsThatCannotBeHad(t *testing.T) {
	t.Parallel()
	const value = "hunter2"
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good": value + "\r\n", "empty": "\n", "zero": value + "\x00", "long": value + strings.Repeat("x", secretMax),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name string) spec.Secret { return spec.Secret{Name: "TOKEN", File: filepath.Join(dir, name)} }
	if env, err := secrets(&spec.Recipe{Secrets: []spec.Secret{file("good")}}); err != nil || env[0] != "TOKEN="+value {
		t.Errorf("a good one: %q, %v", env, err)
	}
	for want, s := range map[string]spec.Secret{
		"has no NOT_SET_ANYWHERE":     {Name: "TOKEN", Env: "NOT_SET_ANYWHERE"},
		"are the worker's own":        {Name: "TOKEN", Env: "AUTORESEARCH_NATS_PASSWORD"},
		"has no file " + dir + "/no":  file("no"),
		"is not a regular file":       file("."),
		"/empty is empty":             file("empty"),
		"holds a zero byte":           file("zero"),
		"has more than 65536 bytes":   file("long"),
		"is not an absolute path":     {Name: "TOKEN", File: "good"},
		"say where the worker finds ": {Name: "TOKEN"},
	} {
		_, err := secrets(&spec.Recipe{Secrets: []spec.Secret{s}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "secret TOKEN: ") ||
			strings.Contains(err.Error(), value) {
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
	}
}
