//go:build linux

package e2e

import (
	"bytes"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecrets: experiments get the secrets of their kind, from the worker's environment and from its files, and nothing that we
// store, print or serve ever holds them.
func TestSecrets(t *testing.T) {
	t.Parallel()
	const fromEnv, fromFile = "sesame-of-the-environment", "sesame-of-the-file"
	f := newFleet(t, 2, nil)
	secretFile := f.lab.write("token", fromFile+"\n")
	f.workflow = f.lab.write("secrets.yaml", `
name: secrets
kinds:
  open:
    command: [/bin/sh, -c, 'test ${#HF_TOKEN} = 25 && test ${#WANDB} = 18 && echo "[autoresearch] opened=1"']
    secrets: {HF_TOKEN: {env: HIDDEN_TOKEN}, WANDB: {file: `+secretFile+`}}
  shut:
    command: [/bin/sh, -c, 'exit 0']
    secrets: {API_KEY: {env: NOT_SET_ANYWHERE}}
initial:
  - {id: opens, kind: open}
  - {id: stays-shut, kind: shut}
`)
	workerDir, w := f.newWorkerDir(), newWorkdir(t)
	worker := startWith(t, t.TempDir(), []string{"HIDDEN_TOKEN=" + fromEnv},
		"worker", "--nats", f.nats.url(), "--dir", workerDir, "--slots", "2", "--log-level", "debug")
	coordinator := f.daemon("coordinator", "--workflow", f.workflow, "--workdir", w.dir, "--log-level", "debug")
	coordinator.awaitRole("leader")
	served := ""
	for task, want := range map[string]string{"opens": "completed", "stays-shut": "secret API_KEY: the worker's environment has no NOT_SET_ANYWHERE"} {
		eventually(t, task+" says "+want, func() string {
			said := ask(t, "show", task, "-o", "json", "--server", coordinator.url)
			if !strings.Contains(said, want) {
				return said
			}
			served += said
			return ""
		})
	}
	for _, page := range []string{"/metrics", "/api/v1/runs", "/api/v1/runs/secrets/workers", "/api/v1/runs/secrets/tree",
		"/api/v1/runs/secrets/snapshot", "/api/v1/runs/secrets/history", "/api/v1/runs/secrets/tasks/opens"} {
		code, body := coordinator.get(page)
		if code != http.StatusOK {
			t.Errorf("%s: %d %s", page, code, body)
		}
		served += body
	}
	served += worker.String() + coordinator.String()
	for _, value := range []string{fromEnv, fromFile} {
		if strings.Contains(served, value) {
			t.Errorf("%s is in what is printed or served", value)
		}
		for _, dir := range []string{f.nats.store, w.dir, workerDir} {
			if where := holding(t, dir, value); where != "" {
				t.Errorf("%s holds %s", where, value)
			}
			if holding(t, dir, "opens") == "" {
				t.Errorf("nothing in %s names the task: was it looked through?", dir)
			}
		}
	}
}

// holding returns a file below dir that holds text; "" when none does.
func holding(t *testing.T, dir, text string) (path string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(at string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(at)
		if bytes.Contains(content, []byte(text)) {
			path = at
			return fs.SkipAll
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) { // the worker tidies up meanwhile
		t.Fatal(err)
	}
	return path
}
