package worker

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// awaitGone waits until a process is no more, or a zombie that nobody has reaped yet.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	for limit := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return
		}
		if _, state, _ := strings.Cut(string(text), ") "); strings.HasPrefix(state, "Z") {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("process %d still runs: %s", pid, text)
		}
	}
}

// childOf returns the process that an experiment says it left behind.
func childOf(t *testing.T, result spec.TaskResult) int {
	t.Helper()
	pid := int(result.Metrics["child"])
	if pid == 0 {
		t.Fatalf("no child in %v", result.Metrics)
	}
	return pid
}

func TestGroupEndsWithTheCommand(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.give(dispatch("done", script("spawn")))
	b.give(dispatch("stopped", script("ignore", "spawn", "forever"), limits(0, 0)))
	b.awaitChild("stopped")
	b.tell(stopOf(b.awaitStart("stopped"), spec.CauseCancelled))
	report, result := b.report("done", 1)
	if report.Failure != nil {
		t.Errorf("what a command leaves behind fails it: %+v", report.Failure)
	}
	awaitGone(t, childOf(t, result))
	_, result = b.report("stopped", 1)
	awaitGone(t, childOf(t, result))
}

func TestOutOfMemoryEvidence(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/memory.events"
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	counter := oomCounter{path}
	before := counter.count()
	if before != -1 || counter.evidence(before) == "" {
		t.Errorf("no counter: %d, %q", before, counter.evidence(before))
	}
	write("low 0\noom 4\noom_kill 4\noom_group_kill 0\n")
	before = counter.count()
	if before != 4 || counter.evidence(before) != "" {
		t.Errorf("unchanged: %d, %q", before, counter.evidence(before))
	}
	write("oom_kill 5\n")
	if got := counter.evidence(before); !strings.Contains(got, path) {
		t.Errorf("changed: %q", got)
	}
	for e, want := range map[exit]bool{
		{code: -1, signal: "SIGKILL"}: true,
		{code: 137}:                   true,
		{code: -1, signal: "SIGKILL", sent: syscall.SIGKILL}: false,
		{code: -1, signal: "SIGTERM"}:                        false,
		{code: 1}:                                            false,
	} {
		if e.killedByOthers() != want {
			t.Errorf("%+v: %v", e, !want)
		}
	}
}

// TestKilledByTheKernel plays the kernel's out-of-memory killer: a SIGKILL that no worker sent, with a counter that grows.
func TestKilledByTheKernel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	events := dir + "/memory.events"
	if err := os.WriteFile(events, []byte("oom_kill 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := startBench(t)
	b.until("it runs", func() bool { return len(b.uplinks()) > 0 })
	b.give(dispatch("unexplained", script("kill 9")))
	report, _ := b.report("unexplained", 1)
	if findOOMCounter().path != "" && (report.Failure.Cause() != spec.CauseSignal || report.Failure.Kind != spec.JobStartupFailed) {
		t.Errorf("without evidence it is filed as %+v", report.Failure)
	}
	e := ending{exit: exit{code: -1, signal: "SIGKILL"}, recipe: &spec.Recipe{}}
	w := &worker{oom: oomCounter{events}}
	if err := os.WriteFile(events, []byte("oom_kill 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.gatherEvidence(&e, &captured{tail: &tail{}}, 0)
	if f := e.judge(); f.Cause() != spec.CauseOutOfMemory || f.Kind != spec.JobRuntimeFailed || !f.Retryable {
		t.Errorf("with evidence it is filed as %+v", f)
	}
}

func TestStallFactorBeforeProgress(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	start := time.Now()
	b.give(dispatch("silent", script("forever"), limits(0, 200*time.Millisecond)))
	report, _ := b.report("silent", 1)
	if took := time.Since(start); report.Failure.Cause() != spec.CauseStalled || took < stallStartFactor*200*time.Millisecond {
		t.Errorf("stalled after %v: %+v", took, report.Failure)
	}
	// Output that is no progress is a sign of life too.
	var lines []string
	for range 15 {
		lines = append(lines, "warn working", "sleep 100")
	}
	b.give(dispatch("lively", script(append([]string{"say [autoresearch] go"}, lines...)...), limits(0, time.Second)))
	if report, _ := b.report("lively", 1); report.Failure != nil {
		t.Errorf("a lively one: %+v", report.Failure)
	}
}

func TestNoSuchClassNeedsNoCommand(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.give(dispatch("t", argv(""), func(d *bus.Dispatch) { d.Task.Kind = "exotic" }))
	report, _ := b.report("t", 1)
	if f := report.Failure; f.Kind != spec.LaunchFailed || f.Retryable || !strings.Contains(f.Message, `"exotic"`) {
		t.Errorf("filed as %+v", f)
	}
}
