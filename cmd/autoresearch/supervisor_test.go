package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"autoresearch/pkg/snapshot"
)

// TestSupervisor starts a scripted claude that writes down what it is given.
func TestSupervisor(t *testing.T) { // not parallel: it sets PATH
	workdir, bin := t.TempDir(), t.TempDir()
	file := filepath.Join(t.TempDir(), "w.yaml")
	text := "objective: {metric: loss, direction: minimize}\nkinds: {default: {command: [/bin/true]}}\nspace: {lr: {float: [0, 1]}}\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	if out, code := said(t, "", "supervisor", workdir); code != 1 || !strings.Contains(out, "does not say which workflow") {
		t.Errorf("a workdir of nothing: %d, %s", code, out)
	}
	if err := os.WriteFile(filepath.Join(workdir, "workflow.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := snapshot.WriteFactory(workdir, snapshot.Factory{Spec: "command", Workflow: file, Dir: filepath.Dir(file)}); err != nil {
		t.Fatal(err)
	}
	if out, code := said(t, "", "supervisor", workdir); code != 1 || !strings.Contains(out, "neither claude nor codex is installed") {
		t.Errorf("without an agent: %d, %s", code, out)
	}
	if out, code := said(t, "", "supervisor", workdir, "--agent", "cursor"); code != 2 || !strings.Contains(out, "must be claude or codex") {
		t.Errorf("an agent that is not known: %d, %s", code, out)
	}
	script := "#!/bin/sh\nfor a in \"$@\"; do echo \"<$a>\"; done\nexit 7\n"
	if err := os.WriteFile(filepath.Join(bin, "claude"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	out, code := said(t, "", "supervisor", workdir, "--read-only", "--", "--model", "best")
	if code != 7 {
		t.Errorf("it ended with %d, the agent with 7", code)
	}
	for _, want := range []string{
		"<You supervise a search by experiments", "Workdir: " + workdir, "the lowest loss", "- objective: minimize loss", "Ask the person for: stop",
		" engine --workdir " + workdir, "You may only look", "<--mcp-config>", `"args":["mcp","--server","` + workdir + `","--read-only"]`,
		"<--model>\n<best>",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the agent was not given %q:\n%s", want, out)
		}
	}
	if out, code := said(t, "", "supervisor", workdir, "--print"); code != 0 || !strings.Contains(out, `{"mcpServers":{"autoresearch":{"args":["mcp"`) {
		t.Errorf("--print: %d, %s", code, out)
	}
	if out, code := said(t, "", "supervisor", workdir, "--agent", "codex"); code != 1 || !strings.Contains(out, "no codex on PATH") {
		t.Errorf("an agent that is not installed: %d, %s", code, out)
	}
	argv, err := codexArgv("go", []string{"/bin/a b", "mcp"})
	if want := `-c mcp_servers.autoresearch.command="/bin/a b" -c mcp_servers.autoresearch.args=["mcp"] go`; err != nil || strings.Join(argv, " ") != want {
		t.Errorf("codex %q, %v", argv, err)
	}
}
