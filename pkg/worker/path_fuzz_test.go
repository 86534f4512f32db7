package worker

import (
	"path/filepath"
	"strings"
	"testing"

	"autoresearch/pkg/spec"
)

// FuzzAttemptDir: whatever runs and tasks are called, an attempt's directory lies three folders below the worker's own, and
// is no other task's.
func FuzzAttemptDir(f *testing.F) {
	for _, name := range []string{"", ".", "..", "../../etc/passwd", "/", "a/b", "a\x00b", "C:\\x", "~", "=2E", strings.Repeat("x", 5000)} {
		f.Add(name, "task")
		f.Add("run", name)
	}
	f.Fuzz(func(t *testing.T, run, task string) {
		const root = "/scratch/ar"
		dir := attemptDirDefault(root)(spec.RunName(run), spec.TaskID(task), 3)
		rel, err := filepath.Rel(filepath.Join(root, attemptsDirName), dir)
		if err != nil || filepath.Clean(dir) != dir || strings.Contains(rel, "..") {
			t.Fatalf("run %q and task %q lie at %q, %v", run, task, dir, err)
		}
		parts := strings.Split(rel, "/")
		if len(parts) != 3 || parts[2] != "3" || len(parts[0]) > 255 || len(parts[1]) > 255 {
			t.Fatalf("run %q and task %q lie at %q", run, task, dir)
		}
		if other := attemptDirDefault(root)(spec.RunName(task), spec.TaskID(run), 3); other == dir && run != task {
			t.Fatalf("run %q and task %q share %q", run, task, dir)
		}
	})
}
