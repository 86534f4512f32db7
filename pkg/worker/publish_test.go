package worker

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// addressLog catches the address that a worker logs.
type addressLog struct{ found chan string }

func (l *addressLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *addressLog) Write(b []byte) (int, error) {
	if _, address, ok := strings.Cut(string(b), " address="); ok {
		l.found <- strings.TrimSpace(address)
	}
	return len(b), nil
}

func succeed(context.Context, spec.Attempt) (spec.TaskResult, error) { return spec.TaskResult{}, nil }

// TestPublishIsTriedAgain: the result stays listed, first as running, and is sent when the stream is back.
func TestPublishIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, runners(map[string]spec.RunnerFunc{"train": succeed}))
		b.limit = time.Hour
		b.change(func() { b.publishErr = bus.ErrMissing })
		b.give(dispatch("t"))
		time.Sleep(10 * time.Minute)
		if beat := b.lastBeat(); len(beat.Finished) != 1 || len(beat.Running) != 0 || beat.Slots[0].Free != 2 {
			t.Errorf("heartbeat %+v", beat)
		}
		if n := b.refusals(); n < 100 || n > 300 {
			t.Errorf("%d tries in 10 min", n)
		}
		b.change(func() { b.publishErr = nil })
		b.again()
		synctest.Wait()
		if report, _ := b.report("t", 1); report.Failure != nil {
			t.Errorf("report %+v", report)
		}
	})
}

