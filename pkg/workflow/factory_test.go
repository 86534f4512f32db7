package workflow

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"autoresearch/pkg/spec"
)

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFactory(t *testing.T) {
	t.Parallel()
	dir, elsewhere := t.TempDir(), t.TempDir()
	path := writeFile(t, filepath.Join(dir, "search.yaml"), charlm)
	odd := writeFile(t, filepath.Join(dir, "a=b.yaml"), charlm)
	cases := []struct {
		argv, tail []string
		dir        string
	}{
		{[]string{path}, []string{path}, dir},
		{[]string{path, "name=x", "stop.patience=3"}, []string{path, "name=x", "stop.patience=3"}, dir},
		{[]string{"name=x", path, "--dir", elsewhere}, []string{path, "--dir", elsewhere, "name=x"}, elsewhere},
		{[]string{"--dir=" + elsewhere, path}, []string{path, "--dir", elsewhere}, elsewhere},
		{[]string{path, "--dir", dir + "/."}, []string{path}, dir},
		{[]string{odd, "name=x"}, []string{odd, "name=x"}, dir},
	}
	for _, c := range cases {
		made, err := Factory(c.argv, "")
		if err != nil {
			t.Errorf("%q: %v", c.argv, err)
			continue
		}
		if got := made.EngineArgvTail(); !reflect.DeepEqual(got, c.tail) {
			t.Errorf("%q: tail %q, want %q", c.argv, got, c.tail)
		}
		if got := made.(*Spec).File().Dir; got != c.dir {
			t.Errorf("%q: dir %q, want %q", c.argv, got, c.dir)
		}
		again, err := Factory(made.EngineArgvTail(), "")
		if err != nil || again.Description() != made.Description() {
			t.Errorf("%q: the tail makes another spec, %v", c.argv, err)
		}
	}
}

func TestFactoryErrors(t *testing.T) {
	t.Parallel()
	path := writeFile(t, filepath.Join(t.TempDir(), "search.yaml"), charlm)
	for _, c := range []struct {
		argv []string
		want string
	}{
		{nil, "a workflow file is needed"},
		{[]string{"name=x"}, "a workflow file is needed"},
		{[]string{path, "other.yaml"}, "other.yaml: neither key=value nor the one workflow file, which is " + path},
		{[]string{path, "--dir"}, "--dir: not an option with a value"},
		{[]string{path, "--verbose"}, "--verbose: not an option"},
		{[]string{path, "stop.patence=1"}, "override stop.patence=1: stop.patence: unknown key; did you mean patience?"},
		{[]string{path + ".missing"}, "no such file"},
	} {
		if made, err := Factory(c.argv, ""); err == nil || made != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, %v, want %s", c.argv, made, err, c.want)
		}
	}
}

// TestFactoryOfAWorkdir reads the copy that is kept in a workdir.
func TestFactoryOfAWorkdir(t *testing.T) {
	t.Parallel()
	workdir := t.TempDir()
	if _, err := Factory(nil, workdir); err == nil || !strings.Contains(err.Error(), CopyName) {
		t.Errorf("without a copy: %v", err)
	}
	writeFile(t, filepath.Join(workdir, CopyName), charlm)
	made, err := Factory([]string{"--dir", "/srv"}, workdir)
	if err != nil || made.(*Spec).File().Dir != "/srv" {
		t.Errorf("%v, %v", made, err)
	}
}

func TestSpec(t *testing.T) {
	t.Parallel()
	s := mustParse(t, charlm).Spec()
	want := "charlm searches for the lowest val_bpb, running up to 4 experiments at once. " +
		"An experiment of kind experiment runs ./train in class cpu for at most 10m, retried up to 2 times. " +
		"It begins with 1 initial spec; more are varied from the best in the space of lr, hidden, layers, dropout. " +
		"It ends after 60 experiments, or once 20 experiments in a row brought no improvement, or after 2h of active time."
	if got := s.Description(); got != want {
		t.Errorf("description:\n%s\nwant\n%s", got, want)
	}
	known := s.SupervisorKnownConfig()
	if filepath.Base(known["workflow"]) != "search.yaml" || !filepath.IsAbs(known["workflow"]) {
		t.Errorf("workflow: %q", known["workflow"])
	}
	delete(known, "workflow")
	if want := map[string]string{
		"name": "charlm", "objective": "minimize val_bpb", "max_concurrency": "4",
		"stop.max_experiments": "60", "stop.patience": "20", "stop.max_duration": "2h",
	}; !maps.Equal(known, want) {
		t.Errorf("known: %v", known)
	}
	if missing := s.SupervisorMissingConfig(); len(missing) != 0 || s.MaxConcurrency() != 4 {
		t.Errorf("missing: %q, concurrency %d", missing, s.MaxConcurrency())
	}

	s = mustParse(t, "{name: bare, kinds: {a: {command: [x]}}, space: {b: {int: [1, 2]}}}").Spec()
	want = "bare searches for nothing in particular, running up to 1 experiment at once. An experiment of kind a runs x in class cpu. " +
		"It begins with what the proposer gives; more are drawn at random from the space of b. " +
		"No stop rule ends it before there is nothing left to run."
	if got := s.Description(); got != want {
		t.Errorf("description:\n%s\nwant\n%s", got, want)
	}
	if missing := s.SupervisorMissingConfig(); !slices.Equal(missing, []string{"objective", "stop"}) {
		t.Errorf("missing: %q", missing)
	}
}

