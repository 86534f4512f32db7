package workflow

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"autoresearch/pkg/spec"
)

const charlm = `
name: charlm
objective: {metric: val_bpb, direction: minimize}
max_concurrency: 4
kinds:
  experiment:
    command: [./train, --lr, "{{.payload.lr}}", --id, "{{.id}}"]
    env: {OMP_NUM_THREADS: "1", RUN: "{{.kind}}/{{.id}}"}
    class: cpu
    timeout: 10m
    stall_timeout: 2m
    retries: 2
initial:
  - {id: baseline, kind: experiment, priority: -1000, payload: {lr: 0.1, hidden: 64}}
space:
  lr: {log_float: [0.001, 1]}
  hidden: {choice: [128, 32, 64]}
  layers: {int: [1, 4]}
  dropout: {float: [0, 0.5]}
proposer: {strategy: mutate, children: 3, seed: 7, ahead: 8}
stop: {max_experiments: 60, patience: 20, max_duration: 2h}
limits: {children: 9, depth: 1000, payload: 1MiB, result: 65536}
`

func TestFile(t *testing.T) {
	t.Parallel()
	f := mustParse(t, charlm)
	if want := (spec.SizeLimits{Children: 9, Depth: 1000, Payload: 1 << 20, Result: 65536}); f.Limits != want {
		t.Errorf("limits: %+v", f.Limits)
	}
	if f.Name != "charlm" || f.Objective != (spec.Objective{Metric: "val_bpb"}) || f.MaxConcurrency != 4 {
		t.Errorf("name, objective, max_concurrency: %q, %v, %d", f.Name, f.Objective, f.MaxConcurrency)
	}
	k := f.Kinds[0]
	if k.Name != "experiment" || k.Class != "cpu" || k.Timeout != 10*time.Minute || k.StallTimeout != 2*time.Minute ||
		k.Grace != GraceDefault || k.Retries != 2 {
		t.Errorf("kind: %+v", k)
	}
	want := spec.TaskSpec{ID: "baseline", Kind: "experiment", Priority: -1000, Payload: spec.Payload(`{"lr":0.1,"hidden":64}`)}
	if len(f.Initial) != 1 || !reflect.DeepEqual(f.Initial[0], want) {
		t.Errorf("initial: %+v", f.Initial)
	}
	if got := f.Space.names(); !reflect.DeepEqual(got, []string{"lr", "hidden", "layers", "dropout"}) {
		t.Errorf("space: %v", got)
	}
	if got := f.Space[1]; !got.Ordered || string(got.Choices[0]) != "32" || string(got.Choices[2]) != "128" {
		t.Errorf("choice: %+v", got)
	}
	p := f.Proposer
	if p.Strategy != StrategyMutate || p.Children != 3 || p.Seed != 7 || p.Ahead != 8 || p.Kind != "experiment" || p.Custom() {
		t.Errorf("proposer: %+v", p)
	}
	if f.Stop != (Stop{MaxExperiments: 60, Patience: 20, MaxDuration: 2 * time.Hour}) {
		t.Errorf("stop: %+v", f.Stop)
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	f := mustParse(t, "{kinds: {train: {command: [x]}}, space: {lr: {float: [0, 1]}}, name: null, stop: ~}")
	if f.Name != "search" || f.MaxConcurrency != 1 || f.Objective.Metric != "" || f.Stop != (Stop{}) {
		t.Errorf("%+v", f)
	}
	if p := f.Proposer; p.Strategy != StrategyRandom || p.Children != 3 || p.Ahead != 1 || p.Kind != "train" {
		t.Errorf("proposer: %+v", p)
	}
	if k := f.Kinds[0]; k.Class != spec.ClassDefault || k.Timeout != 0 || k.Retries != 0 || k.Grace != 10*time.Second {
		t.Errorf("kind: %+v", k)
	}
	f = mustParse(t, "{kinds: {default: {command: [x]}}, initial: [{id: 5}]}")
	if s := f.Initial[0]; f.Proposer != nil || s.ID != "5" || s.Kind != spec.KindDefault || s.Priority != 0 || s.Payload != nil {
		t.Errorf("%+v, proposer %v", s, f.Proposer)
	}
	f = mustParse(t, "{kinds: {a: {command: [x]}, b: {command: [x]}}, proposer: {command: [./think]}, max_concurrency: 3}")
	if p := f.Proposer; !p.Custom() || p.Strategy != "" || p.Ahead != 3 || p.command.Timeout != 10*time.Minute ||
		p.command.Class != "cpu" || p.command.Retries != 2 {
		t.Errorf("proposer: %+v", p)
	}
}

// TestPayloadValues holds what a payload of the file becomes.
func TestPayloadValues(t *testing.T) {
	t.Parallel()
	cases := []struct{ yaml, json string }{
		{"1", "1"}, {"-0", "-0"}, {"+3", "3"}, {"1_000", "1000"}, {"0x1F", "31"}, {"0o17", "15"}, {"0b11", "3"},
		{"9007199254740993", "9007199254740993"},
		{"-123456789012345678901234567890", "-123456789012345678901234567890"},
		{"0.10", "0.10"}, {"1e3", "1e3"}, {"1E-07", "1E-07"}, {".5", "0.5"}, {"-.5", "-0.5"}, {"1.", "1.0"}, {"1.e5", "1.0e5"},
		{"+.5e+3", "0.5e+3"}, {"-0.0", "-0.0"}, {"1e999", "1e999"}, {"00.5", "0.5"},
		{".nan", "NaN"}, {".NaN", "NaN"}, {".inf", "Infinity"}, {"-.INF", "-Infinity"}, {"+.inf", "Infinity"},
		{"true", "true"}, {"False", "false"}, {"null", "null"}, {"~", "null"}, {"", "null"},
		{"yes", `"yes"`}, {`"1"`, `"1"`}, {"'017'", `"017"`}, {"2001-12-14", `"2001-12-14"`}, {"12:30:45", `"12:30:45"`},
		{"!!str 5", `"5"`}, {"!!float 3", "3"}, {"!!binary aGk=", `"aGk="`}, {"!mine x", `"x"`}, {"'a\"\\'", `"a\"\\"`},
		{"ünï", `"\u00fcn\u00ef"`}, {"<&>", `"<&>"`},
		{"[1, [2], {a: 3}]", `[1,[2],{"a":3}]`}, {"{b: 1, a: 2}", `{"b":1,"a":2}`},
		{"{1: a, true: b, 2.50: c, null: d, 2001-12-14: e}", `{"1":"a","true":"b","2.50":"c","null":"d","2001-12-14":"e"}`},
	}
	for _, c := range cases {
		f, err := Parse("f.yaml", []byte("kinds: {default: {command: [x]}}\ninitial:\n- id: a\n  payload:\n    v: "+c.yaml+"\n"), nil)
		if err != nil {
			t.Errorf("%s: %v", c.yaml, err)
			continue
		}
		if got, want := string(f.Initial[0].Payload), `{"v":`+c.json+`}`; got != want {
			t.Errorf("%s: %s, want %s", c.yaml, got, want)
		}
		if err := f.Initial[0].Validate(); err != nil {
			t.Errorf("%s: %v", c.yaml, err)
		}
	}
}

func TestPriorities(t *testing.T) {
	t.Parallel()
	f := mustParse(t, "{kinds: {default: {command: [x]}}, initial: [{id: a, priority: -.inf}, {id: b, priority: 0x10}, {id: c, priority: 1e-3}]}")
	for i, want := range []string{"-Infinity", "16.0", "0.001"} {
		if got, err := spec.EncodeValue(f.Initial[i].Priority); err != nil || string(got) != want {
			t.Errorf("priority %d: %s, %v, want %s", i, got, err, want)
		}
	}
}

func TestAliasesAndMerges(t *testing.T) {
	t.Parallel()
	f := mustParse(t, `
kinds:
  small: &small {command: [x], class: cpu, timeout: 1m}
  large: {<<: *small, class: gpu}
  twice: {<<: [{class: a}, *small], retries: 1}
initial:
  - {id: a, kind: small, payload: &base {lr: 1, deep: [1, 2]}}
  - {id: b, kind: small, payload: {lr: 2, <<: *base}}
`, "initial.0.payload.deep.0=9")
	if k := f.Kinds[1]; k.Class != "gpu" || k.Timeout != time.Minute || len(k.argv) != 1 {
		t.Errorf("large: %+v", k)
	}
	if k := f.Kinds[2]; k.Class != "a" || k.Timeout != time.Minute || k.Retries != 1 {
		t.Errorf("twice: %+v", k)
	}
	if got := string(f.Initial[0].Payload); got != `{"lr":1,"deep":[9,2]}` {
		t.Errorf("a: %s", got)
	}
	if got := string(f.Initial[1].Payload); got != `{"lr":2,"deep":[1,2]}` {
		t.Errorf("b: %s", got)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	deep := "kinds: {default: {command: [x]}}\ninitial: [{id: a, payload: {v: " + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}}]"
	cases := map[string]string{
		strings.Repeat("#", fileBytesMax+1): "f.yaml: the file has 1048577 bytes; a workflow has at most 1048576",
		deep:                                "nested deeper than 100 levels",
		strings.Repeat("[", 20_000):         "max depth",
		strings.Repeat("? ", 20_000):        "max depth",
	}
	for text, want := range cases {
		if _, err := Parse("f.yaml", []byte(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s...: %v, want %s", text, err, want)
		}
	}
	var many strings.Builder
	for range 2 * problemsShown {
		many.WriteString("- 1\n")
	}
	_, err := Parse("f.yaml", []byte("kinds: {default: {command: [x]}}\ninitial:\n"+many.String()), nil)
	if lines := strings.Split(err.Error(), "\n"); len(lines) != problemsShown+1 || lines[problemsShown] != "and 50 more" {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	f := mustParse(t, charlm,
		"stop.max_experiments=100", "proposer.seed=8", "max_concurrency=2", "stop.patience=null", "stop.max_duration=",
		"initial.0.payload.lr=0.20", "initial.0.payload.note=a=b", "space.lr={log_float: [0.01, 0.1]}",
		"kinds.experiment.env.A=x", "kinds.experiment.command.0=./other", "kinds.v2={command: [y]}", "kinds.v2.class=gpu",
		"objective.direction=maximize")
	if f.Stop != (Stop{MaxExperiments: 100}) || f.Proposer.Seed != 8 || f.MaxConcurrency != 2 || !f.Objective.Maximize {
		t.Errorf("%+v, seed %d, concurrency %d, %+v", f.Stop, f.Proposer.Seed, f.MaxConcurrency, f.Objective)
	}
	if got := string(f.Initial[0].Payload); got != `{"lr":0.20,"hidden":64,"note":"a=b"}` {
		t.Errorf("payload: %s", got)
	}
	if d := f.Space[0]; d.Min != 0.01 || d.Max != 0.1 {
		t.Errorf("space.lr: %+v", d)
	}
	if len(f.Overrides) != 13 {
		t.Errorf("overrides: %q", f.Overrides)
	}
}

// TestOverrideKeyWithDots changes a kind whose name has a dot in it.
func TestOverrideKeyWithDots(t *testing.T) {
	t.Parallel()
	text := "{kinds: {v1.5: {command: [x]}}, initial: [{id: a, kind: v1.5}]}"
	f := mustParse(t, text, "kinds.v1.5.class=gpu")
	if len(f.Kinds) != 1 || f.Kinds[0].Class != "gpu" {
		t.Errorf("%+v", f.Kinds)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "search.yaml")
	if _, err := Read(path, nil); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := Read(dir, nil); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a directory: %v", err)
	}
	if err := os.WriteFile(path, []byte(charlm), 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := Read(path, []string{"name=x"})
	if err != nil || f.Name != "x" || f.Dir != dir || f.Path != path {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	words := []string{"timeout", "stall_timeout", "command", "class", "env"}
	for word, want := range map[string]string{
		"timout": "timeout", "Timeout": "timeout", "comand": "command", "clss": "class", "envs": "env", "x": "", "": "",
		"stalltimeout": "stall_timeout", "resources": "", "environment": "",
	} {
		if got := nearest(word, words); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(charlm), "stop.patience=3")
	f.Add([]byte(bowl), "kinds.experiment.command.1={{.payload.lr}}")
	f.Add([]byte("a: &a {b: *a, <<: *a}"), "a.b.c=1")
	data, err := os.ReadFile(filepath.Join("testdata", "refused.txt"))
	if err != nil {
		f.Fatal(err)
	}
	for _, part := range strings.Split(string(data), "\n=== ") {
		text, _, _ := strings.Cut(part, "\n>>> ")
		_, text, _ = strings.Cut(text, "\n")
		f.Add([]byte(text), "initial.0.id=x")
	}
	f.Fuzz(func(t *testing.T, data []byte, override string) {
		file, err := Parse("f.yaml", data, []string{override})
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without text")
			}
			return
		}
		for _, s := range file.Initial {
			if err := s.Validate(); err != nil {
				t.Errorf("an initial spec: %v", err)
			}
		}
		_ = file.Spec().Description()
	})
}
