package worker

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// readText returns a file's text without the newline at its end.
func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(string(text), "\n")
}

// attemptPath names a file of an attempt of a test's task.
func (b *bench) attemptPath(task spec.TaskID, attempt uint32, name string) string {
	return filepath.Join(attemptDirDefault(b.o.Dir)(testRun, task, attempt), name)
}

func TestContract(t *testing.T) {
	t.Setenv("AUTORESEARCH_NATS_PASSWORD", "secret")
	t.Setenv("WORKER_TEST_PASSED", "yes")
	t.Setenv("WORKER_TEST_WITHHELD", "no")
	b := startBench(t, func(o *Options) {
		o.PassEnv = func(name string) bool { return name != "WORKER_TEST_WITHHELD" }
	})
	cwd := t.TempDir()
	d := dispatch("a/b*", script(
		"print id=$AUTORESEARCH_TASK_ID run=$AUTORESEARCH_RUN attempt=$AUTORESEARCH_ATTEMPT kind=$AUTORESEARCH_KIND",
		"print resumed=$AUTORESEARCH_RESUMED secret=$AUTORESEARCH_NATS_PASSWORD",
		"print passed=$WORKER_TEST_PASSED withheld=$WORKER_TEST_WITHHELD own=$OWN",
		"print task=$AUTORESEARCH_TASK_FILE checkpoint=$AUTORESEARCH_CHECKPOINT_DIR",
		"cwd", "stdin", "warn to stderr",
		"say [autoresearch] loss=3 acc=0.1", "say [autoresearch] loss=2",
		`result {"metrics": {"acc": NaN}, "output": {"x": [1]}, "children": [{"id": "c", "priority": -2}]}`,
	), func(d *bus.Dispatch) {
		d.Attempt = 3
		d.Recipe.Dir = cwd
		d.Recipe.Stdin = []byte("hello")
		d.Recipe.Env = append(d.Recipe.Env, "OWN=first", "OWN=last")
	})
	b.give(d)
	report, result := b.report("a/b*", 1)
	if report.Failure != nil || report.Attempt != 3 || report.Claim == 0 {
		t.Fatalf("report %+v: %+v", report, report.Failure)
	}
	want := strings.Join([]string{
		"id=a/b* run=run attempt=3 kind=train",
		"resumed= secret=",
		"passed=yes withheld= own=last",
		"task=" + b.attemptPath("a/b*", 3, taskFileName) + " checkpoint=" + b.attemptPath("a/b*", 3, checkpointDirName),
		cwd, `stdin="hello" error=false`,
		"[autoresearch] loss=3 acc=0.1", "[autoresearch] loss=2",
	}, "\n")
	if got := readText(t, b.attemptPath("a/b*", 3, stdoutFileName)); got != want {
		t.Errorf("standard output:\n%s\nnot\n%s", got, want)
	}
	if got := readText(t, b.attemptPath("a/b*", 3, stderrFileName)); got != "to stderr" {
		t.Errorf("standard error: %q", got)
	}
	task, err := spec.DecodeTaskSpec([]byte(readText(t, b.attemptPath("a/b*", 3, taskFileName))))
	if err != nil || task.ID != "a/b*" || string(task.Payload) != `{"lr":0.1}` {
		t.Errorf("task file: %+v, %v", task, err)
	}
	if result.Metrics["loss"] != 2 || !math.IsNaN(result.Metrics["acc"]) || string(result.Output) != `{"x":[1]}` {
		t.Errorf("result: metrics %v, output %s", result.Metrics, result.Output)
	}
	if len(result.Children) != 1 || result.Children[0].ID != "c" || result.Children[0].Priority != -2 {
		t.Errorf("children %+v", result.Children)
	}
	if result.Attempt != 3 || result.Worker != b.lastBeat().Worker || result.Started.IsZero() || result.Duration <= 0 {
		t.Errorf("result of attempt %d by %s, started %v, took %v", result.Attempt, result.Worker, result.Started, result.Duration)
	}
}

