// Package imports holds the test that keeps the imports of this project pointing one way.
package imports

import (
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "autoresearch/"

// allowed says what each package may import of this module. A package that is missing here fails the test, so that a new
// one gets its place in the picture (docs/ARCHITECTURE.md).
var allowed = map[string][]string{
	"pkg/spec":        {},
	"internal/ids":    {"pkg/spec"},
	"pkg/engine":      {"internal/ids", "pkg/spec"},
	"pkg/bus":         {"pkg/spec"},
	"pkg/bus/bustest": {"pkg/bus", "pkg/spec"},
	"pkg/kv":          {"pkg/bus", "pkg/spec"},
	"pkg/kv/kvtest":   {"pkg/kv", "pkg/bus", "pkg/spec"},
	"pkg/snapshot":    {"pkg/spec"},
	"pkg/verify":      {"pkg/bus", "pkg/kv", "pkg/snapshot", "pkg/spec"},
	"pkg/restore":     {"pkg/bus", "pkg/kv", "pkg/snapshot", "pkg/spec"},
	"pkg/report":      {"pkg/snapshot", "pkg/spec"},
	"pkg/workflow":    {"internal/code", "pkg/report", "pkg/spec"},
	"pkg/worker":      {"internal/cgroup", "internal/code", "internal/gpu", "internal/shim", "pkg/bus", "pkg/spec"},
	"pkg/coordinator": {"internal/host", "internal/ids", "pkg/engine", "pkg/bus", "pkg/kv", "pkg/snapshot", "pkg/report", "pkg/spec"},
	"pkg/notify":      {"pkg/bus", "pkg/coordinator", "pkg/engine", "pkg/kv", "pkg/spec"},
	"pkg/dashboard":   {},
	"pkg/api":         {"pkg/coordinator", "pkg/engine", "pkg/report", "pkg/spec"},
	"internal/host":   {},
	"internal/code":   {},
	"internal/cgroup": {},
	"internal/gpu":    {},
	"internal/shim":   {},
	"internal/testca": {},
	"internal/model":  {"internal/host", "pkg/bus", "pkg/kv", "pkg/spec"},
	"internal/auth":   {"pkg/bus", "pkg/spec"},
	"internal/cli":    {"internal/auth", "pkg/bus", "pkg/snapshot", "pkg/workflow", "pkg/spec"},
	"internal/tools":  {"pkg/api", "pkg/spec"},
	"internal/web":    {"internal/cli", "pkg/api", "pkg/dashboard", "pkg/snapshot", "pkg/spec"},
	"internal/runs": {
		"internal/cli", "pkg/api", "pkg/bus", "pkg/coordinator", "pkg/engine", "pkg/kv", "pkg/notify", "pkg/snapshot", "pkg/spec", "pkg/workflow",
	},
	"internal/bench": {"pkg/engine", "pkg/bus", "pkg/coordinator", "pkg/worker", "pkg/workflow", "pkg/spec"},
}

// free are the roots of programs and tests: they may import anything, and nothing may import them.
var free = []string{"cmd/", "examples/", "test/", "internal/imports"}

func TestImportsPointOneWay(t *testing.T) {
	t.Parallel()
	for path, imports := range list(t) {
		if slices.ContainsFunc(free, func(root string) bool { return strings.HasPrefix(path, root) }) {
			continue
		}
		may, known := allowed[path]
		if !known {
			t.Errorf("%s has no place in the table of imports", path)
		}
		for _, imported := range imports {
			if !slices.Contains(may, imported) {
				t.Errorf("%s imports %s", path, imported)
			}
		}
	}
}

// TestSpecIsStandardLibraryOnly holds the vocabulary free of dependencies.
func TestSpecIsStandardLibraryOnly(t *testing.T) {
	t.Parallel()
	for _, line := range golist(t, "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "../../pkg/spec") {
		if line != module+"pkg/spec" {
			t.Errorf("pkg/spec depends on %s", line)
		}
	}
}

// TestEngineIsPure holds I/O, clocks and goroutine-making packages out of what the engine imports itself, and out of what its
// table of ids does.
func TestEngineIsPure(t *testing.T) {
	t.Parallel()
	for path, pure := range map[string][]string{
		"pkg/engine": {
			"cmp", "container/list", "errors", "fmt", "maps", "math", "math/bits", "math/rand/v2", "slices", "strconv", "strings", "time",
			module + "internal/ids", module + "pkg/spec",
		},
		"internal/ids": {"encoding/binary", "hash/maphash", "slices", module + "pkg/spec"},
	} {
		for _, line := range golist(t, "-f", `{{join .Imports "\n"}}`, "../../"+path) {
			if !slices.Contains(pure, line) {
				t.Errorf("%s imports %s", path, line)
			}
		}
	}
}

// TestShimImportsLittle holds everything out of a shim that would have it start later: see the package.
func TestShimImportsLittle(t *testing.T) {
	t.Parallel()
	little := []string{"errors", "io", "os", "os/signal", "strconv", "sync", "syscall", "time", "unsafe"}
	for _, line := range golist(t, "-f", `{{join .Imports "\n"}}`, "../shim") {
		if !slices.Contains(little, line) {
			t.Errorf("internal/shim imports %s", line)
		}
	}
}

// list returns what each package of this module imports of it.
func list(t *testing.T) map[string][]string {
	t.Helper()
	found := make(map[string][]string)
	for _, line := range golist(t, "-f", `{{.ImportPath}} {{join .Imports " "}}`, "../../...") {
		fields := strings.Fields(line)
		path := strings.TrimPrefix(fields[0], module)
		found[path] = nil
		for _, imported := range fields[1:] {
			if own, ok := strings.CutPrefix(imported, module); ok {
				found[path] = append(found[path], own)
			}
		}
	}
	return found
}

func golist(t *testing.T, args ...string) []string {
	t.Helper()
	if err := readTree(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list %v: %v", args, err)
	}
	return slices.DeleteFunc(strings.Split(string(out), "\n"), func(line string) bool { return line == "" })
}

// readTree reads the folders of the module: go test takes a result from its cache until something changes that the test itself has
// read, and it does not see what go list reads.
var readTree = sync.OnceValue(func() error {
	return filepath.WalkDir("../..", func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == ".git" {
			return fs.SkipDir
		}
		return err
	})
})
