//go:build linux

package e2e

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestSummary prints the report of a workdir before any run, in the middle of one, and after it, and changes nothing.
func TestSummary(t *testing.T) {
	t.Parallel()
	s := newSearch(t, 1, append(tasks(1, "done%d", payload{"loss": 0.5}), tasks(1, "held%d", payload{"gate": "go", "loss": 1})...), "")
	summary := func() string {
		t.Helper()
		p := start(t, "autoresearch", "summary", s.workdir.dir)
		p.wantExit(0)
		return p.output.String()
	}
	if err := os.MkdirAll(s.workdir.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if text := summary(); !strings.HasPrefix(text, "#") {
		t.Errorf("the summary of an empty folder:\n%s", text)
	}
	if left := s.workdir.contents(); len(left) > 0 {
		t.Errorf("the summary left %v", left)
	}
	engine := s.begin()
	s.lab.awaitEnded(1)
	s.lab.awaitRunning(1)
	s.workdir.awaitState("held1 runs", func(now state) string {
		if len(now.Running) != 1 || now.Running[0].ID != "held1" {
			return "not yet"
		}
		return ""
	})
	if text := summary(); !strings.HasPrefix(text, "#") || !strings.Contains(text, "running") {
		t.Errorf("the summary in mid run:\n%s", text)
	}
	s.lab.open("go")
	engine.wantExit(0)
	before := s.workdir.contents()
	text := summary()
	for _, word := range []string{"stopped", "done1", "held1", "0.5"} {
		if !strings.Contains(text, word) {
			t.Errorf("the summary does not say %q:\n%s", word, text)
		}
	}
	if report := s.workdir.read("report.md"); report != text {
		t.Errorf("report.md differs from the summary:\n%s\n--- summary ---\n%s", report, text)
	}
	s.workdir.wantUnchanged(before)
	start(t, "autoresearch", "summary", s.workdir.dir+"/none").wantRefusal("none", "no such folder")
}

// TestValidate checks workflow files without a run.
func TestValidate(t *testing.T) {
	t.Parallel()
	lab := newLab(t)
	good := lab.workflow(3, tasks(2, "t%d", payload{}), "stop: {max_experiments: 9}")
	p := start(t, "autoresearch", "workflow", "validate", good)
	p.wantExit(0)
	p.wantSaid("is valid", "lowest loss", "2 initial specs", "9 experiments")
	p = start(t, "autoresearch", "workflow", "validate", good, "stop.max_experiments=4", "-o", "json")
	p.wantExit(0)
	p.wantSaid(`"valid":true`, `"stop.max_experiments":"4"`)

	bad := lab.write("bad.yaml", "name: e2e\nkinds:\n  default: {comand: [x], timeout: soon}\ninitial: [{kind: other}]\n")
	start(t, "autoresearch", "workflow", "validate", bad).wantRefusal("bad.yaml:3:13", "did you mean command", "timeout", `"soon"`,
		"bad.yaml:4:", "a spec has an id")
	start(t, "autoresearch", "workflow", "validate", lab.dir+"/none.yaml").wantRefusal("none.yaml", "no such file")
}

// TestHelp asks every command for help: each says what it is for and shows how it is called.
func TestHelp(t *testing.T) {
	t.Parallel()
	commands := [][]string{{"coordinator"}, {"worker"}}
	for _, command := range append([]string{""}, commandsOf(t)...) {
		commands = append(commands, append([]string{"autoresearch"}, strings.Fields(command)...))
	}
	for _, command := range commands {
		p := start(t, command[0], append(command[1:], "--help")...)
		p.wantExit(0)
		p.wantSaid("Usage:", "Examples:")
	}
}

// listed is a line of a help text that lists a command, under a heading of its own or under Available Commands.
var listed = regexp.MustCompile(`(?m)^  ([a-z][a-z-]*)  +[A-Z]`)

// commandsOf returns the commands of autoresearch that its help lists, and those that the help of each of these lists.
func commandsOf(t *testing.T, parents ...string) (commands []string) {
	t.Helper()
	p := start(t, "autoresearch", append(parents, "--help")...)
	p.wantExit(0)
	for _, m := range listed.FindAllStringSubmatch(p.output.String(), -1) {
		if name := m[1]; name != "help" && name != "completion" {
			path := append(slices.Clone(parents), name)
			commands = append(append(commands, strings.Join(path, " ")), commandsOf(t, path...)...)
		}
	}
	if len(parents) == 0 && len(commands) < 20 {
		t.Fatalf("the help lists only %v", commands)
	}
	return commands
}

// TestUsage calls the programs the wrong way: exit code 2 where flags or arguments are wrong, 1 where what they name is, and
// a word on it.
func TestUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code  int
		args  []string
		words []string
	}{
		{2, []string{"autoresearch", "engine"}, []string{"workdir"}},
		{2, []string{"autoresearch", "engine", "--workdir", "d", "w.yaml"}, []string{"w.yaml", "--"}},
		{1, []string{"autoresearch", "engine", "--workdir", "d", "--workflow", "none.yaml"}, []string{"none.yaml", "no such file"}},
		{1, []string{"autoresearch", "engine", "--workdir", "d"}, []string{"which workflow", "--workflow FILE"}},
		{2, []string{"autoresearch", "engine", "--workdri", "d"}, []string{"--workdri"}},
		{2, []string{"autoresearch", "engine", "--workdir", "d", "--max-concurrency", "-1"}, []string{"--max-concurrency", "-1", "at least 1"}},
		{2, []string{"autoresearch", "sumary"}, []string{"sumary"}},
		{2, []string{"autoresearch", "workflow", "check"}, []string{`unknown command "check"`}},
		{2, []string{"coordinator", "--workdir", "d", "--max-concurrency", "-1"}, []string{"--max-concurrency", "-1", "at least 1"}},
		{2, []string{"worker"}, []string{"dir"}},
		{2, []string{"worker", "--dir", "d", "more"}, []string{"more"}},
		{2, []string{"worker", "--dir", "d", "--slots", "none"}, []string{"--slots", `"none"`, "CLASS=N"}},
	} {
		p := start(t, c.args[0], c.args[1:]...)
		p.wantExit(c.code)
		p.wantSaid(c.words...)
	}
}
