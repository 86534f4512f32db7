package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"autoresearch/internal/cli"
	"autoresearch/internal/web"
	"autoresearch/pkg/api"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/bus/bustest"
	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
)

func TestMain(m *testing.M) { bustest.VerifyTestMain(m) }

// fixed is a workflow of given specs whose results have no children.
type fixed []spec.TaskSpec

func (f fixed) Load(context.Context) ([]spec.TaskSpec, error) { return f, nil }

func (f fixed) Checkpoint(context.Context, []spec.TaskSpec, []spec.TaskSpec, spec.Status) error {
	return nil
}

func (f fixed) OnResult(context.Context, spec.TaskSpec, spec.TaskResult) ([]spec.TaskSpec, error) {
	return nil, nil
}

func (f fixed) Summarize(context.Context, string) (string, error) { return "", nil }

// serving runs a coordinator with these tasks and no worker, and returns its workdir.
func serving(t *testing.T, specs ...spec.TaskSpec) (workdir string) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	server, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: t.TempDir(), Port: -1, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := server.Connect(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	workdir = t.TempDir()
	site, err := web.Open(t.Context(), web.Flags{}, workdir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	c, err := coordinator.New(coordinator.Options{
		Conn: conn, Run: "demo", Workflow: fixed(specs), MaxConcurrency: 2, Seed: 1, Logger: quiet, Workdir: workdir,
	})
	if err != nil {
		t.Fatal(err)
	}
	site.Register(c, http.NotFoundHandler())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := c.Run(ctx)
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		for _, err := range []error{<-ended, site.Close(), conn.Close(), server.Shutdown()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; {
		if v, err := c.View(); err == nil && v.Meta().Loaded {
			return workdir
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not lead")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// said runs the program with arguments and returns what it writes and its exit code.
func said(t *testing.T, stdin string, args ...string) (out string, code int) {
	t.Helper()
	cmd := root()
	var b bytes.Buffer
	cmd.SetOut(&b)
	cmd.SetErr(&b)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	if err != nil {
		fmt.Fprintf(&b, "error: %v\n", err)
	}
	return b.String(), cli.ExitCode(err)
}

func probe(id, parent string, priority float64) spec.TaskSpec {
	return spec.TaskSpec{
		ID: spec.TaskID(id), Kind: spec.KindDefault, Parent: spec.TaskID(parent), Priority: priority, Payload: spec.Payload(`{"lr": 0.1}`),
	}
}

// TestCommands runs every command against a run that nobody works on.
func TestCommands(t *testing.T) {
	t.Parallel()
	dir := serving(t, probe("a", "", 1), probe("b", "a", 2), probe("c", "b", 3), probe("d", "", 4))
	server := []string{"--server", dir}
	for i, test := range []struct {
		args  string
		stdin string
		code  int
		want  []string // what the output has
		not   string
	}{
		{"status DIR", "", 0, []string{"run        demo", "running", "4 queued", "class      cpu: 0 slots", "budget     2"}, ""},
		{"status -o json", "", 0, []string{`"queued": 4`, `"name": "demo"`}, ""},
		{"status -o yaml", "", 0, []string{"name: demo", "  queued: 4"}, "{"},
		{"status -o xml", "", 2, []string{"must be one of table, wide, json, yaml"}, ""},
		{"list DIR", "", 0, []string{"ID  STATUS  PRIORITY", "a   queued  1", "d   queued  4"}, ""},
		{"list --sort -seq --limit 1 -o wide", "", 0, []string{"d   queued", "KIND", "default", "the first 1; -n 0"}, "a "},
		{"list -n 4", "", 0, []string{"d   queued"}, "-n 0"},
		{"list --status failed", "", 0, []string{"ID"}, "queued"},
		{"list --status happy", "", 1, []string{"parameter status"}, ""},
		{"list --parent a -o json", "", 0, []string{`"id": "b"`}, `"id": "c"`},
		{"show c", "", 0, []string{"status     queued", "below      a > b", "waits      no worker offers slots of class cpu", "place      3", `payload    {"lr":0.1}`}, ""},
		{"show nobody", "", 3, []string{"no task \"nobody\""}, ""},
		{"tree DIR", "", 0, []string{". a\n    . b\n        . c\n. d\n"}, ""},
		{"tree b --depth 1", "", 0, []string{". b\n    ... 1 below\n"}, ". c"},
		{"tree nobody", "", 3, nil, ""},
		{"report DIR", "", 0, []string{"# Search", "| queued | 4 |"}, ""},
		{"report DIR --file master_table.tsv", "", 0, []string{"\tqueued\t"}, ""},
		{"report --file x", "", 2, []string{"must be one of report.md"}, ""},
		{"bump d --dry-run", "", 0, []string{"dry run", "4"}, ""},
		{"bump d -m promising", "", 0, []string{"d   1        queued  0"}, ""},
		{"bump b --to 9 --subtree", "", 0, []string{"b   2        queued  9"}, ""},
		{"bump b nobody --to 10", "", 3, []string{"b       1", "no task"}, ""},
		{"cancel b --subtree", "", 2, []string{"say --yes"}, ""},
		{"cancel b --subtree --dry-run", "", 0, []string{"b   2"}, ""},
		{"cancel b --subtree --yes -m done", "", 0, []string{"b   2        cancel"}, ""},
		{"watch b c", "", 1, []string{"2 of 2 tasks failed"}, ""},
		{"cancel b --yes", "", 4, []string{"finished"}, ""},
		{"show b", "", 0, []string{", before it began\n", "failure    interrupted in runner cancelled"}, "after"},
		{"list --status cancelled", "", 0, []string{"b   cancelled", "done"}, ""},
		{"retry b", "", 0, []string{"b~r1  b"}, ""},
		{"retry b", "", 0, []string{"b~r1  b", "there already"}, ""},
		{"retry a", "", 4, []string{"queued"}, "RETRIES"},
		{"retry a b nobody", "", 4, []string{"-     a        task \"a\" is queued", "b~r1  b        it was there already", "no task"}, ""},
		{"retry a b -o json", "", 4, []string{`"retry_of": "a"`, `"code": "task_not_failed"`, `"task": "b~r1"`}, ""},
		{"retry c --id again --priority -3", "", 0, []string{"again  c"}, ""},
		{"pause DIR -m lunch", "", 0, []string{"paused"}, ""},
		{"pause --class gpuu", "", 1, []string{"none of cpu"}, ""},
		{"pause --if-version 1", "", 4, []string{"changed"}, ""},
		{"resume", "", 0, []string{"status     running\n"}, ""},
		{"budget", "", 0, []string{"(all)  2"}, ""},
		{"budget 7 --dry-run", "", 0, []string{"dry run", "budget     2"}, ""},
		{"budget 7", "", 0, []string{"budget     7"}, ""},
		{"submit --id idea --max-cost 50 --max-experiments 4", "", 0, []string{"1 accepted"}, ""},
		{"show idea", "", 0, []string{"allowance  with all below it: 0 of cost 50 spent (0 %), 0 of 4 experiments begun (0 %)"}, ""},
		{"allow idea --max-cost 80", "", 0, []string{"run        demo"}, ""},
		{"show idea", "", 0, []string{"0 of cost 80 spent (0 %), 0 of 4 experiments begun (0 %)"}, ""},
		{"allow --max-gpu-hours 20", "", 0, []string{"0 of 20 GPU-hours spent (0 %)"}, ""},
		{"allow", "", 2, []string{"name what may be spent"}, ""},
		{"allow nobody --max-cost 5", "", 3, []string{"nobody"}, ""},
		{"budget -- -1", "", 2, nil, ""},
		{"budget 1 --class cpu", "", 0, []string{"at most 1 at once"}, ""},
		{"workers", "", 0, []string{"WORKER"}, ""},
		{"submit --id e --payload {} --priority 5", "", 0, []string{"1 accepted, 0 there already, 0 refused"}, ""},
		{"submit --id e --payload {} --priority 5", "", 0, []string{"0 accepted, 1 there already"}, ""},
		{"submit --id e --payload {\"x\":1}", "", 4, []string{"e", "refused", "another id"}, ""},
		{"submit --id f --payload {", "", 2, []string{"--payload"}, ""},
		{"submit", "", 2, []string{"--id"}, ""},
		{"submit -", `[{"id":"l1"},{"id":"l2"}]`, 0, []string{"2 accepted"}, ""},
		{"submit -", "{\"id\":\"j1\"}\n\n{\"id\":\"j2\",\"payload\":{\"x\":NaN}}\n", 0, nil, "panic"},
		{"submit - --dry-run", `{"queued":[{"id":"s1"}],"running":[{"id":"s2"}]}`, 0, []string{"2 accepted", "dry run"}, ""},
		{"submit -", "{\"id\":\"j1\"}\n{\n", 1, []string{"line 2"}, ""},
		{"events --type change", "", 0, []string{"reprioritise d to 0 by ", "because: promising", "cancel b and below (2 tasks) by", "because: lunch", "retry b~r1 of b"}, "queued"},
		{"events --type task --task e -o json", "", 0, []string{`"id":"e"`, `"new":true`}, ""},
		{"submit --id less --payload {\"a\":\"<b>\"}", "", 0, []string{"1 accepted"}, ""},
		{"show less -o json", "", 0, []string{`"a": "<b>"`}, ""},
		{"events --after 0 -n 3", "", 0, []string{"a leader took over: term 1"}, ""},
		{"events --type nothing", "", 1, []string{"parameter type"}, ""},
		{"watch c", "", 1, []string{"c is cancelled", "1 of 1 tasks failed"}, ""},
		{"export DIR", "", 0, []string{`"node_id":"a"`, `"node_id":"again"`}, ""},
		{"export --format csv", "", 0, []string{"id,parent,status", "a,,queued"}, ""},
		{"export --format xls", "", 2, nil, ""},
		{"snapshot DIR", "", 0, []string{`"status": "running"`, `"id": "again"`}, ""},
		{"top DIR", "", 0, []string{"demo  running", "RUNNING ---", "(none)", "NEXT ---", "again", "WORKERS ---"}, ""},
		{"drain", "", 2, []string{"say --yes"}, ""},
		{"drain --yes --wait", "", 0, []string{"drained"}, ""},
		{"status -r other", "", 3, nil, ""},
		{"run set demo --server x", "", 2, []string{"name what to change"}, ""},
		{"run set demo -f /nowhere --server x", "", 1, []string{"-f: "}, ""},
		{"list --server ftp://x", "", 2, nil, ""},
	} {
		args := strings.Fields(test.args)
		for j := range args {
			if args[j] == "DIR" {
				args[j] = dir
			}
		}
		if !strings.Contains(test.args, "DIR") && !strings.Contains(test.args, "--server") {
			args = append(args[:1:1], append(server, args[1:]...)...)
		}
		out, code := said(t, test.stdin, args...)
		if code != test.code || test.not != "" && strings.Contains(out, test.not) {
			t.Errorf("%d: autoresearch %s: exit code %d, want %d:\n%s", i, test.args, code, test.code, out)
		}
		for _, want := range test.want {
			if !strings.Contains(out, want) {
				t.Errorf("%d: autoresearch %s does not say %q:\n%s", i, test.args, want, out)
			}
		}
	}
}

// TestEveryCommandIsExplained checks that each command has a short text, an example, and examples that parse.
func TestEveryCommandIsExplained(t *testing.T) {
	t.Parallel()
	for _, c := range root().Commands() {
		if c.Short == "" || c.Example == "" && !c.HasSubCommands() {
			t.Errorf("%s: short %q, example %q", c.Name(), c.Short, c.Example)
		}
		for line := range strings.Lines(c.Example) {
			if c.HasSubCommands() {
				break
			}
			words := strings.Fields(line)
			if len(words) < 2 || words[0] != "autoresearch" || words[1] != c.Name() || strings.ContainsAny(line, "|<>{}'\"&") {
				continue
			}
			var flags []string
			for _, w := range words[2:] {
				if w == "#" || w == "--" {
					break
				}
				flags = append(flags, w)
			}
			if err := c.ParseFlags(flags); err != nil {
				t.Errorf("%s: %v", strings.TrimSpace(line), err)
			}
		}
	}
}

// TestCompletion completes ids, runs, classes and words.
func TestCompletion(t *testing.T) {
	t.Parallel()
	dir := serving(t, probe("exp-1", "", 0), probe("exp-2", "", 0), probe("other\x1b[2J", "", 0))
	for line, want := range map[string]string{
		"show --server DIR exp":           "exp-2\tqueued\nexp-1\tqueued\n",
		"cancel --server DIR other":       "",
		"list --server DIR --run ":        "demo\n",
		"pause --server DIR --class ":     "cpu\n",
		"list --server DIR --class ":      "cpu\n",
		"list --server DIR --kind ":       "default\n",
		"run show --server DIR ":          "demo\n",
		"run pull --server DIR demo ":     "",
		"list --server DIR --status fa":   "queued\n",
		"show --server /nowhere/else exp": "",
	} {
		words := strings.Split(strings.ReplaceAll(line, "DIR", dir), " ")
		out, _ := said(t, "", append([]string{"__complete"}, words...)...)
		out, _, _ = strings.Cut(out, ":")
		if !strings.HasPrefix(out, want) || want == "" && out != "" {
			t.Errorf("%s: %q, want %q", line, out, want)
		}
	}
}

// TestWhereTheServerIs checks how a server is found and what is said when there is none.
func TestWhereTheServerIs(t *testing.T) {
	t.Parallel()
	out, code := said(t, "", "list", "--server", t.TempDir())
	if code != exitUnreachable || !strings.Contains(out, "no engine or coordinator runs there") {
		t.Errorf("%d: %s", code, out)
	}
	stale := t.TempDir()
	if err := os.MkdirAll(filepath.Join(stale, "engine"), 0o755); err != nil {
		t.Fatal(err)
	}
	note, err := json.Marshal(web.Place{Socket: filepath.Join(stale, "gone"), PID: 1})
	if err == nil {
		err = os.WriteFile(filepath.Join(stale, "engine", "api.json"), note, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, code := said(t, "", "list", stale); code != exitUnreachable || !strings.Contains(out, "is the engine or coordinator running?") {
		t.Errorf("%d: %s", code, out)
	}
	// Of a workdir on which nothing runs the files are exported.
	tree := spec.EncodeTree([]spec.HypothesisNode{{NodeID: "old", Name: "old", Status: spec.StatusCompleted}})
	if err := os.WriteFile(filepath.Join(stale, "engine", "tree.json"), tree, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"csv", "jsonl"} {
		to := filepath.Join(t.TempDir(), "out")
		if out, code := said(t, "", "export", stale, "--format", format, "--to", to); code != 0 {
			t.Errorf("%d: %s", code, out)
		}
		if text, err := os.ReadFile(to); err != nil || !strings.Contains(string(text), "old") {
			t.Errorf("%v: %s", err, text)
		}
	}
}

// TestReadToken: a file with a token, and the server's own, of which who may more counts.
func TestReadToken(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0123456789abcdef\n":                             "0123456789abcdef",
		"# mine\n\noperator 0123456789abcdef anna\n":     "0123456789abcdef",
		"read reader\noperator first\noperator second\n": "first",
		"read reader # all that I have\nread another\n":  "reader",
		"# nothing\n": "",
	} {
		path := filepath.Join(t.TempDir(), "tokens")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if token, err := readToken(path); token != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v", text, token, err)
		}
	}
}

// TestFramesFit draws top for terminals of every size.
func TestFramesFit(t *testing.T) {
	t.Parallel()
	began := time.Unix(1000, 0)
	g := glance{now: began.Add(time.Minute), trouble: "a \x1b[31m trouble", run: api.Run{
		Name: "demo", Status: "running", Paused: true, Counts: &api.Counts{Running: 30}, Budget: 4,
		Objective: &api.Objective{Metric: "loss"}, Best: &api.Best{Task: "t1", Value: 0.25},
	}}
	for i := range 30 {
		id := spec.TaskID(fmt.Sprintf("task-%d-\x1b]0;title\a", i))
		g.running = append(g.running, api.Task{ID: id, State: "running", StartedAt: &began})
		g.queue = append(g.queue, api.Task{ID: id, State: "queued", Priority: api.Number(i)})
		g.workers = append(g.workers, api.Worker{ID: spec.WorkerID(id), Host: "h", Slots: []api.Slots{{Class: "cpu", Total: 2, Free: 1}},
			Running: []api.Holding{{Task: id, Progress: "step 30/100", Metrics: map[string]api.Number{"loss": 0.5}}}})
	}
	for _, size := range [][2]int{{80, 24}, {20, 5}, {200, 100}, {1, 1}, {80, 10}} {
		lines := g.frame(size[0], size[1])
		if len(lines) > size[1] {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for _, line := range lines {
			if strings.ContainsAny(line, "\x1b\a\n") || len([]rune(line)) > size[0] {
				t.Errorf("%v: %q", size, line)
			}
		}
	}
	text := strings.Join(g.frame(120, 60), "\n")
	for _, want := range []string{"PAUSED", "best loss = 0.25 (t1)", "[######--------------]", "loss=0.5", "1m0s", "cpu 1/2", "more", "trouble"} {
		if !strings.Contains(text, want) {
			t.Errorf("the frame does not say %q:\n%s", want, text)
		}
	}
}

func TestSharesOfProgress(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]float64{"step 30/100": .3, "3 of 10": .3, "42 %": .42, "epoch 1.5/3 (50%)": .5, "150%": 1} {
		if got, ok := share(line); !ok || got != want {
			t.Errorf("%q: %v, %v", line, got, ok)
		}
	}
	for _, line := range []string{"", "loading", "1/0", "lr 0.1"} {
		if got, ok := share(line); ok {
			t.Errorf("%q: %v", line, got)
		}
	}
}

// TestRunOfTheEnvironment has the run that the environment names shown, where a server might have several.
func TestRunOfTheEnvironment(t *testing.T) { // not parallel: it sets an environment variable
	dir := serving(t, probe("a", "", 1))
	t.Setenv(runEnv, "other")
	if out, code := said(t, "", "status", dir); code != exitUnknown {
		t.Errorf("%d: %s", code, out)
	}
	t.Setenv(runEnv, "demo")
	if out, code := said(t, "", "status", dir); code != 0 || !strings.Contains(out, "run        demo") {
		t.Errorf("%d: %s", code, out)
	}
}

// TestAnswersAreOnStandardOutput: what is asked for can be piped.
func TestAnswersAreOnStandardOutput(t *testing.T) {
	t.Parallel()
	cmd := root()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	cmd.SetArgs([]string{"version"})
	if err := cmd.ExecuteContext(t.Context()); err != nil || strings.TrimSpace(out.String()) != cli.Version() {
		t.Errorf("%q, %v", out.String(), err)
	}
}
