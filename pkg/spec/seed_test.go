package spec

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func readSeed(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "seed", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// seedRewrites maps each file of the original to a function that reads it and writes it again.
func seedRewrites() map[string]func([]byte) ([]byte, error) {
	state := func(text []byte) ([]byte, error) {
		state, err := DecodeEngineState(text)
		return state.AppendIndented(nil), err
	}
	node := func(text []byte) ([]byte, error) {
		node, err := DecodeHypothesisNode(text)
		return node.AppendJSON(nil), err
	}
	return map[string]func([]byte) ([]byte, error){
		"engine_state.empty_stopped.json": state,
		"engine_state.interrupted.json":   state,
		"engine_state.unicode.json":       state,
		"hypothesis_node.failed.json":     node,
		"hypothesis_node.minimal.json":    node,
		"failure_record.json": func(text []byte) ([]byte, error) {
			record, err := DecodeFailureRecord(text)
			return record.AppendJSON(nil), err
		},
	}
}

// sameMeaning compares two files as Python would: 1 equals 1.0, key order does not matter.
func sameMeaning(t *testing.T, a, b []byte) bool {
	t.Helper()
	return reflect.DeepEqual(pythonValue(t, a), pythonValue(t, b))
}

func pythonValue(t *testing.T, text []byte) any {
	t.Helper()
	value, err := DecodeValue(text)
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return plainNumbers(value)
}

// plainNumbers makes whole floats integers.
func plainNumbers(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, item := range value {
			value[key] = plainNumbers(item)
		}
	case []any:
		for i, item := range value {
			value[i] = plainNumbers(item)
		}
	case json.Number:
		return strings.TrimSuffix(string(appendNumberMeaning(nil, []byte(value))), ".0")
	}
	return value
}

func TestSeedFilesKeepTheirMeaning(t *testing.T) {
	t.Parallel()
	for name, rewrite := range seedRewrites() {
		text := readSeed(t, name)
		rewritten, err := rewrite(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !sameMeaning(t, text, rewritten) {
			t.Errorf("%s changed its meaning:\n%s", name, rewritten)
		}
	}
}

func TestSeedStatesKeepTheirBytes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"engine_state.empty_stopped.json", "engine_state.interrupted.json", "engine_state.unicode.json",
	} {
		text := readSeed(t, name)
		state, err := DecodeEngineState(text)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(string(text), `"priority": -1000,`, `"priority": -1000.0,`)
		if got := string(state.AppendIndented(nil)); got != want {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}

func TestSeedStateFields(t *testing.T) {
	t.Parallel()
	state, err := DecodeEngineState(readSeed(t, "engine_state.unicode.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(state.Queued) != 1 || len(state.Running) != 1 || state.Status != StatusRunning {
		t.Fatalf("state %+v", state)
	}
	task := state.Queued[0]
	if task.ID != "naïve/µ-lr ☃.v2" || task.Priority != -1000 || task.Kind != "экспорт" {
		t.Errorf("task %+v", task)
	}
	payload, err := task.Payload.Decode()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"k\u2028ey": "tab\t nl\n quote\" back\\ null\x00",
		"emoji":     "🧪",
		"nested": map[string]any{
			"a":   []any{nil, true, false, map[string]any{"b": json.Number("-0.0")}},
			"big": json.Number("123456789012345678901234567890"),
		},
	}
	if !reflect.DeepEqual(payload, want) {
		t.Errorf("payload %#v", payload)
	}
	if resume := state.Resume(); len(resume) != 2 || resume[1].ID != "a.b.*.>" || resume[1].Priority != 1e-7 {
		t.Errorf("resume %+v", resume)
	}
}

func TestSeedEnums(t *testing.T) {
	t.Parallel()
	var enums struct {
		Kinds    []FailureKind  `json:"failure_kinds"`
		Phases   []FailurePhase `json:"failure_phases"`
		Statuses []string       `json:"terminal_statuses"`
	}
	if err := json.Unmarshal(readSeed(t, "enums.json"), &enums); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(enums.Kinds, FailureKinds()) || !reflect.DeepEqual(enums.Phases, FailurePhases()) ||
		!reflect.DeepEqual(enums.Statuses, TerminalStatuses()) {
		t.Errorf("enums differ: %+v", enums)
	}
}

func TestSeedFailureFields(t *testing.T) {
	t.Parallel()
	record, err := DecodeFailureRecord(readSeed(t, "failure_record.json"))
	want := FailureRecord{
		Kind: JobStartupFailed, Phase: PhaseJob, Message: "worker died before first step", Retryable: true,
		Details:       map[string]any{"exit_code": json.Number("137"), "component": "loader"},
		ExceptionType: "builtins.MemoryError", JobID: "job-42", CreatedAt: "2026-05-27T10:11:12",
	}
	if err != nil || !reflect.DeepEqual(record, want) {
		t.Errorf("record %+v, %v", record, err)
	}
	node, err := DecodeHypothesisNode(readSeed(t, "hypothesis_node.failed.json"))
	if err != nil || !reflect.DeepEqual(node.Failure, &want) || *node.LaunchedAt != 1766000000.25 || *node.Duration != 61.5 {
		t.Errorf("node %+v, %v", node, err)
	}
}
