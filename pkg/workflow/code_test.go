package workflow_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"autoresearch/pkg/spec"
	"autoresearch/pkg/workflow"
)

// TestPackCode packs a directory as it is each time, without the workdir in it, and refuses to run a task of the kind that has
// no code.
func TestPackCode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := workflow.Parse(filepath.Join(dir, "w.yaml"), []byte(`
kinds:
  train: {command: [./train], code: {dir: ., ignore: [data/]}}
  plain: {command: [./train]}
initial: [{id: a, kind: train}]
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	w := workflow.NewCommand(f, filepath.Join(dir, "runs", "one"))
	pack := func(kind string) []byte {
		bundle, commit, err := w.PackCode(t.Context(), kind)
		if err != nil || commit != "" {
			t.Fatal(commit, err)
		}
		return bundle
	}
	write("train", "one")
	first := pack("train")
	write("runs/one/engine/log", "it grows")
	write("data/set", "large")
	if !bytes.Equal(pack("train"), first) {
		t.Error("the workdir, or what is ignored, is part of the code")
	}
	write("train", "two")
	if bytes.Equal(pack("train"), first) {
		t.Error("an edit is not part of the code")
	}
	if pack("plain") != nil {
		t.Error("a kind without code brings some")
	}
	task := spec.TaskSpec{ID: "a", Kind: "train"}
	if _, err := w.Recipe(task); err == nil || !strings.Contains(err.Error(), "submit it again") {
		t.Errorf("a task without code: %v", err)
	}
	task.Code = spec.Code{Bundle: spec.BlobOf(first)}
	if r, err := w.Recipe(task); err != nil || r.Dir != "" {
		t.Errorf("it runs in %q: %v", r.Dir, err)
	}
}
