package worker

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"autoresearch/pkg/spec"
)

// limitedVariable says that this test binary runs in a control group whose memory is limited.
const limitedVariable = "WORKER_TEST_MEMORY_LIMITED"

// TestKilledForMemory runs a worker and an experiment that eats memory in a control group with little of it: the kernel ends the
// experiment, and it is told apart from other signals.
func TestKilledForMemory(t *testing.T) {
	t.Parallel()
	if os.Getenv(limitedVariable) == "" {
		inLittleMemory(t, "^TestKilledForMemory$")
		return
	}
	b := startBench(t)
	row := failureRow{
		name: "eats", kind: spec.JobRuntimeFailed, phase: spec.PhaseJob, cause: spec.CauseOutOfMemory, retryable: true,
		message: "out of memory: the kernel's out-of-memory killer ended it", details: map[string]any{"signal": "SIGKILL"},
	}
	b.give(dispatch(spec.TaskID(row.name), script("eat")))
	report, result := b.report(spec.TaskID(row.name), 1)
	row.check(t, report, result)
}

// inLittleMemory runs tests of this binary in a new control group, where one can be made.
func inLittleMemory(t *testing.T, tests string) {
	t.Helper()
	group, limit := filepath.Join("/sys/fs/cgroup/memory", ownCgroups()["memory"]), "memory.limit_in_bytes"
	if _, err := os.Stat(filepath.Join(group, limit)); err != nil { // version 2, where only the root may have both groups and processes
		group, limit = "/sys/fs/cgroup", "memory.max"
	}
	group = filepath.Join(group, "autoresearch-test-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Skipf("no control group can be made here: %v", err)
	}
	defer func() {
		if err := os.Remove(group); err != nil {
			t.Error(err)
		}
	}()
	if _, err := os.Stat(filepath.Join(group, limit)); err != nil {
		t.Skipf("control groups cannot limit memory here: %v", err)
	}
	if err := os.WriteFile(filepath.Join(group, limit), []byte("536870912"), 0o600); err != nil {
		t.Fatal(err)
	}
	enter := `echo $$ >"$1/cgroup.procs" || exit 96; shift; exec "$@"`
	cmd := exec.Command("/bin/sh", "-c", enter, "sh", group, os.Args[0], "-test.run", tests, "-test.v")
	cmd.Env = append(os.Environ(), limitedVariable+"=1")
	text, err := cmd.CombinedOutput()
	if refused := (*exec.ExitError)(nil); errors.As(err, &refused) && refused.ExitCode() == 96 {
		t.Skipf("a process cannot enter its control group here: %s", text)
	}
	if err != nil || !strings.Contains(string(text), "--- PASS") {
		t.Errorf("%v\n%s", err, text)
	}
}
