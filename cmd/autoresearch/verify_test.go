package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"autoresearch/internal/cli"
	"autoresearch/pkg/verify"
)

// searched is a workdir whose search has ended, with two experiments.
func searched(t *testing.T) (workdir string) {
	t.Helper()
	dir := t.TempDir()
	workdir = filepath.Join(dir, "run")
	file := filepath.Join(dir, "workflow.yaml")
	text := "name: tiny\nkinds:\n  default: {command: [/bin/true]}\ninitial: [{id: a}, {id: b}]\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := root()
	cmd.SetArgs([]string{"engine", "--workflow", file, "--workdir", workdir, "--log-level", "error"})
	if code := cli.Main(cmd); code != 0 {
		t.Fatalf("the engine's exit code is %d", code)
	}
	return workdir
}

// runVerify runs the command and returns its exit code and output.
func runVerify(args ...string) (code int, out string) {
	var b bytes.Buffer
	cmd := root()
	cmd.SetArgs(append([]string{"verify"}, args...))
	cmd.SetOut(&b)
	cmd.SetErr(io.Discard)
	return cli.Main(cmd), b.String()
}

func TestVerifyAWorkdir(t *testing.T) {
	t.Parallel()
	workdir := searched(t)
	for range 2 { // it changes nothing
		code, out := runVerify(workdir, "-o", "json")
		var r verify.Report
		if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
			t.Fatalf("exit code %d, %v: %s", code, err, out)
		}
		if r.Run != "tiny" || r.Counts.Completed != 2 || r.Counts.Executions != 2 || len(r.Violations)+len(r.Doubts)+len(r.Unjudged) != 0 {
			t.Errorf("report %s", out)
		}
	}
	state := filepath.Join(workdir, "engine_state.json")
	text, err := os.ReadFile(state)
	if err == nil {
		err = os.WriteFile(state, append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	code, out := runVerify(workdir)
	if code != 1 || !strings.Contains(out, "1 promise is broken") || !strings.Contains(out, "I6  engine_state.json: ") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

func TestVerifyUsage(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	for _, test := range []struct {
		want int
		args []string
	}{
		{2, nil}, {2, []string{"a", "b"}}, {2, []string{empty, "-o", "yaml"}}, {2, []string{"--no-such-flag"}},
		{2, []string{"--nats", "nats://127.0.0.1:1"}}, {2, []string{"--worker-dir", filepath.Join(empty, "none"), empty}},
		{1, []string{empty}}, {1, []string{filepath.Join(empty, "none")}}, {1, []string{"--nats", "nats://127.0.0.1:1", "--run", "r"}},
	} {
		if code, out := runVerify(test.args...); code != test.want || out != "" {
			t.Errorf("%v: exit code %d, want %d: %s", test.args, code, test.want, out)
		}
	}
}
