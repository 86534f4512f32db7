package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

func stopOf(ref bus.AttemptRef, reason string) bus.Answer {
	return bus.Answer{Epoch: 1, Stop: []bus.StopOrder{{AttemptRef: ref, Reason: reason}}}
}

func TestCancelledProcessIsReported(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.give(dispatch("polite", script("say [autoresearch] loss=1", "await", "exit 0")))
	b.give(dispatch("stubborn", script("ignore", "say [autoresearch] loss=1", "forever"), limits(0, 0)))
	for _, task := range []spec.TaskID{"polite", "stubborn"} {
		b.awaitProgress(task)
		b.tell(stopOf(b.awaitStart(task), spec.CauseCancelled))
		report, result := b.report(task, 1)
		f := report.Failure
		if f == nil || f.Kind != spec.Interrupted || f.Phase != spec.PhaseRunner || f.Cause() != spec.CauseCancelled {
			t.Errorf("%s: filed as %+v", task, f)
		}
		if signal := result.Failure.Details["signal"]; task == "stubborn" && signal != "SIGKILL" {
			t.Errorf("ended by %v", signal)
		}
		if report.Preempted || result.Metrics["loss"] != 1 {
			t.Errorf("%s: preempted %v, metrics %v", task, report.Preempted, result.Metrics)
		}
	}
}

// awaitProgress waits until the task's progress rides along with a heartbeat.
func (b *bench) awaitProgress(task spec.TaskID) {
	b.t.Helper()
	b.until("task "+string(task)+" makes progress", func() bool {
		for _, holding := range b.lastBeat().Running {
			if holding.Task == task && holding.Progress != "" {
				return true
			}
		}
		return false
	})
}

// hello asks for a heartbeat if the worker listens.
func (b *bench) hello() {
	b.mu.Lock()
	answer := b.answer
	b.mu.Unlock()
	if answer != nil {
		answer(bus.Answer{Run: testRun, Hello: true})
	}
}

func TestSupersededProcess(t *testing.T) {
	t.Parallel()
	b := startBench(t, func(o *Options) { o.Slots[testClass] = 4 })
	lines := map[spec.TaskID][]string{
		"dies":    {"say [autoresearch] up", "forever"},
		"polite":  {"await"},
		"succeed": {"await", `result {"metrics": {"done": 1}}`},
		"fails":   {"await", `result {"metrics": {"done": 1}, "failure": {"message": "no"}}`},
	}
	for task, script := range lines {
		b.give(dispatch(task, scriptOf(script)))
	}
	for task := range lines {
		b.awaitProgress(task)
		b.tell(stopOf(b.awaitStart(task), spec.StopSuperseded))
	}
	report, result := b.report("succeed", 1)
	if report.Failure != nil || result.Metrics["done"] != 1 {
		t.Errorf("a success does not count: %+v", report.Failure)
	}
	b.until("nothing runs", func() bool { return len(b.lastBeat().Running) == 0 })
	if all := b.reports(); len(all) != 1 {
		t.Errorf("%d reports", len(all))
	}
	if beat := b.lastBeat(); beat.Slots[0].Free != 4 {
		t.Errorf("slots %+v", beat.Slots)
	}
}

func scriptOf(lines []string) func(*bus.Dispatch) { return script(lines...) }

func TestStopOrdersAreFenced(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	b := startBench(t, runners(map[string]spec.RunnerFunc{"train": func(ctx context.Context, _ spec.Attempt) (spec.TaskResult, error) {
		select {
		case <-release:
			return spec.TaskResult{}, nil
		case <-ctx.Done():
			return spec.TaskResult{}, context.Cause(ctx)
		}
	}}))
	b.give(dispatch("t"))
	ref := b.awaitStart("t")
	b.tell(bus.Answer{Epoch: 5})
	b.tell(stopOf(ref, spec.CauseCancelled)) // epoch 1: a deposed leader
	stranger := ref
	stranger.Claim++
	old := ref
	old.Attempt = 7
	other := ref
	other.Run = "another"
	for _, ref := range []bus.AttemptRef{stranger, old, other} {
		order := stopOf(ref, spec.CauseCancelled)
		order.Epoch = 5
		b.tell(order)
	}
	// Another run has epochs of its own, but no say in this one's attempts.
	foreign := stopOf(ref, spec.CauseCancelled)
	foreign.Run, foreign.Epoch = "another", 9
	b.tell(foreign)
	close(release)
	if report, _ := b.report("t", 1); report.Failure != nil {
		t.Fatalf("somebody stopped it: %+v", report.Failure)
	}
}

