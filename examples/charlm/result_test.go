package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestWriteResult checks that a result replaces the file as a whole: what was
// open before stays as it was, and nothing else is left behind.
func TestWriteResult(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "result.json")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	old, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Close() }()
	want := result{Metrics: map[string]float64{"val_bpb": 2.5}, Children: []any{}, Output: output{Params: defaultParams()}}
	if err := writeResult(path, want); err != nil {
		t.Fatal(err)
	}
	if got := mustReadResult(t, path); got.Metrics["val_bpb"] != 2.5 || got.Output != want.Output || got.Children == nil {
		t.Errorf("got %+v, want %+v", got, want)
	}
	before := make([]byte, 8)
	if n, err := old.Read(before); err != nil || string(before[:n]) != "old" {
		t.Errorf("the old file was overwritten in place: %q, %v", before[:n], err)
	}
	mustHold(t, filepath.Dir(path), "result.json")
}

// TestWriteResultFails checks that a result that cannot be put in its place
// leaves no half-written file.
func TestWriteResultFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(path, "by a folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeResult(path, result{}); err == nil {
		t.Error("a folder was replaced by a result")
	}
	mustHold(t, dir, "taken")
	if err := writeResult(filepath.Join(dir, "missing", "r"), result{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder gave %v", err)
	}
}

func mustReadResult(t *testing.T, path string) result {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r result
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// mustHold checks that a folder has one entry, of the given name.
func mustHold(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("%s holds %v, want %s alone", dir, entries, name)
	}
}
