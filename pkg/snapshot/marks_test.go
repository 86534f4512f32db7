package snapshot

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"autoresearch/pkg/spec"
)

func TestMarksNameThePositionOfEachContent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tree.json")
	for i, text := range []string{"one", "two", "two", "three"} {
		if err := WriteMarked(path, []byte(text), uint64(10+i)); err != nil {
			t.Fatal(err)
		}
	}
	wantMarks(t, SidecarOf(path), Mark{sha256.Sum256([]byte("three")), 13}, Mark{sha256.Sum256([]byte("two")), 12})
	if text, err := os.ReadFile(path); err != nil || string(text) != "three" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

// TestMarksAfterACrash: the sidecar knew of a content that never got the file's name; the one on the disk stays known.
func TestMarksAfterACrash(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tree.json")
	if err := WriteMarked(path, []byte("old"), 1); err != nil {
		t.Fatal(err)
	}
	lost := Mark{sha256.Sum256([]byte("lost")), 2}
	old := Mark{sha256.Sum256([]byte("old")), 1}
	if err := WriteFile(SidecarOf(path), appendMarks(nil, []Mark{lost, old})); err != nil {
		t.Fatal(err)
	}
	if err := WriteMarked(path, []byte("new"), 3); err != nil {
		t.Fatal(err)
	}
	wantMarks(t, SidecarOf(path), Mark{sha256.Sum256([]byte("new")), 3}, old)
}

func TestStateFileKeepsPositions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, status := range []spec.Status{spec.StatusRunning, spec.StatusStopped} {
		if err := file.WriteAt(spec.EngineState{Status: status}, uint64(5+i)); err != nil {
			t.Fatal(err)
		}
	}
	again := Reader(dir)
	if _, origin, err := again.Read(); err != nil || origin != Ours {
		t.Fatalf("read: %v, %v", origin, err)
	}
	if err := again.WriteAt(spec.EngineState{Status: spec.StatusInterrupted}, 7); err != nil {
		t.Fatal(err)
	}
	marks, err := ReadMarks(again.path(SidecarFile))
	if err != nil || len(marks) != 2 || marks[0].JournalSeq != 7 || marks[1].JournalSeq != 6 {
		t.Errorf("marks %+v, %v", marks, err)
	}
}

func wantMarks(t *testing.T, sidecar string, want ...Mark) {
	t.Helper()
	if got, err := ReadMarks(sidecar); err != nil || !slices.Equal(got, want) {
		t.Errorf("marks %v, %v; want %v", got, err, want)
	}
}
