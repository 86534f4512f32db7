package spec

import (
	"encoding/json"
	"math"
	"reflect"
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

func TestRulesOfAKind(t *testing.T) {
	t.Parallel()
	r := Rules{Kinds: map[string]KindRule{"big": {Class: "gpu"}, "propose": {Uncounted: true}, KindDefault: {Class: "cpu2"}}}
	for kind, want := range map[string]KindRule{
		"big": {Class: "gpu"}, "propose": {Class: ClassDefault, Uncounted: true}, "unlisted": {Class: "cpu2"},
	} {
		if got := r.Of(kind); got != want {
			t.Errorf("kind %s goes by %+v, want %+v", kind, got, want)
		}
	}
	if got := (&Rules{}).Of("any"); got != (KindRule{Class: ClassDefault}) {
		t.Errorf("without rules: %+v", got)
	}
}
