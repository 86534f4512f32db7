package spec

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestDecodeResultFileRules(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{}`, `{"metrics":null,"children":null,"output":null,"failure":null,"other":[1]}`,
		`{"metrics":{"a":1},"metrics":null}`} {
		if got, err := DecodeResultFile([]byte(text)); err != nil || !reflect.DeepEqual(got, TaskResult{}) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	got, err := DecodeResultFile([]byte(`{"metrics":{"loss":0.5,"inf":-Infinity,"n":3,"huge":1e999},"children":[{"id":"c"}],
		"output":{ "path": "x" },"failure":{"message":"diverged"},"cost":0.25}`))
	want := TaskResult{
		Metrics:  map[string]float64{"loss": 0.5, "inf": math.Inf(-1), "n": 3, "huge": math.Inf(1)},
		Children: []TaskSpec{{ID: "c", Kind: "default", Payload: Payload("{}")}}, Output: json.RawMessage(`{"path":"x"}`), Cost: 250_000,
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
		`{"cost":-1}`:                                            "cost: -1 is no cost",
		`{"cost":NaN}`:                                           "cost: NaN is no cost",
		`{"cost":"3"}`:                                           "cost: must be a number, not a string",
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
