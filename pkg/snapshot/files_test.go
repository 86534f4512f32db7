package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"autoresearch/pkg/spec"
)

func TestFactoryRoundTrip(t *testing.T) {
	t.Parallel()
	for _, factory := range []Factory{
		{Spec: "my.module:make"},
		{Spec: "command", Workflow: "search.yaml", Argv: []string{"--lr", "é\n"}, Dir: "/home/x",
			Extra: []spec.Field{{Name: "more", Value: json.RawMessage(`{"a":NaN}`)}}},
		{Spec: "command", Argv: []string{}},
	} {
		workdir := t.TempDir()
		if err := WriteFactory(workdir, factory); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadFactory(workdir); err != nil || !reflect.DeepEqual(got, factory) {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestFactoryFileIsTheOriginals(t *testing.T) {
	t.Parallel()
	workdir := t.TempDir()
	if err := WriteFactory(workdir, Factory{Spec: "a.b:c"}); err != nil {
		t.Fatal(err)
	}
	if got := mustRead(t, filepath.Join(workdir, FactoryFile)); got != "{\n  \"spec\": \"a.b:c\"\n}\n" {
		t.Errorf("%q", got)
	}
	mustWrite(t, filepath.Join(workdir, FactoryFile), `{"spec": "x.y:z", "workflow": null}`)
	if got, err := ReadFactory(workdir); err != nil || !reflect.DeepEqual(got, Factory{Spec: "x.y:z"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRunRoundTrip(t *testing.T) {
	t.Parallel()
	file := openState(t, t.TempDir())
	run := RunRecord{RunID: "2f1c", Run: "naïve", JournalSeq: math.MaxUint64, Epoch: 7,
		Extra: []spec.Field{{Name: "later", Value: json.RawMessage(`[1]`)}}}
	if err := WriteRun(file.workdir, run); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadRun(file.workdir); err != nil || !reflect.DeepEqual(got, run) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSmallFilesThatAreNotThere(t *testing.T) {
	t.Parallel()
	workdir := t.TempDir()
	if _, err := ReadFactory(workdir); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := ReadRun(workdir); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := WriteRun(workdir, RunRecord{}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestCorruptSmallFiles(t *testing.T) {
	t.Parallel()
	factory := func(workdir string) error { _, err := ReadFactory(workdir); return err }
	run := func(workdir string) error { _, err := ReadRun(workdir); return err }
	for _, test := range []struct {
		name, text, want string
		read             func(string) error
	}{
		{FactoryFile, ``, "the text is empty", factory}, {FactoryFile, `{}`, "spec: is missing", factory},
		{FactoryFile, `{"spec":1}`, "spec: must be a string", factory}, {FactoryFile, `[]`, "must be an object", factory},
		{FactoryFile, `{"spec":"a","argv":"b"}`, "argv: must be a list of strings", factory},
		{FactoryFile, `{"spec":"a","argv":[1]}`, "argv: [0]: must be a string", factory},
		{RunFile, `{"run_id":"a"`, "expected ',' or '}'", run}, {RunFile, `{"run_id":"a","run":"b","epoch":1}`, "journal_seq: is missing", run},
		{RunFile, `{"run_id":"a","run":"b","epoch":-1,"journal_seq":1}`, "epoch: must be a whole number", run},
		{RunFile, `{"run_id":"a","run":"b","epoch":1,"journal_seq":1.5}`, "journal_seq: must be a whole number", run},
	} {
		workdir := t.TempDir()
		path := filepath.Join(workdir, test.name)
		mustWrite(t, path, test.text)
		err := test.read(workdir)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.text, err)
		}
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	decode := func(text string) spec.EngineState {
		state, err := spec.DecodeEngineState([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return state
	}
	old := `{"status":"interrupted","queued":[{"id":"a","payload":{"lr":0.1,"é":1,"gone":[1]}},{"id":"b","priority":2},{"id":"c"},{"id":"d"}],"running":[{"id":"r"}]}`
	tests := []struct{ new, want string }{
		{old, ``},
		{`{"status":"interrupted","queued":[{"id":"a","payload":{"\u00e9":1,"gone":[1],"lr":0.10}},{"id":"b","priority":"2"},{"id":"c"},{"id":"d"}],"running":[{"id":"r"}]}`, ``},
		{`{"status":"running","queued":[{"id":"a","payload":{"lr":0.2,"é":1,"new":null}},{"id":"b","priority":-5,"kind":"x"},{"id":"d","parent":"a"},{"id":"r"},{"id":"e"}]}`,
			`status: "interrupted" -> "running"
- "c": removed from queued (priority 0)
~ "a": payload key "gone" removed (was [1])
~ "a": payload key "lr": 0.1 -> 0.2
~ "a": payload key "new" added: null
~ "b": priority 2 -> -5
~ "b": kind "default" -> "x"
~ "d": parent "" -> "a"
~ "r": moved from running to queued
+ "e": added to queued (priority 0, kind "default", payload {})
`},
		{`{"status":"interrupted","queued":[{"id":"a","payload":{"lr":0.1,"é":1,"gone":[1]}},{"id":"c"},{"id":"b","priority":2},{"id":"d"}],"running":[{"id":"r"}]}`,
			"the tasks stand in another order, which counts among equal priorities\n"},
	}
	for i, test := range tests {
		if got := Diff(decode(old), decode(test.new)); got != test.want {
			t.Errorf("%d:\n%s", i, got)
		}
	}
}

func TestDiffMatchesEqualIDs(t *testing.T) {
	t.Parallel()
	twice := stateOf(spec.StatusRunning, "a", "a")
	if got := Diff(twice, twice); got != "" {
		t.Errorf("%s", got)
	}
	if got := Diff(twice, stateOf(spec.StatusRunning, "a")); got != "- \"a\": removed from queued (priority 0)\n" {
		t.Errorf("%s", got)
	}
}

func TestDiffIsBounded(t *testing.T) {
	t.Parallel()
	var ids []string
	for i := range 10_000 {
		ids = append(ids, fmt.Sprint(strings.Repeat("x", 1000), i))
	}
	got := Diff(stateOf(spec.StatusRunning), stateOf(spec.StatusRunning, ids...))
	if !strings.HasSuffix(got, "\n... and 9800 more\n") || len(got) > 50_000 {
		t.Errorf("%d bytes, the end %q", len(got), got[len(got)-40:])
	}
}

// FuzzRead puts any text into each file of a workdir: readers never panic, never change it, and what they accept, they
// write and read again as the same.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"status":"stopped","queued":[{"id":"a"}]}`), []byte("zz\n"), []byte(`{"spec":"a","argv":["b"],"x":1}`))
	f.Add([]byte(`{"queued":[`), []byte(strings.Repeat("0", 64)), []byte(`{"run_id":"a","run":"b","journal_seq":1,"epoch":2}`))
	f.Fuzz(func(t *testing.T, state, sidecar, small []byte) {
		file := openState(t, t.TempDir())
		for name, text := range map[string][]byte{
			spec.EngineStateFile: state, SidecarFile: sidecar, FactoryFile: small, RunFile: small, spec.CheckpointFile: state,
		} {
			mustWrite(t, file.path(name), string(text))
		}
		read, origin, err := file.Read()
		if mustRead(t, file.Path()) != string(state) {
			t.Fatal("the reader changed the file")
		}
		if err == nil {
			writeState(t, file, read)
			again, now, err := openState(t, file.workdir).Read()
			if err != nil || now != Ours || Diff(read, again) != "" {
				t.Fatalf("%v became %v, %v: %s", origin, now, err, Diff(read, again))
			}
		}
		if run, err := ReadRun(file.workdir); err == nil {
			if err := WriteRun(file.workdir, run); err != nil {
				t.Fatal(err)
			}
			if again, err := ReadRun(file.workdir); err != nil || again.JournalSeq != run.JournalSeq || again.RunID != run.RunID {
				t.Fatalf("%+v became %+v, %v", run, again, err)
			}
		}
		if factory, err := ReadFactory(file.workdir); err == nil {
			if err := WriteFactory(file.workdir, factory); err != nil {
				t.Fatal(err)
			}
			if again, err := ReadFactory(file.workdir); err != nil || again.Spec != factory.Spec {
				t.Fatalf("%+v became %+v, %v", factory, again, err)
			}
		}
	})
}
