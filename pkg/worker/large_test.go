package worker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

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

// generous returns a large result, each task another.
func generous(_ context.Context, a spec.Attempt) (spec.TaskResult, error) {
	return spec.TaskResult{Output: []byte(`{"` + string(a.Task.ID) + `":"` + strings.Repeat("x", largeOutput) + `"}`)}, nil
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

// startWith starts a worker that was changed before.
func startWith(t *testing.T, o Options, change func(*worker)) (b *bench, w *worker, stop func()) {
	t.Helper()
	o, err := o.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	w, closeFiles, err := open(o)
	if err != nil {
		t.Fatal(err)
	}
	change(w)
	b = &bench{testLink: newTestLink(), t: t, o: o, done: make(chan error, 1), limit: time.Hour}
	w.link = b.testLink
	ctx, cancel := context.WithCancel(t.Context())
	go func() { b.done <- errors.Join(w.run(ctx), closeFiles()) }()
	return b, w, func() {
		t.Helper()
		cancel()
		if err := b.end(); err != nil {
			t.Error(err)
		}
	}
}

// TestLargeResultOnAFullDisk is sent from memory, and kept as soon as there is room, so that the next process has it too.
func TestLargeResultOnAFullDisk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := testOptions(t)
		o.Runners = map[string]spec.Runner{"large": spec.RunnerFunc(generous), "train": spec.RunnerFunc(succeed)}
		var room atomic.Bool
		b, w, stop := startWith(t, o, func(w *worker) {
			w.writeFile = func(path string, data []byte) error {
				if !room.Load() {
					return syscall.ENOSPC
				}
				return writeFileSync(path, data)
			}
		})
		began := time.Now()
		for i := range 4 { // more than there are slots
			b.give(dispatch(taskID(i), kind("large"), takes(4<<20)))
			if report, result := b.report(taskID(i), 1); report.Failure != nil || len(result.Output) < largeOutput {
				t.Errorf("reported %+v, %d bytes", report.Failure, len(result.Output))
			}
		}
		if took := time.Since(began); took > diskPatience {
			t.Errorf("they took %v", took)
		}
		receipted, _ := b.report(taskID(3), 1)
		b.tell(bus.Answer{Epoch: 1, Receipt: []bus.AttemptRef{receipted.AttemptRef}})
		time.Sleep(time.Minute)
		if files := largeFiles(t, o); len(files) != 0 {
			t.Errorf("files %v", files)
		}
		room.Store(true)
		time.Sleep(2 * spoolRest)
		synctest.Wait()
		if _, entries := w.spool.volume(); entries != 3 || len(largeFiles(t, o)) != 3 {
			t.Errorf("the spool holds %d results, files %v", entries, largeFiles(t, o))
		}
		b.tell(bus.Answer{Epoch: 1, SendAgain: []bus.AttemptRef{b.firstOf(taskID(0))}})
		if report, result := b.report(taskID(0), 2); report.Failure != nil || len(result.Output) < largeOutput {
			t.Errorf("sent again as %+v", report.Failure)
		}
		stop()
	})
}

// firstOf names the attempt of a task's first report.
func (b *bench) firstOf(task spec.TaskID) bus.AttemptRef {
	b.t.Helper()
	report, _ := b.report(task, 1)
	return report.AttemptRef
}

// TestLargeResultOnADiskThatHangs holds up neither itself nor what is small, and is kept when the disk goes on.
func TestLargeResultOnADiskThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := testOptions(t)
		o.Runners = map[string]spec.Runner{"large": spec.RunnerFunc(generous), "train": spec.RunnerFunc(succeed)}
		goOn := make(chan struct{})
		b, w, stop := startWith(t, o, func(w *worker) {
			w.writeFile = func(path string, data []byte) error {
				<-goOn
				return writeFileSync(path, data)
			}
		})
		began := time.Now()
		for i := range 3 { // more than there are slots
			b.give(dispatch(taskID(i), kind("large"), takes(4<<20)))
			b.report(taskID(i), 1)
		}
		if took := time.Since(began); took > 4*diskPatience {
			t.Errorf("3 results took %v", took)
		}
		began = time.Now()
		b.give(dispatch("small"))
		b.report("small", 1)
		if took := time.Since(began); took > diskPatience/2 {
			t.Errorf("a small result took %v", took)
		}
		receipted, _ := b.report(taskID(2), 1)
		b.tell(bus.Answer{Epoch: 1, Receipt: []bus.AttemptRef{receipted.AttemptRef}})
		time.Sleep(time.Minute)
		if beat := b.lastBeat(); len(beat.Finished) != 3 || beat.Slots[0].Free != 2 {
			t.Errorf("heartbeat %+v", beat)
		}
		close(goOn)
		synctest.Wait()
		if _, entries := w.spool.volume(); entries != 3 || len(largeFiles(t, o)) != 2 {
			t.Errorf("the spool holds %d results, files %v", entries, largeFiles(t, o))
		}
		stop()
	})
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