// TestDescriptions reads the sentences that differ by workflow.
func TestDescriptions(t *testing.T) {
	t.Parallel()
	for file, want := range map[string]string{
		asking: "It begins with what the proposer gives; ./think proposes more.",
		wide:   "other searches for the highest loss",
		"{kinds: {default: {command: [x]}}, initial: [{id: a}, {id: b}]}":                    "It begins with 2 initial specs; more come only from the results of experiments.",
		"{kinds: {default: {command: [x], timeout: 90s}}, initial: [{id: a}]}":               "for at most 1m30s.",
		"{kinds: {default: {command: [x], retries: 1}}, initial: [{id: a}]}":                 "in class cpu, retried up to 1 time.",
		"{kinds: {default: {command: [x]}}, initial: [{id: a}], stop: {max_experiments: 1}}": "It ends after 1 experiment.",
	} {
		if got := mustParse(t, file, "name=other").Spec().Description(); !strings.Contains(got, want) {
			t.Errorf("%s\nlacks\n%s", got, want)
		}
	}
}

func TestSetupAndBuild(t *testing.T) {
	t.Parallel()
	s := mustParse(t, charlm).Spec()
	workdir := filepath.Join(t.TempDir(), "a", "b")
	for range 2 {
		if err := s.Setup(t.Context(), workdir); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Setup(t.Context(), ""); err == nil {
		t.Error("Setup without a workdir")
	}
	if err := s.Setup(t.Context(), writeFile(t, filepath.Join(workdir, "file"), "")); err == nil {
		t.Error("Setup of a file")
	}
	built, err := s.BuildWorkflow(t.Context(), workdir)
	if err != nil {
		t.Fatal(err)
	}
	if specs, err := built.Load(t.Context()); err != nil || ids(specs) != "baseline" {
		t.Errorf("%q, %v", ids(specs), err)
	}
}

func TestRegistered(t *testing.T) {
	t.Parallel()
	registry := spec.NewRegistry()
	if err := registry.Register(FactoryName, Factory); err != nil {
		t.Error(err)
	}
}

// TestSchema holds the keys of the schema to those of the reader.
func TestSchema(t *testing.T) {
	t.Parallel()
	var root struct {
		Schema string            `json:"$schema"`
		Defs   map[string]object `json:"$defs"`
	}
	var top object
	if err := errors.Join(json.Unmarshal(Schema(), &root), json.Unmarshal(Schema(), &top)); err != nil {
		t.Fatal(err)
	}
	if root.Schema != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("$schema: %q", root.Schema)
	}
	r, f := &reader{}, &File{}
	for name, section := range map[string]struct {
		schema object
		keys   keys
	}{
		"file":        {top, r.fileKeys(f)},
		"objective":   {top.Properties["objective"], r.objectiveKeys(f)},
		"limits":      {top.Properties["limits"], r.limitsKeys(&f.Limits)},
		"stop":        {top.Properties["stop"], r.stopKeys(&f.Stop)},
		"prices":      {top.Properties["prices"], r.pricesKeys(&f.Prices)},
		"allowance":   {root.Defs["allowance"], r.allowanceKeys(&spec.Allowance{})},
		"price":       {root.Defs["price"], r.priceKeys(&spec.Price{})},
		"kind":        {root.Defs["kind"], r.kindKeys(&Kind{})},
		"kind limits": {root.Defs["kind"].Properties["limits"], r.processLimitKeys(&spec.ProcessLimits{})},
		"initial":     {root.Defs["initial"], r.initialKeys(&spec.TaskSpec{})},
		"dimension":   {root.Defs["dimension"], r.dimensionKeys(&Dimension{})},
		"notify":      {root.Defs["notification"], r.notificationKeys(&spec.Notification{})},
		"proposer":    {root.Defs["proposer"], r.proposerKeys(&Proposer{})},
	} {
		got, want := slices.Sorted(maps.Keys(section.schema.Properties)), slices.Sorted(maps.Keys(section.keys))
		if !slices.Equal(got, want) {
			t.Errorf("%s: the schema has %q, the reader %q", name, got, want)
		}
		if section.schema.Additional == nil || *section.schema.Additional {
			t.Errorf("%s: the schema takes unknown keys", name)
		}
	}
	for name, object := range root.Defs {
		for key, property := range object.Properties {
			if ref := strings.TrimPrefix(property.Ref, "#/$defs/"); property.Ref != "" && root.Defs[ref].empty() {
				t.Errorf("%s.%s refers to %s, which there is not", name, key, property.Ref)
			}
		}
	}
}

// object is the part of a JSON Schema that the test looks at.
type object struct {
	Type       any
	Ref        string `json:"$ref"`
	Properties map[string]object
	Additional *bool `json:"-"`
}

func (o object) empty() bool { return o.Type == nil && o.Properties == nil }

func (o *object) UnmarshalJSON(data []byte) error {
	type plain object
	var read struct {
		plain
		Additional any `json:"additionalProperties"`
	}
	if err := json.Unmarshal(data, &read); err != nil {
		return err
	}
	*o = object(read.plain)
	if value, ok := read.Additional.(bool); ok {
		o.Additional = &value
	}
	return nil
}
