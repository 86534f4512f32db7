package report

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"autoresearch/pkg/spec"
)

func TestSearchSurvivesSaveAndLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := Search{Run: "r/1", Name: "näme \"x\"", Objective: spec.Objective{Metric: "acc", Maximize: true},
		StopReason: "enough", MaxConcurrency: 7}
	if err := SaveSearch(dir, want); err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("loaded %+v, %v; want %+v", got, err, want)
	}
}

func TestLoadOfNothing(t *testing.T) {
	t.Parallel()
	s, err := Load(filepath.Join(t.TempDir(), "not", "there"))
	if err != nil || !reflect.DeepEqual(s, Search{}) {
		t.Errorf("loaded %+v, %v; want an empty search", s, err)
	}
	if text := Markdown(s); !strings.Contains(text, "No experiments yet") {
		t.Errorf("the report says nothing of no experiments:\n%s", text)
	}
}

func TestLoadNamesTheFileThatIsBroken(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{
		TreeFile:             `[{"name": "no id"}]`,
		spec.EngineStateFile: `[]`,
	} {
		checkBroken(t, name, content, name)
	}
	for field, content := range map[string]string{
		"objective":       `{"objective": []}`,
		"maximize":        `{"objective": {"maximize": "yes"}}`,
		"max_concurrency": `{"max_concurrency": 1.5}`,
		"run":             `{"run": 7}`,
	} {
		checkBroken(t, SearchFile, content, field)
	}
}

func checkBroken(t *testing.T, name, content, wantInError string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Load(dir)
	if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), wantInError) {
		t.Errorf("%s with %s: error %v, want one that names %s", name, content, err, wantInError)
	}
}

func TestWriteAllWritesAllFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := grow(20, 1)
	if err := WriteAll(dir, s); err != nil {
		t.Fatal(err)
	}
	if err := WriteReport(dir, Markdown(s)); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if want := []string{TreePicture, TableFile, ProgressFile, ReportFile, SummaryFile}; !reflect.DeepEqual(names, want) {
		t.Errorf("files %v, want %v", names, want)
	}
}

func TestWriteAllTellsEveryFailure(t *testing.T) {
	t.Parallel()
	err := WriteAll(filepath.Join(t.TempDir(), "missing"), Search{})
	for _, name := range []string{SummaryFile, TableFile, ProgressFile, TreePicture} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not name %s", err, name)
		}
	}
	_, err = made("x", func() ([]byte, error) { panic("odd font") })
	if err == nil || !strings.Contains(err.Error(), "odd font") {
		t.Errorf("a panic became %v", err)
	}
}
