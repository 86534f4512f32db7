package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func mustWrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// names returns the names in a directory.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, entry := range entries {
		list = append(list, entry.Name())
	}
	return list
}

// stopAt returns a writer that ends with the error at its n-th step, from 0.
func stopAt(n int, err error) atomicWriter {
	return atomicWriter{reached: func(step) error {
		n--
		if n < 0 {
			return err
		}
		return nil
	}}
}

const stepsOfWrite = 5

func TestWriteFileReplaces(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	for _, text := range []string{"one", "", "three"} {
		if err := WriteFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := mustRead(t, path); got != text {
			t.Errorf("file holds %q, want %q", got, text)
		}
	}
	if got := names(t, filepath.Dir(path)); len(got) != 1 {
		t.Errorf("left behind: %v", got)
	}
}

func TestWriteFileErrorNamesTheFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "f")
	if err := WriteFile(path, nil); err == nil || !strings.Contains(err.Error(), path) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	// A directory in the place of the file: the rename fails, the temporary file goes.
	dir := t.TempDir()
	mustWrite(t, filepath.Join(dir, "f", "inner"), "x")
	if err := WriteFile(filepath.Join(dir, "f"), nil); err == nil {
		t.Error("replaced a directory")
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("left behind: %v", got)
	}
}

func TestWriteFileThatFailsLeavesNoTemp(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left")
	for n := range stepsOfWrite {
		path := filepath.Join(t.TempDir(), "f")
		mustWrite(t, path, "old")
		if err := stopAt(n, full).write(path, []byte("new")); !errors.Is(err, full) {
			t.Errorf("step %d: %v", n, err)
		}
		if got := names(t, filepath.Dir(path)); len(got) != 1 {
			t.Errorf("step %d: left behind: %v", n, got)
		}
		if got := mustRead(t, path); got != "old" && n < 3 || got != "old" && got != "new" {
			t.Errorf("step %d: file holds %q", n, got)
		}
	}
}

func TestWriteFileKilledLeavesAWholeFile(t *testing.T) {
	t.Parallel()
	for n := range stepsOfWrite {
		path := filepath.Join(t.TempDir(), "f")
		mustWrite(t, path, "old")
		if err := stopAt(n, errKilled).write(path, []byte("new")); !errors.Is(err, errKilled) {
			t.Errorf("step %d: %v", n, err)
		}
		want := "old"
		if n >= 3 {
			want = "new"
		}
		if got := mustRead(t, path); got != want {
			t.Errorf("step %d: file holds %q, want %q", n, got, want)
		}
		if err := removeTemps(filepath.Dir(path)); err != nil {
			t.Fatal(err)
		}
		if got := names(t, filepath.Dir(path)); len(got) != 1 {
			t.Errorf("step %d: left behind: %v", n, got)
		}
	}
}

func TestRemoveTempsLeavesOtherFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keep := []string{".f.tmp-12", ".lock", "engine_state.json", "engine_state.json.tmp", "f.tmp-0123456789abcdef"}
	for _, name := range append(keep, ".f.tmp-0123456789abcdef") {
		mustWrite(t, filepath.Join(dir, name), "x")
	}
	if err := os.Mkdir(filepath.Join(dir, ".d.tmp-0123456789abcdef"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := removeTemps(dir); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); len(got) != len(keep)+1 {
		t.Errorf("left: %v", got)
	}
}

// TestReadersNeverSeeHalfAFile reads while two writers replace the file: every content is one that was written whole.
func TestReadersNeverSeeHalfAFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	if err := WriteFile(path, bytes.Repeat([]byte("0\n"), 1000)); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var writers, readers sync.WaitGroup
	for writer := range 2 {
		writers.Go(func() {
			for i := range 30 {
				line := fmt.Appendf(nil, "%d\n", i*2+writer)
				if err := WriteFile(path, bytes.Repeat(line, 1000*(1+i%7))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			for running := true; running; {
				select {
				case <-done:
					running = false
				default:
				}
				checkWhole(t, path)
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
}

// checkWhole fails unless the file is one line, a multiple of 1000 times.
func checkWhole(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	line, _, _ := strings.Cut(string(text), "\n")
	count := strings.Count(string(text), "\n")
	if count == 0 || count%1000 != 0 || string(text) != strings.Repeat(line+"\n", count) {
		t.Errorf("half a file: %d lines, the first %q", count, line)
	}
}
