package workflow

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"autoresearch/pkg/spec"
)

func TestRecipe(t *testing.T) {
	t.Parallel()
	f := mustParse(t, charlm)
	f.Dir = "/srv/search"
	got, err := NewCommand(f, "").Recipe(spec.TaskSpec{ID: "e1", Kind: "experiment", Payload: spec.Payload(`{"lr":1e-3}`)})
	want := spec.Recipe{
		Argv: []string{"./train", "--lr", "1e-3", "--id", "e1"}, Env: []string{"OMP_NUM_THREADS=1", "RUN=experiment/e1"},
		Dir: "/srv/search", Timeout: 10 * time.Minute, StallTimeout: 2 * time.Minute, Grace: 10 * time.Second,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRecipeErrors(t *testing.T) {
	t.Parallel()
	c := NewCommand(mustParse(t, `{kinds: {a: {command: ["{{.payload.x}}"], env: {Y: "{{.payload.y}}"}}}, initial: [{id: a, kind: a, payload: {x: 1, y: 2}}]}`), "")
	for payload, want := range map[string]string{
		`{}`:       `workflow search.yaml: kind a: command: {{.payload.x}}: .payload.x: there is no key "x"`,
		`{"x":1}`:  `workflow search.yaml: kind a: env Y: {{.payload.y}}: .payload.y: there is no key "y"`,
		`{"x":""}`: "workflow search.yaml: kind a: command: the program's name is empty",
		`{`:        "workflow search.yaml: kind a: payload: ",
	} {
		if _, err := c.Recipe(spec.TaskSpec{ID: "a", Kind: "a", Payload: spec.Payload(payload)}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", payload, err)
		}
	}
	if _, err := c.Recipe(spec.TaskSpec{ID: "a", Kind: "b"}); err == nil || !strings.Contains(err.Error(), `the kind "b" is not listed in kinds`) {
		t.Errorf("an unknown kind: %v", err)
	}
}

// TestUnlistedKind runs a kind that is not listed as "default" is run.
func TestUnlistedKind(t *testing.T) {
	t.Parallel()
	c := NewCommand(mustParse(t, `{kinds: {default: {command: [x, "{{.kind}}"]}}, initial: [{id: a, kind: other}]}`), "")
	if got, err := c.Recipe(spec.TaskSpec{ID: "a", Kind: "other"}); err != nil || !reflect.DeepEqual(got.Argv, []string{"x", "other"}) {
		t.Errorf("%q, %v", got.Argv, err)
	}
	if _, strict := c.Policies(); strict {
		t.Error("strict with a default")
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	c := NewCommand(mustParse(t, charlm), "")
	policies, strict := c.Policies()
	want := map[string]spec.KindPolicy{
		"experiment": {Class: "cpu", Timeout: 10 * time.Minute, StallTimeout: 2 * time.Minute, Retries: 2},
	}
	if !strict || !reflect.DeepEqual(policies, want) {
		t.Errorf("%+v, %v", policies, strict)
	}
	if got := c.Limits(); got != (spec.Limits{MaxExperiments: 60, MaxDuration: 2 * time.Hour, Size: c.file.Limits}) {
		t.Errorf("limits: %+v", got)
	}
	if got := c.Objective(); got != (spec.Objective{Metric: "val_bpb"}) {
		t.Errorf("objective: %+v", got)
	}
	policies, strict = NewCommand(mustParse(t, asking), "").Policies()
	if got := policies[KindPropose]; !strict || got != (spec.KindPolicy{Class: "llm", Timeout: 5 * time.Minute, Retries: 2, Uncounted: true}) {
		t.Errorf("%+v, %v", got, strict)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, file string
		overrides  []string
		want       string
	}{
		{"initial", charlm, nil, "baseline"},
		{"samples, as many as slots", bowl, []string{"proposer.ahead=0"}, "e0001 e0002 e0003 e0004"},
		{"samples, as many as ahead", bowl, []string{"proposer.ahead=5"}, "e0001 e0002 e0003 e0004 e0005"},
		{"samples up to the limit", bowl, []string{"stop.max_experiments=2"}, "e0001 e0002"},
		{"samples of a tiny space", "{kinds: {a: {command: [x]}}, space: {b: {choice: [1, 2]}}}", []string{"proposer.ahead=5"}, "e0001 e0002"},
		{"a call", asking, nil, "propose-0001"},
		{"initial before a call", asking, []string{"initial=[{id: a, kind: experiment}]"}, "a"},
		{"initial alone", "{kinds: {default: {command: [x]}}, initial: [{id: b}, {id: a}]}", nil, "b a"},
	}
	for _, c := range cases {
		command := NewCommand(mustParse(t, c.file, c.overrides...), t.TempDir())
		got, err := command.Load(t.Context())
		if err != nil || ids(got) != c.want {
			t.Errorf("%s: %q, %v, want %q", c.name, ids(got), err, c.want)
		}
		for _, s := range got {
			if s.Parent != "" || strings.HasPrefix(string(s.ID), "e0") && s.Priority != 0 {
				t.Errorf("%s: %+v", c.name, s)
			}
		}
	}
}

// TestLoadResumes takes up the queue of a workdir.
func TestLoadResumes(t *testing.T) {
	t.Parallel()
	workdir := t.TempDir()
	state := `{"status":"interrupted","queued":[{"id":"e0007","kind":"experiment","payload":{"lr":0.5}}],"running":[{"id":"mine","kind":"experiment"}]}`
	path := filepath.Join(workdir, spec.EngineStateFile)
	if err := os.WriteFile(path, []byte(state), 0o666); err != nil {
		t.Fatal(err)
	}
	c := NewCommand(mustParse(t, charlm, "initial=null", "proposer.ahead=0"), workdir)
	got, err := c.Load(t.Context())
	if err != nil || ids(got) != "e0007 mine" {
		t.Fatalf("%q, %v", ids(got), err)
	}
	next, err := c.OnResult(t.Context(), got[0], failed())
	if err != nil || ids(next) != "e0008 e0009 e0010" {
		t.Errorf("next: %q, %v", ids(next), err)
	}
	if err := os.WriteFile(path, []byte(`{"queued": null}`), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err = NewCommand(c.file, workdir).Load(t.Context()); err == nil || !strings.Contains(err.Error(), "queued") {
		t.Errorf("a broken state: %v", err)
	}
}

// TestContinueAfterTheEnd goes on with a search whose limit was raised.
func TestContinueAfterTheEnd(t *testing.T) {
	t.Parallel()
	r := newRun(t, mustParse(t, bowl, "stop.max_experiments=6"))
	for len(r.queue) > 0 {
		r.finish(r.take(), measured("loss", 1))
	}
	if more, err := r.restored().Continue(t.Context()); err != nil || len(more) != 0 {
		t.Errorf("the limit is reached, but more: %q, %v", ids(more), err)
	}
	r.command.file = mustParse(t, bowl, "stop.max_experiments=8", "initial=[{id: added, kind: experiment, payload: {}}]")
	more, err := r.restored().Continue(t.Context())
	if err != nil || ids(more) != "added e0007" {
		t.Errorf("more: %q, %v", ids(more), err)
	}
}

func TestPatience(t *testing.T) {
	t.Parallel()
	f := mustParse(t, charlm, "stop.patience=3")
	steps := []struct {
		result spec.TaskResult
		want   string
	}{
		{measured("val_bpb", 5), ""},
		{measured("val_bpb", 5), ""},
		{failed(), ""},
		{measured("val_bpb", 4), ""},
		{measured("other", 1), ""},
		{measured("val_bpb", 4.5), ""},
		{failed(), "patience: no improvement in 3 experiments"},
		{measured("val_bpb", 3), ""},
	}
	c := NewCommand(f, "")
	var tasks []*spec.Task
	results := map[spec.TaskID]spec.TaskResult{}
	for i, step := range steps {
		id := spec.TaskID(rune('a' + i))
		task := spec.TaskSpec{ID: id, Kind: "experiment"}
		if _, err := c.OnResult(t.Context(), task, step.result); err != nil {
			t.Fatal(err)
		}
		state := spec.StateCompleted
		if step.result.Failure != nil {
			state = spec.StateFailed
		}
		// Arrival order is the reverse of that of the outcomes.
		tasks = append([]*spec.Task{{Spec: task, State: state, Outcome: &spec.Outcome{Order: uint64(i + 1), Failure: step.result.Failure}}}, tasks...)
		results[id] = step.result
		restored := NewCommand(f, "")
		if err := restored.Restore(t.Context(), tasks, results); err != nil {
			t.Fatal(err)
		}
		if got := c.StopReason(); got != step.want || restored.StopReason() != step.want {
			t.Errorf("after %d: %q, restored %q, want %q", i+1, got, restored.StopReason(), step.want)
		}
	}
}

// TestCancelledIsFailed restores a task that reported a success but was cancelled, and one that left no outcome at all.
func TestCancelledIsFailed(t *testing.T) {
	t.Parallel()
	c := NewCommand(mustParse(t, charlm, "stop.patience=2"), "")
	cancelled := &spec.FailureRecord{Kind: spec.Interrupted, Phase: spec.PhaseRunner}
	tasks := []*spec.Task{
		{Spec: spec.TaskSpec{ID: "a", Kind: "experiment"}, State: spec.StateFailed, Outcome: &spec.Outcome{Order: 1, Failure: cancelled}},
		{Spec: spec.TaskSpec{ID: "b", Kind: "experiment"}, State: spec.StateFailed},
	}
	results := map[spec.TaskID]spec.TaskResult{"a": measured("val_bpb", 1)}
	if err := c.Restore(t.Context(), tasks, results); err != nil {
		t.Fatal(err)
	}
	if got := c.StopReason(); c.history.hasRecord || got != "patience: no improvement in 2 experiments" {
		t.Errorf("record %v, %q", c.history.record, got)
	}
}

// TestInfinityIsNoRecord keeps infinities and NaN from being the best.
func TestInfinityIsNoRecord(t *testing.T) {
	t.Parallel()
	h := newHistory(mustParse(t, charlm))
	for i, result := range []spec.TaskResult{
		measured("val_bpb", math.Inf(-1)), measured("val_bpb", 2),
	} {
		h.finish(spec.TaskSpec{ID: spec.TaskID(rune('a' + i)), Kind: "experiment"}, result)
	}
	if h.record != 2 || len(h.ranked) != 1 {
		t.Errorf("record %v, %d ranked", h.record, len(h.ranked))
	}
}

// TestResultAgain calls the result hook twice for one result, as after a hook that timed out.
func TestResultAgain(t *testing.T) {
	t.Parallel()
	r := newRun(t, mustParse(t, bowl))
	task := r.take()
	next := r.finish(task, measured("loss", 1))
	again, err := r.command.OnResult(t.Context(), task, measured("loss", 1))
	if err != nil || len(next) == 0 || !reflect.DeepEqual(next, again) {
		t.Errorf("%q, then %q, %v", ids(next), ids(again), err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.command.OnResult(stopped, r.take(), failed()); err == nil {
		t.Error("an answer after the hook's time was over")
	}
}

// TestAnswersAreBounded forgets old answers, and gives none for their tasks then.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	r := newRun(t, mustParse(t, bowl, "stop.max_experiments=1000"))
	first := r.take()
	r.finish(first, measured("loss", 1))
	for range 2 * answersMax {
		r.finish(r.take(), measured("loss", 2))
	}
	if n := len(r.command.answers.byTask); n != answersMax || len(r.command.answers.order) != answersMax {
		t.Errorf("%d answers kept", n)
	}
	if again, err := r.command.OnResult(t.Context(), first, measured("loss", 1)); err != nil || len(again) != 0 {
		t.Errorf("an old answer: %q, %v", ids(again), err)
	}
}

// TestCheckpoint learns what others submitted, and forgets what the engine never took.
func TestCheckpoint(t *testing.T) {
	t.Parallel()
	r := newRun(t, mustParse(t, bowl, "proposer.ahead=0")) // 4 outstanding
	lost := r.take()
	theirs := spec.TaskSpec{ID: "e0050", Kind: "experiment", Payload: spec.Payload(`{"lr":1}`)}
	checkpoint := func(queued ...spec.TaskSpec) {
		t.Helper()
		if err := r.command.Checkpoint(t.Context(), queued, r.queue[:1], spec.StatusRunning); err != nil {
			t.Fatal(err)
		}
	}
	checkpoint(append([]spec.TaskSpec{theirs}, r.queue[1:]...)...)
	if n := len(r.command.history.outstanding); n != 5 {
		t.Errorf("%d outstanding with a submitted one, want 5", n)
	}
	checkpoint(append([]spec.TaskSpec{theirs}, r.queue[1:]...)...)
	checkpoint(append([]spec.TaskSpec{theirs}, r.queue[1:]...)...)
	if n := len(r.command.history.outstanding); n != 4 {
		t.Errorf("%d outstanding with a lost one, want 4", n)
	}
	if next := r.finish(r.take(), measured("loss", 1)); ids(next) != "e0051" {
		t.Errorf("next: %q", ids(next))
	}
	if _, err := r.command.OnResult(t.Context(), lost, measured("loss", 0)); err != nil {
		t.Fatal(err)
	}
	if h := r.command.history; h.record != 0 || h.experiments != 6 || len(h.outstanding) != 4 {
		t.Errorf("the lost one came back: record %v, %d experiments, %d outstanding", h.record, h.experiments, len(h.outstanding))
	}
}

// TestCheckpointForgetsACall asks again when the engine never took a call.
func TestCheckpointForgetsACall(t *testing.T) {
	t.Parallel()
	r := newRun(t, mustParse(t, asking))
	call := r.take()
	for range missesMax - 1 {
		if err := r.command.Checkpoint(t.Context(), nil, []spec.TaskSpec{call}, spec.StatusRunning); err != nil {
			t.Fatal(err)
		}
	}
	if calls := r.command.history.proposer.calls; len(calls) != 1 {
		t.Errorf("calls: %v", calls)
	}
	for range missesMax {
		if err := r.command.Checkpoint(t.Context(), nil, nil, spec.StatusRunning); err != nil {
			t.Fatal(err)
		}
	}
	if more, err := r.command.Continue(t.Context()); err != nil || ids(more) != "propose-0002" {
		t.Errorf("more: %q, %v", ids(more), err)
	}
}

// TestNoProposer passes on the children of results, and nothing else.
func TestNoProposer(t *testing.T) {
	t.Parallel()
	r := newRun(t, mustParse(t, "{kinds: {default: {command: [x]}}, initial: [{id: a}]}"))
	children := []spec.TaskSpec{child("b", `{}`), child("b2", `{}`)}
	if next := r.finish(r.take(), spec.TaskResult{Children: children}); !reflect.DeepEqual(next, children) {
		t.Errorf("%+v", next)
	}
	result := failed()
	result.Children = []spec.TaskSpec{child("c", `{}`)}
	if next := r.finish(r.take(), result); ids(next) != "c" {
		t.Errorf("%+v", next)
	}
}

// TestConcurrentUse renders recipes while results come in; the race detector watches.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	r := newRun(t, mustParse(t, asking))
	call := r.take()
	var loop sync.WaitGroup
	for range 2 {
		loop.Go(func() {
			for range 50 {
				if _, err := r.command.Recipe(call); err != nil {
					t.Error(err)
				}
				_ = r.command.StopReason()
				_, _ = r.command.Policies()
			}
		})
	}
	for i := range 50 {
		task := spec.TaskSpec{ID: spec.TaskID(rune('a' + i)), Kind: "experiment"}
		if _, err := r.command.OnResult(t.Context(), task, measured("loss", 1)); err != nil {
			t.Error(err)
		}
	}
	loop.Wait()
}

func TestSummarize(t *testing.T) {
	t.Parallel()
	c := NewCommand(mustParse(t, charlm), "")
	workdir := t.TempDir()
	text, err := c.Summarize(t.Context(), workdir)
	again, errAgain := c.Summarize(t.Context(), workdir)
	if err != nil || errAgain != nil || text == "" || text != again || !strings.Contains(text, "charlm") {
		t.Errorf("%q, %v; again %q, %v", text, err, again, errAgain)
	}
	if err := os.WriteFile(filepath.Join(workdir, spec.EngineStateFile), []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Summarize(t.Context(), workdir); err == nil {
		t.Error("a broken workdir has a summary")
	}
}

func TestLimitsReachTheRecipe(t *testing.T) {
	t.Parallel()
	f, err := Parse("w.yaml", []byte(`
kinds:
  train:
    command: [x]
    timeout: 1h
    backoff: 5s
    max_lost: 2
    max_preempted: 3
    limits: {memory: 2GiB, open_files: 64, cpu: 10m}
initial:
  - {id: a, kind: train}
  - {id: b, kind: train, timeout: 5m, stall_timeout: 1m}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := NewCommand(f, "")
	limits := spec.ProcessLimits{Memory: 2 << 30, OpenFiles: 64, CPU: 10 * time.Minute}
	for i, want := range [][2]time.Duration{{time.Hour, 0}, {5 * time.Minute, time.Minute}} {
		recipe, err := c.Recipe(f.Initial[i])
		if err != nil || recipe.Timeout != want[0] || recipe.StallTimeout != want[1] || recipe.Limits != limits {
			t.Errorf("%s: %+v, %v", f.Initial[i].ID, recipe, err)
		}
	}
	policies, _ := c.Policies()
	if p := policies["train"]; p.Backoff != 5*time.Second || p.MaxLost != 2 || p.MaxPreempted != 3 {
		t.Errorf("policy %+v", p)
	}
	for _, wrong := range []string{"1MiB", "-1", "lots", "99999999TiB"} {
		_, err := Parse("w.yaml", []byte("kinds: {t: {command: [x], limits: {memory: "+wrong+"}}}\ninitial: [{id: a, kind: t}]\n"), nil)
		if err == nil || !strings.Contains(err.Error(), "kinds.t.limits.memory") {
			t.Errorf("memory %s: %v", wrong, err)
		}
	}
}
