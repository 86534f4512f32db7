package worker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// stored puts data into the link's object store.
func (l *testLink) stored(data []byte) spec.Blob {
	b := spec.BlobOf(data)
	l.change(func() { l.blobs[b.Digest] = data })
	return b
}

// takes says how large a result the leader takes.
func takes(bytes int64) func(*bus.Dispatch) {
	return func(d *bus.Dispatch) { d.ResultMax = bytes }
}

// largeFiles returns the names of the large results on disk.
func largeFiles(t *testing.T, o Options) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(o.Dir, largeDirName))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

const largeOutput = 1 << 20

// generous returns a large result.
func generous(context.Context, spec.Attempt) (spec.TaskResult, error) {
	return spec.TaskResult{Output: []byte(`{"a":"` + strings.Repeat("x", largeOutput) + `"}`)}, nil
}

// TestFetches: a payload and an input in the object store reach the attempt whole.
func TestFetches(t *testing.T) {
	t.Parallel()
	given := make(chan spec.Attempt, 1)
	b := startBench(t, runners(map[string]spec.RunnerFunc{
		"train": func(_ context.Context, a spec.Attempt) (spec.TaskResult, error) {
			given <- a
			return spec.TaskResult{}, nil
		},
	}))
	payload, input := `{"a":"`+strings.Repeat("x", 1<<20)+`"}`, strings.Repeat("y", 1<<20)
	blob, stdin := b.stored([]byte(payload)), b.stored([]byte(input))
	b.give(dispatch("t", func(d *bus.Dispatch) { d.Task.Payload, d.Task.Stored, d.Stdin = nil, blob, stdin }))
	if a := <-given; string(a.Task.Payload) != payload || string(a.Recipe.Stdin) != input {
		t.Errorf("got %d bytes of payload, %d of input", len(a.Task.Payload), len(a.Recipe.Stdin))
	}
}

// TestFetchesInVain: what is not in the object store fails its own attempt, and says so; what cannot be reached is waited
// for.
func TestFetchesInVain(t *testing.T) {
	t.Parallel()
	b := startBench(t, runners(map[string]spec.RunnerFunc{"train": succeed}))
	there := b.stored([]byte(`{"a":1}`))
	missing := spec.BlobOf([]byte("nobody has it"))
	b.give(dispatch("missing", func(d *bus.Dispatch) { d.Task.Stored = missing }))
	report, _ := b.report("missing", 1)
	f := report.Failure
	if f == nil || f.Kind != spec.LaunchFailed || f.Cause() != spec.CauseBlobMissing || !strings.Contains(f.Message, missing.Digest.String()) {
		t.Errorf("filed as %+v", f)
	}
	b.change(func() { b.offline = true })
	b.give(dispatch("later", func(d *bus.Dispatch) { d.Task.Payload, d.Task.Stored = nil, there }))
	b.awaitStart("later")
	b.change(func() { b.offline = false })
	if report, _ := b.report("later", 1); report.Failure != nil {
		t.Errorf("filed as %+v", report.Failure)
	}
}

// TestLargeResult goes through the object store, holds up no other, and leaves nothing behind once it is receipted.
func TestLargeResult(t *testing.T) {
	t.Parallel()
	b := startBench(t, runners(map[string]spec.RunnerFunc{"large": generous, "train": succeed}))
	b.change(func() { b.putErr = errors.New("full") })
	b.give(dispatch("large", kind("large"), takes(4<<20)))
	b.until("it was tried", func() bool { return b.refusals() > 0 })
	b.give(dispatch("small"))
	b.report("small", 1)
	if files := largeFiles(t, b.o); len(files) != 1 {
		t.Errorf("files %v", files)
	}
	b.change(func() { b.putErr = nil })
	b.again()
	report, result := b.report("large", 1)
	if report.Failure != nil || len(result.Output) < largeOutput || report.Stored.IsZero() {
		t.Fatalf("reported %+v, %d bytes", report.Failure, len(result.Output))
	}
	b.tell(bus.Answer{Epoch: 1, Receipt: []bus.AttemptRef{report.AttemptRef}})
	b.until("the receipt is obeyed", func() bool { return len(largeFiles(t, b.o)) == 0 })
}

// TestLargeResultSurvives: a result on disk is sent by the next process, and files that no result names are removed.
func TestLargeResultSurvives(t *testing.T) {
	t.Parallel()
	b := startBench(t, runners(map[string]spec.RunnerFunc{"train": generous}))
	b.change(func() { b.putErr = errors.New("away") })
	b.give(dispatch("t", takes(4<<20)))
	b.until("it was tried", func() bool { return b.refusals() > 0 })
	close(b.kill)
	if err := b.end(); !errors.Is(err, ErrKilled) {
		t.Fatal(err)
	}
	stray := filepath.Join(b.o.Dir, largeDirName, "stray")
	if err := os.WriteFile(stray, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	next := restart(t, b.o, newTestLink())
	if report, result := next.report("t", 1); report.Failure != nil || len(result.Output) < largeOutput {
		t.Errorf("reported %+v", report.Failure)
	}
	if files := largeFiles(t, b.o); len(files) != 1 {
		t.Errorf("files %v", files)
	}
}

// TestLargeResultLost: a file that the disk does not give back costs its own result.
func TestLargeResultLost(t *testing.T) {
	t.Parallel()
	b := startBench(t, runners(map[string]spec.RunnerFunc{"large": generous, "train": succeed}))
	b.change(func() { b.putErr = errors.New("away") })
	b.give(dispatch("large", kind("large"), takes(4<<20)))
	b.until("it was tried", func() bool { return b.refusals() > 0 })
	for _, name := range largeFiles(t, b.o) {
		if err := os.WriteFile(filepath.Join(b.o.Dir, largeDirName, name), []byte("other bytes"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b.change(func() { b.putErr = nil })
	b.again()
	b.give(dispatch("small"))
	b.report("small", 1)
	b.until("it is given up", func() bool { return len(b.lastBeat().Finished) == 1 })
}

// TestResultOverTheLimit fails with what it takes.
func TestResultOverTheLimit(t *testing.T) {
	t.Parallel()
	b := startBench(t, runners(map[string]spec.RunnerFunc{"train": generous}))
	b.give(dispatch("t", takes(largeOutput)))
	report, _ := b.report("t", 1)
	if f := report.Failure; f == nil || f.Cause() != spec.CauseResultTooLarge || !strings.Contains(f.Message, "at most 1048576") {
		t.Errorf("filed as %+v", f)
	}
}
