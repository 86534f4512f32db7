// Package mutants holds the test that every patch of its folder still applies.
package mutants

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestPatchesApply tries each patch on the tree as it is, and finds those that the document does not list. Whether the
// simulator notices them is for `make mutants` to say.
func TestPatchesApply(t *testing.T) {
	t.Parallel()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed")
	}
	patches, err := filepath.Glob("*.patch")
	if err != nil || len(patches) == 0 {
		t.Fatalf("patches: %v %v", patches, err)
	}
	document, err := os.ReadFile("../../docs/TESTING.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, patch := range patches {
		check := exec.Command(git, "apply", "--check", filepath.Join("test", "mutants", patch))
		check.Dir = "../.."
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s does not apply any more: %s", patch, out)
		}
		if name := strings.TrimSuffix(patch, ".patch"); !strings.Contains(string(document), "| "+name+" |") {
			t.Errorf("docs/TESTING.md does not list the mutant %s", name)
		}
	}
}
