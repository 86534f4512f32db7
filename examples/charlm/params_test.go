package main

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestReadPayload(t *testing.T) {
	t.Parallel()
	p := defaultParams()
	if err := p.readPayload([]byte(`{"lr": 0.003, "hidden": 96.0, "optimizer": "adam", "batch": "64"}`)); err != nil {
		t.Fatal(err)
	}
	want := defaultParams()
	want.LR, want.Hidden, want.Optimizer, want.Batch = 0.003, 96, "adam", 64
	if p != want {
		t.Errorf("got %+v, want %+v", p, want)
	}
}

func TestReadPayloadRefuses(t *testing.T) {
	t.Parallel()
	for payload, parts := range map[string][]string{
		`{"lr": 5}`:                     {"payload.lr", `"5"`, "a number from 1e-05 to 2"},
		`{"lr": "NaN"}`:                 {"payload.lr", "a number from"},
		`{"hidden": 2.5}`:               {"payload.hidden", "a whole number from 8 to 192"},
		`{"hidden": 32.5}`:              {"payload.hidden", "a whole number from 8 to 192"},
		`{"optimizer": "lion"}`:         {"payload.optimizer", "sgd, momentum, adam"},
		`{"layers": [1]}`:               {"payload.layers", "from 1 to 2"},
		`{"batch": null}`:               {"payload.batch", "from 4 to 256"},
		`{"learning_rate": 1}`:          {"payload.learning_rate", "unknown", "context", "lr"},
		`{"budget": 1e12}`:              {"payload.budget", "unknown"},
		`{"context": 0, "schedule": 1}`: {"payload.context", "payload.schedule"},
		`[1]`:                           {"payload"},
	} {
		p := defaultParams()
		err := p.readPayload([]byte(payload))
		if err == nil {
			t.Errorf("%s was accepted", payload)
			continue
		}
		for _, part := range parts {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q does not mention %q", payload, err, part)
			}
		}
	}
}

// TestFieldsCoverParams checks that every parameter has a field of the name it
// has in a result, and a default that is allowed.
func TestFieldsCoverParams(t *testing.T) {
	t.Parallel()
	p := defaultParams()
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	var inResult map[string]any
	if err := json.Unmarshal(data, &inResult); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range p.fields() {
		names = append(names, f.name)
		if err := f.parse(f.text()); err != nil {
			t.Errorf("default of %s: %v", f.name, err)
		}
	}
	slices.Sort(names)
	if want := slices.Sorted(maps.Keys(inResult)); !slices.Equal(names, want) {
		t.Errorf("fields %v, want %v", names, want)
	}
	if p != defaultParams() {
		t.Errorf("the defaults changed when read back: %+v", p)
	}
}

// TestWorkflowAgrees checks workflow.yaml against the program: its baseline is
// the defaults, and every value of its space is allowed.
func TestWorkflowAgrees(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("workflow.yaml")
	if err != nil {
		t.Fatal(err)
	}
	baseline, space := defaultParams(), 0
	for _, match := range regexp.MustCompile(`(?m)^      (\w+): (\S+)$`).FindAllSubmatch(data, -1) {
		if err := baseline.set(string(match[1]), string(match[2])); err != nil {
			t.Errorf("baseline: %s: %v", match[1], err)
		}
	}
	if baseline != defaultParams() {
		t.Errorf("the baseline is %+v, the defaults are %+v", baseline, defaultParams())
	}
	for _, match := range regexp.MustCompile(`(?m)^  (\w+): \{\w+: \[(.*)\]\}$`).FindAllSubmatch(data, -1) {
		space++
		for value := range strings.SplitSeq(string(match[2]), ", ") {
			p := defaultParams()
			if err := p.set(string(match[1]), value); err != nil {
				t.Errorf("space: %s: %v", match[1], err)
			}
		}
	}
	if want := len(baseline.fields()) - 1; space != want { // all but the seed
		t.Errorf("the space has %d dimensions, want %d", space, want)
	}
}
