package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCommandFromTaskFile runs the command as the engine does.
func TestCommandFromTaskFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	env := map[string]string{
		"AUTORESEARCH_TASK_FILE":   filepath.Join(dir, "task.json"),
		"AUTORESEARCH_RESULT_FILE": filepath.Join(dir, "result.json"),
	}
	task := `{"id":"e1","priority":0,"kind":"experiment","payload":{"hidden":16,"context":2,"embedding":4}}`
	if err := os.WriteFile(env["AUTORESEARCH_TASK_FILE"], []byte(task), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	args := []string{"--budget", "1.3e8", "--hidden", "8"}
	if status := command(t.Context(), args, func(name string) string { return env[name] }, &stdout, &stderr); status != exitDone {
		t.Fatalf("status %d: %s", status, &stderr)
	}
	want := defaultParams()
	want.Hidden, want.Context, want.Embedding = 8, 2, 4 // the flag overrides the payload
	r := mustReadResult(t, env["AUTORESEARCH_RESULT_FILE"])
	if r.Output.Params != want {
		t.Errorf("ran %+v, want %+v", r.Output.Params, want)
	}
	if bits := r.Metrics["val_bpb"]; bits <= 0 || bits > 8 {
		t.Errorf("val_bpb is %g", bits)
	}
	if !strings.Contains(stdout.String(), " val_bpb=") {
		t.Errorf("no val_bpb in the progress:\n%s", &stdout)
	}
}

func TestCommandStatus(t *testing.T) {
	t.Parallel()
	stopped, stop := context.WithCancel(t.Context())
	stop()
	for _, test := range []struct {
		name   string
		args   []string
		env    string // AUTORESEARCH_TASK_FILE
		ctx    context.Context
		status int
		says   string
	}{
		{name: "help", args: []string{"--help"}, status: exitDone, says: "Examples:"},
		{name: "range", args: []string{"--lr", "9"}, status: exitUsage, says: "want a number from 1e-05 to 2"},
		{name: "flag", args: []string{"--dropout", "1"}, status: exitUsage, says: "dropout"},
		{name: "argument", args: []string{"lr=1"}, status: exitUsage, says: `"lr=1"`},
		{name: "payload", args: []string{"--payload", `{"x":1}`}, status: exitUsage, says: "payload.x"},
		{name: "budget", args: []string{"--budget", "5"}, status: exitUsage, says: "budget"},
		{name: "task", env: "no/such/file", status: exitUsage, says: "task file"},
		{name: "signal", ctx: stopped, status: exitFailed, says: "stopped after 0 steps"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ctx := test.ctx
			if ctx == nil {
				ctx = t.Context()
			}
			getenv := func(name string) string { return map[string]string{"AUTORESEARCH_TASK_FILE": test.env}[name] }
			var both bytes.Buffer
			if status := command(ctx, test.args, getenv, &both, &both); status != test.status {
				t.Errorf("status %d, want %d", status, test.status)
			}
			if !strings.Contains(both.String(), test.says) {
				t.Errorf("it does not say %q:\n%s", test.says, &both)
			}
		})
	}
}