func TestCheckpointIsSeededFromTheNewestAttempt(t *testing.T) {
	t.Parallel()
	b := startBench(t, func(o *Options) { o.Slots[testClass] = 1 })
	try := func(attempt uint32, lines ...string) func() spec.TaskResult {
		return func() spec.TaskResult {
			d := dispatch("t", script(lines...))
			d.Attempt = attempt
			b.give(d)
			_, result := b.report("t", int(attempt))
			return result
		}
	}
	try(1, "restored", "checkpoint 10", "exit 1")()
	try(2, "restored", "exit 1")() // leaves what it was given
	// The third writes its own; an older one is newer than nothing.
	if got := try(3, "restored", "checkpoint 30", "exit 1")(); got.Metrics["restored"] != 10 || got.Metrics["resumed"] != 1 {
		t.Errorf("the third attempt saw %v", got.Metrics)
	}
	if got := try(4, "restored")(); got.Metrics["restored"] != 30 {
		t.Errorf("the fourth attempt saw %v", got.Metrics)
	}
	if text := readText(t, b.attemptPath("t", 1, checkpointDirName+"/state")); text != "10" {
		t.Errorf("the first attempt's checkpoint became %q", text)
	}
	if out := readText(t, b.attemptPath("t", 1, stdoutFileName)); !strings.Contains(out, "error=true resumed=") {
		t.Errorf("the first attempt resumed: %s", out)
	}
}