func TestReceiptsAndSendAgain(t *testing.T) {
	t.Parallel()
	b := startBench(t, runners(map[string]spec.RunnerFunc{"train": func(context.Context, spec.Attempt) (spec.TaskResult, error) {
		return spec.TaskResult{Metrics: map[string]float64{"m": 1}}, nil
	}}))
	b.give(dispatch("a"))
	b.give(dispatch("b"))
	first, _ := b.report("a", 1)
	second, _ := b.report("b", 1)
	b.until("both are listed as finished", func() bool { return len(b.lastBeat().Finished) == 2 })
	b.tell(bus.Answer{Epoch: 1, SendAgain: []bus.AttemptRef{second.AttemptRef}})
	if again, result := b.report("b", 2); again.AttemptRef != second.AttemptRef || result.Metrics["m"] != 1 {
		t.Errorf("sent again: %+v", again)
	}
	stranger := first.AttemptRef
	stranger.Claim++
	b.tell(bus.Answer{Epoch: 1, Receipt: []bus.AttemptRef{stranger}})
	b.tell(bus.Answer{Epoch: 1, Receipt: []bus.AttemptRef{first.AttemptRef}, SendAgain: []bus.AttemptRef{first.AttemptRef}})
	b.until("one is listed", func() bool { return len(b.lastBeat().Finished) == 1 })
	if b.lastBeat().Finished[0] != second.AttemptRef {
		t.Errorf("listed as finished: %+v", b.lastBeat().Finished)
	}
	b.stop()
	if err := b.end(); err != nil {
		t.Fatal(err)
	}
	next := restart(t, b.o, newTestLink())
	if again, result := next.report("b", 1); again.AttemptRef != second.AttemptRef || result.Metrics["m"] != 1 {
		t.Errorf("after a restart: %+v", again)
	}
	next.tell(bus.Answer{Epoch: 1, Receipt: []bus.AttemptRef{{Run: testRun, Task: "b", Attempt: 1}}}) // any claim
	next.until("nothing is listed", func() bool { return len(next.lastBeat().Finished) == 0 })
	next.stop()
	if err := next.end(); err != nil {
		t.Fatal(err)
	}
	last := restart(t, b.o, newTestLink())
	last.until("it runs", func() bool { return len(last.uplinks()) > 0 })
	last.stop()
	if err := last.end(); err != nil || len(last.reports()) != 0 {
		t.Errorf("receipted results are sent again: %v, %v", last.reports(), err)
	}
}

// TestManyUnreceipted: more results than one heartbeat lists are receipted all the same, without waiting for the interval.
func TestManyUnreceipted(t *testing.T) {
	t.Parallel()
	const tasks = 2*finishedMax + 100
	b := startBench(t, func(o *Options) { o.Slots[testClass], o.Heartbeat = 64, time.Hour }, runners(map[string]spec.RunnerFunc{
		"train": func(context.Context, spec.Attempt) (spec.TaskResult, error) { return spec.TaskResult{}, nil },
	}))
	for i := range tasks {
		b.give(dispatch(taskID(i)))
	}
	b.until("all are reported", func() bool { return len(b.reports()) == tasks })
	b.until("all are listed as finished", func() bool { b.hello(); return len(b.lastBeat().Finished) == finishedMax })
	seen, receipted := len(b.uplinks())-1, 0
	for receipted < tasks {
		b.until("the next are listed", func() bool { return len(b.uplinks()) > seen })
		beat := b.uplinks()[seen]
		seen++
		receipted += len(beat.Finished)
		b.tell(bus.Answer{Epoch: 1, Receipt: beat.Finished})
		if len(beat.Finished) > finishedMax {
			t.Fatalf("%d in one heartbeat", len(beat.Finished))
		}
	}
}

func taskID(i int) spec.TaskID { return spec.TaskID(time.Duration(i).String()) }

