package worker

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// noted returns what is noted in a worker directory's attempt log, "what task/attempt outcome", and where they cannot be read
// the line itself.
func noted(t *testing.T, dir string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, attemptLogName))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		notes, err := spec.DecodeAttemptNotes(line)
		if err != nil {
			lines = append(lines, string(line))
		}
		for _, n := range notes {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s/%d %s", n.What, n.Task, n.Attempt, n.Outcome)))
		}
	}
	return lines
}

func TestWhatIsExecutedIsNoted(t *testing.T) {
	t.Parallel()
	b := startBench(t, runners(map[string]spec.RunnerFunc{"train": succeed, "wait": blocker}))
	b.give(dispatch("good"))
	report, _ := b.report("good", 1)
	b.give(dispatch("unwanted", kind("wait")))
	unwanted := b.awaitStart("unwanted")
	b.tell(bus.Answer{Receipt: []bus.AttemptRef{report.AttemptRef, {Run: testRun, Task: "never held", Attempt: 1}}})
	b.until("the receipt is noted", func() bool { return slices.Contains(noted(t, b.o.Dir), "receipted good/1") })
	b.tell(bus.Answer{Stop: []bus.StopOrder{{AttemptRef: unwanted, Reason: spec.StopSuperseded}}})
	b.until("the unwanted attempt is dropped", func() bool { return b.lastBeat().Slots[0].Free == 2 })
	b.stop()
	if err := b.end(); err != nil {
		t.Fatal(err)
	}
	want := "boot /0; started good/1; ended good/1 succeeded; started unwanted/1; receipted good/1; ended unwanted/1 dropped"
	if got := strings.Join(noted(t, b.o.Dir), "; "); got != want {
		t.Errorf("noted %s\nwant  %s", got, want)
	}
}

func TestAttemptLogIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := openAttemptLog(dir, identity{ID: "w", Boot: 1}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	l.max = 4096
	for i := range 200 {
		l.dropped(spec.AttemptRef{Run: "r", Task: spec.TaskID(fmt.Sprint("t", i)), Attempt: 1, Claim: 7}, spec.EndDropped)
	}
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{attemptLogName, attemptLogName + ".1"} {
		status, err := os.Stat(filepath.Join(dir, name))
		if err != nil || status.Size() > l.max || status.Size() == 0 {
			t.Errorf("%s: %v, %v", name, status, err)
		}
	}
	lines := noted(t, dir)
	if last := lines[len(lines)-1]; last != "ended t199/1 dropped" {
		t.Errorf("the newest line is %q", last)
	}
}

func TestAttemptLogEndsATornLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, attemptLogName), []byte(`{"what":"star`), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := openAttemptLog(dir, identity{ID: "w", Boot: 2}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.close(); err != nil {
		t.Fatal(err)
	}
	if got := noted(t, dir); len(got) != 2 || got[1] != "boot /0" {
		t.Errorf("the log holds %q", got)
	}
}