// TestRunsDoNotBlockEachOther: one run's missing stream is no other run's matter.
func TestRunsDoNotBlockEachOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		link := &partialLink{testLink: newTestLink(), missing: "dead"}
		o := testOptions(t)
		o.Runners = map[string]spec.Runner{"train": spec.RunnerFunc(succeed)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- run(ctx, o, func(context.Context, *Options, spec.WorkerID) (linkType, error) { return link, nil })
		}()
		link.change(func() {
			for i := range 10 {
				link.tasks[testClass] = append(link.tasks[testClass], dispatch(taskID(i)),
					dispatch(taskID(i), func(d *bus.Dispatch) { d.Run = "dead" }))
			}
		})
		time.Sleep(time.Second)
		if n := len(link.reports()); n != 10 {
			t.Errorf("%d reports", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

type partialLink struct {
	*testLink
	missing spec.RunName
}

func (l *partialLink) publish(ctx context.Context, run spec.RunName, m *bus.ResultMessage) error {
	if run == l.missing {
		return bus.ErrMissing
	}
	return l.testLink.publish(ctx, run, m)
}

// TestBatchesFitIntoMessages: large results are split over messages, and the memory of what waits is bounded.
func TestBatchesFitIntoMessages(t *testing.T) {
	t.Parallel()
	output := []byte(`{"a":"` + strings.Repeat("x", 200<<10) + `"}`)
	b := startBench(t, func(o *Options) { o.Slots[testClass] = 50 }, runners(map[string]spec.RunnerFunc{
		"train": func(context.Context, spec.Attempt) (spec.TaskResult, error) {
			return spec.TaskResult{Output: output}, nil
		},
	}))
	b.change(func() { b.publishErr = errors.New("away") })
	for i := range 50 {
		b.give(dispatch(taskID(i)))
	}
	b.until("all are done", func() bool {
		s := b.lastBeat().Slots
		return b.refusals() > 0 && len(s) > 0 && s[0].Free == 50
	})
	b.change(func() { b.publishErr = nil })
	b.again()
	for i := range 50 {
		if report, result := b.report(taskID(i), 1); report.Failure != nil || len(result.Output) != len(output) {
			t.Fatalf("report %d: %+v", i, report.Failure)
		}
	}
}

// TestServerTakesLess: a result that fitted when it was made, and does not now, goes through the object store.
func TestServerTakesLess(t *testing.T) {
	t.Parallel()
	b := startBench(t, runners(map[string]spec.RunnerFunc{
		"train": func(context.Context, spec.Attempt) (spec.TaskResult, error) {
			return spec.TaskResult{Output: []byte(`{"a":"` + strings.Repeat("x", 200<<10) + `"}`)}, nil
		},
	}))
	b.change(func() { b.publishErr = errors.New("away") })
	b.give(dispatch("t"))
	b.until("it was tried", func() bool { return b.refusals() > 0 })
	b.change(func() { b.publishErr, b.max = nil, 64<<10 })
	if report, result := b.report("t", 1); report.Failure != nil || report.Stored.IsZero() || len(result.Output) < 200<<10 {
		t.Errorf("report %+v", report.Failure)
	}
}

// TestDiskFull: results that the spool cannot keep are sent from memory, and kept as soon as there is room again, whether or
// not another result comes.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	o, err := testOptions(t).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	o.Runners = map[string]spec.Runner{"train": spec.RunnerFunc(succeed)}
	w, closeFiles, err := open(o)
	if err != nil {
		t.Fatal(err)
	}
	full, room, _ := openFailing(t, o.Dir+"/other.log")
	w.spool = full
	*room = 0
	b := &bench{testLink: newTestLink(), t: t, o: o, done: make(chan error, 1), limit: 20 * time.Second}
	w.link = b.testLink
	ctx, cancel := context.WithCancel(t.Context())
	go func() { b.done <- errors.Join(w.run(ctx), closeFiles()) }()
	for i := range 5 {
		b.give(dispatch(taskID(i)))
		b.report(taskID(i), 1)
	}
	first, _ := b.report(taskID(0), 1)
	b.tell(bus.Answer{Epoch: 1, SendAgain: []bus.AttemptRef{first.AttemptRef}})
	b.report(taskID(0), 2)
	b.tell(bus.Answer{Epoch: 1, Receipt: []bus.AttemptRef{first.AttemptRef}})
	full.mu.Lock()
	*room = 1 << 20
	full.mu.Unlock()
	b.until("the disk has what it refused", func() bool {
		_, entries := full.volume()
		return entries == 4
	})
	cancel()
	if err := b.end(); err != nil {
		t.Fatal(err)
	}
}

// hangingFile is a file on a disk that does nothing until it is told to.
type hangingFile struct {
	spoolFile
	goOn chan struct{}
}

func (f *hangingFile) WriteAt(b []byte, at int64) (int, error) {
	<-f.goOn
	return f.spoolFile.WriteAt(b, at)
}

// TestDiskHangs: a disk that hangs under the spool holds up neither the result that it is to keep nor those behind it, and
// has them when it goes on.
func TestDiskHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, err := testOptions(t).withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		o.Runners = map[string]spec.Runner{"train": spec.RunnerFunc(succeed)}
		w, closeFiles, err := open(o)
		if err != nil {
			t.Fatal(err)
		}
		disk := &hangingFile{spoolFile: w.spool.file, goOn: make(chan struct{})}
		w.spool.file = disk
		b := &bench{testLink: newTestLink(), t: t, o: o, done: make(chan error, 1), limit: time.Hour}
		w.link = b.testLink
		ctx, cancel := context.WithCancel(t.Context())
		go func() { b.done <- errors.Join(w.run(ctx), closeFiles()) }()
		began := time.Now()
		for i := range 5 { // more than there are slots
			b.give(dispatch(taskID(i)))
			b.report(taskID(i), 1)
		}
		if took := time.Since(began); took > 6*diskPatience {
			t.Errorf("5 results took %v", took)
		}
		time.Sleep(time.Minute)
		if beat := b.lastBeat(); len(beat.Finished) != 5 || beat.Slots[0].Free != 2 {
			t.Errorf("heartbeat %+v", beat)
		}
		close(disk.goOn)
		synctest.Wait()
		if _, entries := w.spool.volume(); entries != 5 {
			t.Errorf("the spool holds %d results", entries)
		}
		cancel()
		if err := b.end(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestUnreadableSpoolEntry: a sound frame that holds no result is dropped, the others are sent.
func TestUnreadableSpoolEntry(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	s, _ := mustOpen(t, o.Dir+"/"+spoolFileName)
	good, err := bus.EncodeResultMessage(&bus.ResultMessage{Worker: "w", Reports: []bus.Report{
		{AttemptRef: bus.AttemptRef{Run: testRun, Task: "good", Attempt: 2, Claim: 7}, Body: encoded(t, spec.TaskResult{})}}})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, "nonsense", string(good))
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	b := restart(t, o, newTestLink())
	if report, _ := b.report("good", 1); report.Claim != 7 || report.Attempt != 2 {
		t.Errorf("report %+v", report)
	}
	b.stop()
	if err := b.end(); err != nil {
		t.Fatal(err)
	}
	again, _ := mustOpen(t, o.Dir+"/"+spoolFileName)
	if got := contents(t, again); len(got) != 1 {
		t.Errorf("the spool holds %d entries", len(got))
	}
}

func encoded(t *testing.T, result spec.TaskResult) []byte {
	t.Helper()
	body, err := bus.EncodeResult(result)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
