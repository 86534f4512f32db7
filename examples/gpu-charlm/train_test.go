// Package gpucharlm holds the test of what train.py does without a GPU and without PyTorch.
package gpucharlm

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// dryRun runs train.py as a worker would, up to where PyTorch is needed, and returns what it said.
func dryRun(t *testing.T, payload string) (stdout, stderr string, code int) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not there: what train.py needs of it is not tested")
	}
	task := filepath.Join(t.TempDir(), "task.json")
	text := `{"id": "t", "priority": 0, "kind": "experiment", "payload": ` + payload + `}`
	if err := os.WriteFile(task, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, err2 strings.Builder
	cmd := exec.CommandContext(t.Context(), python, "-B", "train.py", "--dry-run")
	cmd.Env = append(os.Environ(), "AUTORESEARCH_TASK_FILE="+task)
	cmd.Stdout, cmd.Stderr = &out, &err2
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), err2.String(), cmd.ProcessState.ExitCode()
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	out, complaint, code := dryRun(t, `{"layers": 2, "lr": 0.003, "schedule": "linear"}`)
	if code != 0 || !strings.HasPrefix(out, "[autoresearch] steps=") || !strings.Contains(out, "bytes=567198") {
		t.Errorf("exit status %d, %q, %q", code, out, complaint)
	}
	small, _, _ := dryRun(t, `{"width": 64}`)
	if large, _, _ := dryRun(t, `{"width": 512}`); small == large {
		t.Errorf("a larger model takes as many steps: %q", large)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]string{
		`{"depth": 3}`:               "'depth'",
		`{"layers": 2.5}`:            "'layers'",
		`{"lr": "high"}`:             "'lr'",
		`{"schedule": "step"}`:       "'schedule'",
		`{"width": 100, "heads": 3}`: "'width'",
		`{"batch": 1000000}`:         "'batch'",
		`{"layers": true}`:           "'layers'",
		`[`:                          "gpu-charlm",
	} {
		if _, complaint, code := dryRun(t, payload); code != 2 || !strings.Contains(complaint, want) {
			t.Errorf("%s: exit status %d, %q", payload, code, complaint)
		}
	}
}
