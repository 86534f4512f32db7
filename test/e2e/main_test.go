//go:build linux

// Package e2e holds the end-to-end tests: the three programs as people start them, real experiments as processes, a real
// nats-server where several programs share one, and kill -9 of each of them.
//
// The programs are built once per test run (main_test.go). process_test.go runs one of them, nats_test.go a server,
// fleet_test.go a coordinator with workers; lab_test.go is where experiments leave their traces and wait for a word, and
// workdir_test.go reads what a run leaves behind. Nothing sleeps for a fixed time: eventually (wait_test.go) waits for a
// sign and fails with all that the programs have said.
//
// The tests read /proc and have the kernel end what they leave behind, so they are for Linux.
//
// E2E_RACE=1 builds the programs with the race detector, which makes them several times slower. E2E_SEED=N repeats the
// random choices of chaos_test.go, though not what happens between them.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binaries is the directory of the programs under test, of nats-server and of the experiment.
var binaries string

// parallelTests run at once unless the command line says otherwise: tests mostly wait, for leases and processes.
const parallelTests = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	if !given("test.parallel") {
		if err := flag.Set("test.parallel", parallelTests); err != nil {
			panic(err)
		}
	}
	os.Exit(run(m))
}

func given(name string) (given bool) {
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "autoresearch-e2e-")
	if err == nil {
		binaries, err = filepath.EvalSymlinks(dir)
	}
	if err == nil {
		err = build(binaries)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
	}
	return code
}

// build makes every program that the tests start, with the flags of `make build`, so that both share the build cache.
func build(dir string) error {
	args := []string{"build", "-trimpath", "-ldflags", "-s -w", "-o", dir + string(filepath.Separator)}
	cgo := "CGO_ENABLED=0"
	if os.Getenv("E2E_RACE") != "" {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	cmd := exec.Command("go", append(args, "autoresearch/cmd/...", "autoresearch/test/e2e/testdata/experiment",
		"github.com/nats-io/nats-server/v2")...)
	cmd.Env = append(os.Environ(), cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return nil
}

func binary(name string) string { return filepath.Join(binaries, name) }
