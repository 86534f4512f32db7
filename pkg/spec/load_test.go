package spec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