func TestCopyTree(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	for name, text := range map[string]string{"a": "1", "d/b": "2", "d/e/c": "3"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(from, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("d/b", filepath.Join(from, "link")); err != nil {
		t.Fatal(err)
	}
	if err := copyTree(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	if got := readText(t, filepath.Join(to, "link")) + readText(t, filepath.Join(to, "d/e/c")); got != "23" {
		t.Fatalf("the copy holds %q", got)
	}
	if status, err := os.Lstat(filepath.Join(to, "a")); err != nil || status.Mode().Perm() != 0o640 {
		t.Fatalf("mode %v, %v", status.Mode(), err)
	}
}

// TestLeftoversOfACrash: a try of the same attempt that a crash ended leaves a result, which must not count, and a
// checkpoint, which must.
func TestLeftoversOfACrash(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	if err := os.MkdirAll(b.attemptPath("t", 1, checkpointDirName), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{resultFileName: `{"metrics": {"old": 1}}`, checkpointDirName + "/state": "7"} {
		if err := os.WriteFile(b.attemptPath("t", 1, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.give(dispatch("t", script("restored")))
	if _, result := b.report("t", 1); len(result.Metrics) != 2 || result.Metrics["restored"] != 7 {
		t.Fatalf("metrics %v", result.Metrics)
	}
}

func TestReadResult(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, resultFileName)
	if _, written, err := readResult(path, resultFileMin); written || err != nil {
		t.Fatalf("no file: %v %v", written, err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, written, err := readResult(path, resultFileMin); !written || err == nil {
		t.Fatalf("a directory: %v %v", written, err)
	}
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, resultFileMin+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readResult(big, resultFileMin); err == nil || !strings.Contains(err.Error(), big) {
		t.Fatalf("a large file: %v", err)
	}
}

func TestLookPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"bin/tool": 0o700, "script": 0o700, "data": 0o600} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for program, want := range map[string]string{
		"tool": dir + "/bin/tool", "./script": dir + "/script", "bin/tool": dir + "/bin/tool", dir + "/script": dir + "/script",
		"script": "", "./data": "", "missing": "",
	} {
		got, err := lookPath(program, dir, []string{"PATH=/old", "PATH=/nowhere:bin"})
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s is found at %q, %v", program, got, err)
		}
	}
}

func TestEnvironmentIsUniqueAndClean(t *testing.T) {
	t.Parallel()
	got := dedupe([]string{"A=1", "B=x\x00y", "=C:=odd", "broken", "A=2", "Z="})
	if want := []string{"B=xy", "A=2", "Z="}; !slices.Equal(got, want) {
		t.Fatalf("%q, not %q", got, want)
	}
}

func TestProposer(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	rows := map[spec.TaskID]struct {
		lines    []string
		children []spec.TaskID
	}{
		"list":    {[]string{`say [{"id": "a"},`, "say [autoresearch] thinking cost=2", `say {"id": "b"}]`}, []spec.TaskID{"a", "b"}},
		"lines":   {[]string{`say {"id": "a", "priority": 3}`, "say", `say {"id": "b"}`}, []spec.TaskID{"a", "b"}},
		"nothing": {nil, nil},
		"file":    {[]string{`say {"id": "a"}`, `result {"children": [{"id": "b"}]}`}, []spec.TaskID{"a", "b"}},
	}
	for task, row := range rows {
		b.give(dispatch(task, script(row.lines...), proposer))
	}
	for task, row := range rows {
		report, result := b.report(task, 1)
		var got []spec.TaskID
		for _, child := range result.Children {
			got = append(got, child.ID)
		}
		if report.Failure != nil || !slices.Equal(got, row.children) {
			t.Errorf("%s: children %q, failure %+v", task, got, report.Failure)
		}
		if task == "list" && result.Metrics["cost"] != 2 {
			t.Errorf("metrics %v", result.Metrics)
		}
	}
}

func TestOutputIsBounded(t *testing.T) {
	t.Parallel()
	b := startBench(t, func(o *Options) { o.OutputMax = 10 << 10 })
	b.give(dispatch("t", script("flood 100", "say [autoresearch] end=1")))
	_, result := b.report("t", 1)
	text := readText(t, b.attemptPath("t", 1, stdoutFileName))
	if len(text) > 11<<10 || !strings.Contains(text, "bytes dropped") || result.Metrics["end"] != 1 {
		t.Fatalf("%d bytes on disk, metrics %v", len(text), result.Metrics)
	}
}

func TestLogOnFullDiskDoesNotFail(t *testing.T) {
	t.Parallel()
	log, err := createLog(filepath.Join(t.TempDir(), "log"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.file.Close(); err != nil { // every write fails from now on
		t.Fatal(err)
	}
	out := &stream{log: log}
	if n, err := out.Write([]byte("text")); n != 4 || err != nil {
		t.Fatalf("wrote %d, %v", n, err)
	}
	if err := log.close(); err == nil {
		t.Fatal("nobody hears of the lost output")
	}
}

func TestRunnerPreparesItsDir(t *testing.T) {
	t.Parallel()
	resumed := make(chan bool, 1)
	b := startBench(t, runners(map[string]spec.RunnerFunc{"train": func(ctx context.Context, a spec.Attempt) (spec.TaskResult, error) {
		if _, err := os.Stat(a.Dir); err == nil {
			t.Error("a directory was made unasked")
		}
		r, err := PrepareDir(ctx)
		resumed <- r
		if err != nil {
			return spec.TaskResult{}, err
		}
		return spec.TaskResult{}, os.WriteFile(filepath.Join(a.CheckpointDir, "x"), nil, 0o600)
	}}))
	b.give(dispatch("t"))
	if report, _ := b.report("t", 1); report.Failure != nil || <-resumed {
		t.Fatalf("first attempt: %+v", report.Failure)
	}
	b.give(dispatch("t", func(d *bus.Dispatch) { d.Attempt = 2 }))
	if report, _ := b.report("t", 2); report.Failure != nil || !<-resumed {
		t.Fatalf("second attempt: %+v", report.Failure)
	}
	if _, err := PrepareDir(t.Context()); err == nil {
		t.Fatal("a context of no attempt is accepted")
	}
}
