package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestDecodeFailureRecordRules(t *testing.T) {
	t.Parallel()
	minimal := FailureRecord{Kind: JobFailed, Phase: PhaseJob, Details: map[string]any{}}
	got, err := DecodeFailureRecord([]byte(`{"kind":"job_failed","phase":"job"}`))
	if err != nil || !reflect.DeepEqual(got, minimal) {
		t.Errorf("minimal: %+v, %v", got, err)
	}
	got, err = DecodeFailureRecord([]byte(`{"kind":"job_failed","phase":"job","message":null,"retryable":1,"details":{"x":NaN},
		"exception_type":null,"job_id":7,"created_at":null,"node":{"a": 1}}`))
	want := minimal
	want.Retryable, want.JobID, want.Details = true, "7", map[string]any{"x": json.Number("NaN")}
	want.Extra = []Field{field("node", `{"a":1}`)}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("full: %+v, %v", got, err)
	}
	written := `{"kind":"job_failed","phase":"job","message":"","retryable":true,"details":{"x":NaN},"exception_type":null,` +
		`"job_id":"7","created_at":null,"node":{"a":1}}`
	if got := string(want.AppendJSON(nil)); got != written {
		t.Errorf("written: %s", got)
	}
	strict, err := json.Marshal(want)
	if err != nil || string(strict) != strings.Replace(written, "NaN", `"NaN"`, 1) {
		t.Errorf("strict: %s, %v", strict, err)
	}
}

func TestDecodeFailureRecordErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"phase":"job"}`: "kind: is missing", `{"kind":"job_failed"}`: "phase: is missing",
		`{"kind":"x","phase":"job"}`:                                `kind: unknown value "x"`,
		`{"kind":"job_failed","phase":"x"}`:                         `phase: unknown value "x"`,
		`{"kind":null,"phase":"job"}`:                               "kind: must not be null",
		`{"kind":"job_failed","phase":"job","details":null}`:        "details: must be an object, not null",
		`{"kind":"job_failed","phase":"job","details":[]}`:          "details: must be an object, not a list",
		`{"kind":"job_failed","phase":"job","retryable":"yes"}`:     "retryable: must be true or false, not a string",
		`{"kind":"job_failed","phase":"job","details":{"a":[1}}`:    "details: expected ',' or ']'",
		`{"kind":"job_failed","phase":"job","details":{},"x":NaN-}`: "expected ',' or '}'",
		`"job_failed"`: "must be an object, not a string",
	} {
		if _, err := DecodeFailureRecord([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestFailureDetailsOfGo(t *testing.T) {
	t.Parallel()
	record := FailureRecord{Kind: JobFailed, Phase: PhaseJob, Details: map[string]any{
		"cause": CauseExit, "code": 3, "argv": []string{"a"}, "list": []any{1, struct{ X int }{2}}, "z": 1i,
	}}
	want := `"details":{"argv":["a"],"cause":"exit","code":3,"list":"[1 {2}]","z":"(0+1i)"}`
	if got := string(record.AppendJSON(nil)); !strings.Contains(got, want) {
		t.Errorf("%s", got)
	}
}

func TestDecodeHypothesisNodeRules(t *testing.T) {
	t.Parallel()
	got, err := DecodeHypothesisNode([]byte(`{"node_id":1,"name":"n"}`))
	want := HypothesisNode{NodeID: "1", Name: "n", Status: StatusQueued, Spec: Payload("{}"), Children: []string{}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("minimal: %+v, %v", got, err)
	}
	at, took := math.Inf(1), 2.0
	got, err = DecodeHypothesisNode([]byte(`{"node_id":"1","name":"n","status":"odd","launched_at":Infinity,"duration":2,
		"spec":[],"children":["a",2],"parent_id":"p","result":[ 1 ],"priority":"-3","mood":{},"failure":{"kind":"job_failed","phase":"job"}}`))
	want = HypothesisNode{
		NodeID: "1", Name: "n", ParentID: "p", Status: "odd", LaunchedAt: &at, Duration: &took, Spec: Payload("{}"),
		Children: []string{"a", "2"}, Result: json.RawMessage(`[1]`), Priority: -3, Extra: []Field{field("mood", `{}`)},
		Failure: &FailureRecord{Kind: JobFailed, Phase: PhaseJob, Details: map[string]any{}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("full: %+v, %v", got, err)
	}
	strict, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var back HypothesisNode
	if err := json.Unmarshal(strict, &back); err != nil || !reflect.DeepEqual(back, want) {
		t.Errorf("strict: %+v, %v", back, err)
	}
}

func TestDecodeTreeErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{}`: "must be a list", `[{"name":"n"}]`: "[0].node_id: is missing", `[{"node_id":"a"}]`: "[0].name: is missing",
		`[{"node_id":"a","name":"n","children":null}]`:                             "[0].children: must be a list, not null",
		`[{"node_id":"a","name":"n","children":["x",tru]}]`:                        "[0].children[1]: expected a value",
		`[{"node_id":"a","name":"n","duration":"long"}]`:                           "[0].duration: the string",
		`[{"node_id":"a","name":"n","failure":{"kind":"job_failed","phase":"?"}}]`: "[0].failure.phase: unknown value",
	} {
		if _, err := DecodeTree([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestEncodeTree(t *testing.T) {
	t.Parallel()
	if got := string(EncodeTree(nil)); got != "[]\n" {
		t.Errorf("empty: %q", got)
	}
	minimal := strings.TrimSpace(string(readSeed(t, "hypothesis_node.minimal.json")))
	minimal = strings.Replace(minimal, "-1000", "-1000.0", 1)
	nodes, err := DecodeTree([]byte("[" + minimal + "]"))
	if err != nil {
		t.Fatal(err)
	}
	want := "[\n  " + strings.ReplaceAll(minimal, "\n", "\n  ") + "\n]\n"
	if got := string(EncodeTree(nodes)); got != want {
		t.Errorf("%s", got)
	}
}

func TestAnalysisResultRules(t *testing.T) {
	t.Parallel()
	if got, err := DecodeAnalysisResult([]byte(`{}`)); err != nil || !reflect.DeepEqual(got, AnalysisResult{}) {
		t.Errorf("empty: %+v, %v", got, err)
	}
	text := `{"structured":[1],"duration":1.5,"improved":true,"failure":null,"more":1}`
	result, err := DecodeAnalysisResult([]byte(text))
	if err != nil || string(result.AppendJSON(nil)) != text {
		t.Errorf("%s, %v", result.AppendJSON(nil), err)
	}
	var back AnalysisResult
	if err := json.Unmarshal([]byte(text), &back); err != nil || !reflect.DeepEqual(back, result) {
		t.Errorf("%+v, %v", back, err)
	}
	if strict, err := json.Marshal(AnalysisResult{}); err != nil || string(strict) != `{"structured":null,"duration":null,"improved":false,"failure":null}` {
		t.Errorf("%s, %v", strict, err)
	}
	for text, want := range map[string]string{`{"improved":"no"}`: "improved: must be true or false", `[]`: "must be an object"} {
		if _, err := DecodeAnalysisResult([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDecodeEngineStateRules(t *testing.T) {
	t.Parallel()
	got, err := DecodeEngineState([]byte(`{}`))
	if err != nil || got.Status != StatusRunning || got.Queued == nil || got.Running == nil || got.HasSpecs() {
		t.Errorf("empty: %+v, %v", got, err)
	}
	got, err = DecodeEngineState([]byte(`{"schema_version":2,"status":"odd","running":[{"id":"r"}],"queued":[{"id":"q"}]}`))
	if err != nil || got.Status != "odd" || !reflect.DeepEqual(got.Extra, []Field{field("schema_version", `2`)}) {
		t.Errorf("full: %+v, %v", got, err)
	}
	if resume := got.Resume(); len(resume) != 2 || resume[0].ID != "q" || resume[1].ID != "r" {
		t.Errorf("resume: %+v", resume)
	}
	for text, want := range map[string]string{
		`[]`: "must be an object, not a list", `{"queued":null}`: "queued: must be a list, not null",
		`{"running":{}}`: "running: must be a list, not an object", `{"queued":[null]}`: "queued[0]: must be an object, not null",
		`{"running":[{"id":"a"},{"id":""}]}`:   "running[1].id: must not be empty",
		`{"queued":[{"id":"a","priority":[]}`:  "queued[0].priority: must be a number, not a list",
		`{"status":"running","queued":[{"id":`: "queued[0].id: the text ends",
		`{"queued":[{"id":"a"}],"x":[}`:        "x: expected a value",
	} {
		if _, err := DecodeEngineState([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestLoadOrInit(t *testing.T) {
	t.Parallel()
	fresh := []TaskSpec{{ID: "fresh"}}
	load := func(dir string) (string, error) {
		tasks, err := LoadOrInit(dir, func() ([]TaskSpec, error) { return fresh, nil })
		var ids []string
		for _, task := range tasks {
			ids = append(ids, string(task.ID))
		}
		return strings.Join(ids, " "), err
	}
	tests := []struct{ state, checkpoint, want, wantErr string }{
		{"", "", "fresh", ""},
		{`{"status":"stopped"}`, "", "fresh", ""},
		{`{"running":[{"id":"r"}],"queued":[{"id":"q"}]}`, `{"queued":[{"id":"c"}]}`, "q r", ""},
		{`{"status":"stopped"}`, `{"queued":[{"id":"c"}],"schema_version":1}`, "c", ""},
		{"", `{"running":[{"id":"c"}]}`, "c", ""},
		{`{"queued":[{"priority":1}]}`, `{"queued":[{"id":"c"}]}`, "", "engine_state.json: queued[0].id: is missing"},
		{"", `{"queued":1}`, "", "checkpoint.json: queued: must be a list"},
	}
	for i, test := range tests {
		dir := t.TempDir()
		writeTestFile(t, filepath.Join(dir, "engine_state.json"), test.state)
		writeTestFile(t, filepath.Join(dir, "engine", "checkpoint.json"), test.checkpoint)
		got, err := load(dir)
		if got != test.want || (err == nil) != (test.wantErr == "") {
			t.Errorf("%d: %q, %v", i, got, err)
		}
		if err != nil && (!strings.Contains(err.Error(), test.wantErr) || !strings.Contains(err.Error(), dir)) {
			t.Errorf("%d: error %v", i, err)
		}
	}
}

// writeTestFile writes a file unless the text is empty.
func writeTestFile(t *testing.T, path, text string) {
	t.Helper()
	if text == "" {
		return
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDecodeResultFileRules(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{}`, `{"metrics":null,"children":null,"output":null,"failure":null,"other":[1]}`,
		`{"metrics":{"a":1},"metrics":null}`} {
		if got, err := DecodeResultFile([]byte(text)); err != nil || !reflect.DeepEqual(got, TaskResult{}) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	got, err := DecodeResultFile([]byte(`{"metrics":{"loss":0.5,"inf":-Infinity,"n":3,"huge":1e999},"children":[{"id":"c"}],
		"output":{ "path": "x" },"failure":{"message":"diverged"}}`))
	want := TaskResult{
		Metrics:  map[string]float64{"loss": 0.5, "inf": math.Inf(-1), "n": 3, "huge": math.Inf(1)},
		Children: []TaskSpec{{ID: "c", Kind: "default", Payload: Payload("{}")}}, Output: json.RawMessage(`{"path":"x"}`),
		Failure: &FailureRecord{Kind: JobFailed, Phase: PhaseJob, Message: "diverged", Details: map[string]any{}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("full: %+v, %v", got, err)
	}
	again, err := DecodeResultFile(EncodeResultFile(got))
	if err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("again: %+v, %v", again, err)
	}
	nan, err := DecodeResultFile([]byte(`{"metrics":{"loss":NaN}}`))
	if err != nil || !math.IsNaN(nan.Metrics["loss"]) {
		t.Errorf("NaN: %+v, %v", nan, err)
	}
}

func TestDecodeResultFileErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`[]`: "must be an object", ``: "the text is empty", `{"metrics":[]}`: "metrics: must be an object, not a list",
		`{"metrics":{"loss":"0.5"}}`:                             "metrics.loss: must be a number, not a string",
		`{"metrics":{"loss":true}}`:                              "metrics.loss: must be a number, not a boolean",
		`{"metrics":{"loss":null}}`:                              "metrics.loss: must be a number, not null",
		`{"metrics":{"loss":1` + strings.Repeat("0", 400) + `}}`: "metrics.loss: the integer",
		`{"children":[{"id":"a"},{"id":"b"},{"kind":"c"}]}`:      "children[2].id: is missing",
		`{"children":{}}`:                                        "children: must be a list, not an object",
		`{"output":[1]}`:                                         "output: must be an object, not a list",
		`{"failure":"bad"}`:                                      "failure: must be an object, not a string",
		`{"failure":{"kind":"bad"}}`:                             `failure.kind: unknown value "bad"`,
		`{"failure":{"details":null}}`:                           "failure.details: must be an object, not null",
		`{"metrics":{"loss":1.}}`:                                "metrics.loss: a number without digits",
		`{"metrics":{"loss":0.5}`:                                "expected ',' or '}'",
		`{"other":{"a":"` + "\x01" + `"},"output":{}`:            "other: the control character 0x01",
	} {
		if _, err := DecodeResultFile([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v", clip(text), err)
		}
	}
}

func TestEncodeName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "=", "exp_001-a": "exp_001-a", "a.b.*.>": "a=2Eb=2E=2A=2E=3E", ".": "=2E", "..": "=2E=2E", "=": "=3D",
		"é": "=C3=A9", "a/b c": "a=2Fb=20c", strings.Repeat("x", 120): strings.Repeat("x", 120),
		strings.Repeat("x", 121): strings.Repeat("x", 86) + "==" + "HASH",
	} {
		sum := sha256.Sum256([]byte(text))
		want = strings.Replace(want, "HASH", hex.EncodeToString(sum[:16]), 1)
		got := EncodeName(text)
		if got != want {
			t.Errorf("%q: %s", clip(text), got)
		}
	}
	// A cut never leaves half an escape.
	for indent := range 3 {
		text := strings.Repeat("x", indent) + strings.Repeat("é", 60)
		got := EncodeName(text)
		prefix, _, hashed := strings.Cut(got, "==")
		if start, ok := DecodeName(prefix); !ok || !hashed || !strings.HasPrefix(text, start) || len(got) > NameSizeMax {
			t.Errorf("%s", got)
		}
	}
	for _, token := range []string{"", ".", "a.b", "=2", "=2e", "=41", "a=", "==", "=G0", "x==" + strings.Repeat("0", 32), strings.Repeat("x", 121)} {
		if text, ok := DecodeName(token); ok {
			t.Errorf("%q decoded to %q", token, text)
		}
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	registry := NewRegistry()
	if _, err := registry.Lookup("x"); err == nil || !strings.Contains(err.Error(), "known: none") {
		t.Errorf("empty: %v", err)
	}
	factory := func([]string, string) (WorkflowSpec, error) { return nil, nil }
	for _, name := range []string{"pkg.mod:make", "command"} {
		if err := registry.Register(name, factory); err != nil {
			t.Error(err)
		}
	}
	if err := registry.Register("command", factory); err == nil {
		t.Error("registered twice")
	}
	if registry.Register("", factory) == nil || registry.Register("x", nil) == nil {
		t.Error("registered nothing")
	}
	if f, err := registry.Lookup("command"); err != nil || f == nil {
		t.Errorf("lookup: %v", err)
	}
	if _, err := registry.Lookup("x"); err == nil || !strings.Contains(err.Error(), "known: command, pkg.mod:make") {
		t.Errorf("unknown: %v", err)
	}
	if names := registry.Names(); !slices.Equal(names, []string{"command", "pkg.mod:make"}) {
		t.Errorf("names: %v", names)
	}
}

func TestObjectiveImproves(t *testing.T) {
	t.Parallel()
	nan, inf := math.NaN(), math.Inf(1)
	for _, test := range []struct {
		maximize    bool
		value, best float64
		hasBest     bool
		want        bool
	}{
		{false, 1, 0, false, true}, {false, 1, 2, true, true}, {false, 2, 2, true, false}, {false, 3, 2, true, false},
		{true, 3, 2, true, true}, {true, 1, 2, true, false}, {false, nan, 2, true, false}, {false, nan, 0, false, false},
		{true, inf, 2, true, false}, {false, -inf, 2, true, false}, {false, 1, nan, true, true}, {false, 1, -inf, true, true},
	} {
		if got := (Objective{"m", test.maximize}).Improves(test.value, test.best, test.hasBest); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}