// TestRunnerThatIgnoresItsContext keeps its slot, but its failure is filed.
func TestRunnerThatIgnoresItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		b := startBench(t, runners(map[string]spec.RunnerFunc{"train": func(context.Context, spec.Attempt) (spec.TaskResult, error) {
			<-release
			return spec.TaskResult{}, nil
		}}))
		b.limit = time.Hour
		start := time.Now()
		b.give(dispatch("t", func(d *bus.Dispatch) { d.Recipe.Timeout, d.Recipe.Grace = time.Minute, 7*time.Second }))
		report, _ := b.report("t", 1)
		if f := report.Failure; f.Cause() != spec.CauseTimeout || f.Kind != spec.JobRuntimeFailed || !f.Retryable {
			t.Errorf("filed as %+v", f)
		}
		if took := time.Since(start); took < 67*time.Second || took > 68*time.Second {
			t.Errorf("given up after %v", took)
		}
		b.until("a heartbeat without it", func() bool { return len(b.lastBeat().Running) == 0 })
		if free := b.lastBeat().Slots[0].Free; free != 1 {
			t.Errorf("%d free slots while it does not return", free)
		}
		close(release)
		b.until("its slot is free", func() bool { return b.lastBeat().Slots[0].Free == 2 })
		if all := b.reports(); len(all) != 1 {
			t.Errorf("%d reports", len(all))
		}
	})
}

func TestRunnerLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, runners(map[string]spec.RunnerFunc{
			"block": blocker,
			"late": func(ctx context.Context, _ spec.Attempt) (spec.TaskResult, error) {
				<-ctx.Done()
				return spec.TaskResult{}, nil // too late for a success
			},
			"lively": func(ctx context.Context, a spec.Attempt) (spec.TaskResult, error) {
				for i := range 10 {
					time.Sleep(50 * time.Second)
					a.Progress("step", map[string]float64{"i": float64(i)})
				}
				return spec.TaskResult{Metrics: map[string]float64{"j": 1}}, context.Cause(ctx)
			},
			"quiet": func(ctx context.Context, a spec.Attempt) (spec.TaskResult, error) {
				a.Progress("", map[string]float64{"i": 1})
				return blocker(ctx, a)
			},
		}))
		b.limit = time.Hour
		for name, row := range map[string]struct {
			kind    string
			limits  func(*bus.Dispatch)
			cause   string
			seconds float64
		}{
			"timeout": {"block", limits(90*time.Second, 0), spec.CauseTimeout, 90},
			"late":    {"late", limits(90*time.Second, 0), spec.CauseTimeout, 90},
			"stalled": {"block", limits(0, 60*time.Second), spec.CauseStalled, 180.25},
			"quiet":   {"quiet", limits(0, 60*time.Second), spec.CauseStalled, 60.25},
			"lively":  {"lively", limits(time.Hour, 60*time.Second), "", 500},
		} {
			start := time.Now()
			b.give(dispatch(spec.TaskID(name), kind(row.kind), row.limits))
			report, result := b.report(spec.TaskID(name), 1)
			if report.Failure.Cause() != row.cause || (row.cause == "") != (report.Failure == nil) {
				t.Errorf("%s: filed as %+v", name, report.Failure)
			}
			if took := time.Since(start).Seconds(); took < row.seconds || took > row.seconds+0.1 {
				t.Errorf("%s: took %v s", name, took)
			}
			if name == "lively" && (result.Metrics["i"] != 9 || result.Metrics["j"] != 1) {
				t.Errorf("metrics %v", result.Metrics)
			}
		}
	})
}

// TestCancelledRunner: whatever it returns after a cancellation, it was cancelled; after a supersession only its success
// is reported.
func TestStoppedRunner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, runners(map[string]spec.RunnerFunc{
			"fail": blocker,
			"succeed": func(ctx context.Context, a spec.Attempt) (spec.TaskResult, error) {
				_, err := blocker(ctx, a)
				if err == nil {
					return spec.TaskResult{}, errors.New("nobody stopped it")
				}
				return spec.TaskResult{}, nil
			},
		}))
		b.limit = time.Hour
		for _, reason := range []string{spec.CauseCancelled, spec.StopSuperseded, "something new"} {
			for _, name := range []string{"fail", "succeed"} {
				task := spec.TaskID(name + reason)
				b.give(dispatch(task, kind(name)))
				b.tell(stopOf(b.awaitStart(task), reason))
			}
		}
		for _, name := range []string{"fail", "succeed"} {
			if report, _ := b.report(spec.TaskID(name+spec.CauseCancelled), 1); report.Failure.Cause() != spec.CauseCancelled {
				t.Errorf("%s: cancelled, and filed as %+v", name, report.Failure)
			}
		}
		for _, reason := range []string{spec.StopSuperseded, "something new"} {
			if report, _ := b.report(spec.TaskID("succeed"+reason), 1); report.Failure != nil {
				t.Errorf("%s: filed as %+v", reason, report.Failure)
			}
		}
		b.until("nothing runs", func() bool { return len(b.lastBeat().Running) == 0 })
		if all := b.reports(); len(all) != 4 {
			t.Errorf("%d reports", len(all))
		}
	})
}
