package snapshot

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"autoresearch/pkg/spec"
)

// keptRun is a run that an earlier build left; see package verify's tests, which write it.
const keptRun = "../verify/testdata/v1/workdir"

// TestAKeptWorkdirIsRead reads the files that an earlier build left, and writes them again as they are, with what a newer
// version added to them.
func TestAKeptWorkdirIsRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(keptRun)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(RunFile)))
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Replace(text, []byte("{"), []byte("{\n  \"later\": [1, {\"a\": null}],"), 1)
	if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(RunFile)), newer, 0o644); err != nil {
		t.Fatal(err)
	}
	run, err := ReadRun(dir)
	if err != nil || run.Run != "search" || run.JournalSeq == 0 || run.Epoch == 0 || len(run.RunID) != 36 {
		t.Fatalf("%+v, %v", run, err)
	}
	if err := WriteRun(dir, run); err != nil {
		t.Fatal(err)
	}
	again, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(RunFile)))
	if err != nil || !bytes.Contains(again, []byte(`"later"`)) || !bytes.Contains(again, []byte(`"a": null`)) {
		t.Errorf("written again: %s, %v", again, err)
	}
	file := Reader(dir)
	state, origin, err := file.Read()
	if err != nil || origin != Ours || state.Status != spec.StatusStopped {
		t.Errorf("%+v, %v, %v", state, origin, err)
	}
	marks, err := ReadMarks(filepath.Join(dir, filepath.FromSlash(SidecarFile)))
	if err != nil || len(marks) == 0 || marks[0].JournalSeq != run.JournalSeq {
		t.Errorf("marks %+v, %v", marks, err)
	}
}
