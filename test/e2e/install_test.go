//go:build linux

package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestInstallCopiesTheWorker: the copy is the program, and taking its place again does no harm to one that runs.
func TestInstallCopiesTheWorker(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		if out, err := exec.Command(binary("worker"), "install", dir).CombinedOutput(); err != nil {
			t.Fatalf("install: %v\n%s", err, out)
		}
	}
	out, err := exec.Command(filepath.Join(dir, "worker"), "--help").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Run the experiments") {
		t.Errorf("the copy says (%v):\n%s", err, out)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".worker-*")); err != nil || len(left) > 0 {
		t.Errorf("it left %v (%v)", left, err)
	}
	missing := filepath.Join(dir, "none")
	out, err = exec.Command(binary("worker"), "install", missing).CombinedOutput()
	if err == nil || !strings.Contains(string(out), missing) {
		t.Errorf("into a folder that is not there (%v):\n%s", err, out)
	}
}
