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

func TestIdleDrain(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.until("it runs", func() bool { return len(b.uplinks()) > 0 })
	b.stop()
	if err := b.end(); err != nil {
		t.Fatal(err)
	}
	if beat := b.lastBeat(); !beat.Leaving || beat.Slots[0].Free != 0 || beat.Slots[0].Total != 2 {
		t.Errorf("the last heartbeat: %+v", beat)
	}
}

func TestDrainPreempts(t *testing.T) {
	t.Parallel()
	b := startBench(t, func(o *Options) { o.Slots[testClass] = 4 }, runners(map[string]spec.RunnerFunc{"go": blocker}))
	b.give(dispatch("polite", script("say [autoresearch] loss=1", "await", "checkpoint 5")))
	b.give(dispatch("stubborn", script("say [autoresearch] loss=1", "ignore", "spawn", "forever"), limits(0, 0)))
	b.give(dispatch("finishes", script("await", `result {"metrics": {"done": 1}}`)))
	b.give(dispatch("runner", kind("go")))
	for _, task := range []spec.TaskID{"polite", "stubborn", "finishes"} {
		b.awaitProgress(task)
	}
	b.awaitStart("runner")
	b.stop()
	if err := b.end(); err != nil {
		t.Fatal(err)
	}
	for _, task := range []spec.TaskID{"polite", "stubborn", "runner"} {
		report, _ := b.report(task, 1)
		if f := report.Failure; !report.Preempted || f.Kind != spec.Interrupted || f.Cause() != spec.CausePreempted || !f.Retryable {
			t.Errorf("%s: preempted %v, %+v", task, report.Preempted, report.Failure)
		}
	}
	if report, result := b.report("finishes", 1); report.Preempted || report.Failure != nil || result.Metrics["done"] != 1 {
		t.Errorf("a result in time: %+v", report)
	}
	_, result := b.report("stubborn", 1)
	awaitGone(t, childOf(t, result))
	if text := readText(t, b.attemptPath("polite", 1, checkpointDirName+"/state")); text != "5" {
		t.Errorf("the checkpoint is %q", text)
	}
	if beat := b.lastBeat(); !beat.Leaving || len(beat.Running) != 0 || len(beat.Finished) != 4 {
		t.Errorf("the last heartbeat: %+v", beat)
	}
}

func TestDrainTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, func(o *Options) { o.DrainTimeout = time.Minute }, runners(map[string]spec.RunnerFunc{
			"short": func(context.Context, spec.Attempt) (spec.TaskResult, error) {
				time.Sleep(30 * time.Second)
				return spec.TaskResult{}, nil
			},
			"long": blocker,
		}))
		b.give(dispatch("short", kind("short")))
		b.give(dispatch("long", kind("long")))
		b.awaitStart("long")
		start := time.Now()
		b.stop()
		time.Sleep(10 * time.Millisecond)
		b.give(dispatch("late", kind("short")))
		if beat := b.lastBeat(); !beat.Leaving || len(beat.Running) != 2 {
			t.Errorf("the first heartbeat of the drain: %+v", beat)
		}
		if err := b.end(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("the drain took %v", took)
		}
		if report, _ := b.report("short", 1); report.Preempted || report.Failure != nil {
			t.Errorf("short: %+v", report)
		}
		if report, _ := b.report("long", 1); !report.Preempted {
			t.Errorf("long: %+v", report)
		}
		if len(b.reports()) != 2 {
			t.Errorf("%d reports", len(b.reports()))
		}
	})
}

// TestDrainPublishesWithinItsTimeout: what the experiments leave of the drain timeout is for their results.
func TestDrainPublishesWithinItsTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, func(o *Options) { o.DrainTimeout = time.Minute }, runners(map[string]spec.RunnerFunc{
			"train": func(context.Context, spec.Attempt) (spec.TaskResult, error) {
				time.Sleep(10 * time.Second)
				return spec.TaskResult{}, nil
			},
		}))
		b.give(dispatch("t"))
		b.awaitStart("t")
		b.change(func() { b.publishErr = errors.New("no responders") })
		time.AfterFunc(40*time.Second, func() { b.change(func() { b.publishErr = nil }) })
		b.stop()
		if err := b.end(); err != nil {
			t.Fatal(err)
		}
		if report, _ := b.report("t", 1); report.Preempted || len(b.reports()) != 1 {
			t.Errorf("%d reports, the last: %+v", len(b.reports()), report)
		}
	})
}

// TestDrainWithoutNATS: what cannot be published stays in the spool for the next start.
func TestDrainWithoutNATS(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, runners(map[string]spec.RunnerFunc{"train": blocker}))
		b.give(dispatch("t"))
		ref := b.awaitStart("t")
		b.change(func() { b.publishErr = errors.New("no responders") })
		start := time.Now()
		b.stop()
		if err := b.end(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != publishOnExit {
			t.Errorf("the drain took %v", took)
		}
		if beat := b.lastBeat(); len(beat.Running) != 0 || len(beat.Finished) != 1 {
			t.Errorf("the last heartbeat: %+v", beat)
		}
		next := restart(t, b.o, newTestLink())
		report, _ := next.report("t", 1)
		if !report.Preempted || report.AttemptRef != ref {
			t.Errorf("the next start reports %+v", report)
		}
		next.until("it beats", func() bool { return len(next.uplinks()) > 0 })
		if first := next.uplinks()[0]; first.Boot != 2 || len(first.Finished) != 1 || first.Finished[0] != ref {
			t.Errorf("the next start's first heartbeat: %+v", first)
		}
	})
}

func TestKill(t *testing.T) {
	t.Parallel()
	for _, draining := range []bool{false, true} {
		b := startBench(t, func(o *Options) { o.DrainTimeout = time.Hour }, runners(map[string]spec.RunnerFunc{"go": blocker}))
		b.give(dispatch("process", script("spawn", "ignore", "forever")))
		b.give(dispatch("runner", kind("go")))
		b.awaitProgress("process")
		b.awaitStart("process")
		b.awaitChild("process")
		pid := int(b.holding("process").Metrics["child"])
		if draining {
			b.stop()
			b.until("it leaves", func() bool { return b.lastBeat().Leaving })
		}
		start := time.Now()
		close(b.kill)
		if err := b.end(); !errors.Is(err, ErrKilled) {
			t.Errorf("it returned %v", err)
		}
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("it took %v", took)
		}
		awaitGone(t, pid)
		if len(b.reports()) != 0 {
			t.Errorf("reports %+v", b.reports())
		}
	}
}

// holding returns what the newest heartbeat says of a running task.
func (b *bench) holding(task spec.TaskID) bus.Holding {
	for _, holding := range b.lastBeat().Running {
		if holding.Task == task {
			return holding
		}
	}
	return bus.Holding{}
}

// awaitChild waits until a running task has told of its child.
func (b *bench) awaitChild(task spec.TaskID) {
	b.t.Helper()
	b.until("its child is known", func() bool { return b.holding(task).Metrics["child"] != 0 })
}

// TestKillDuringGrace: a second signal does not wait for the grace of the first.
func TestKillDuringGrace(t *testing.T) {
	t.Parallel()
	b := startBench(t, func(o *Options) { o.Grace = time.Hour })
	b.give(dispatch("t", script("ignore", "spawn", "forever")))
	b.awaitChild("t")
	pid := int(b.holding("t").Metrics["child"])
	b.stop()
	b.until("it leaves", func() bool { return b.lastBeat().Leaving })
	close(b.kill)
	if err := b.end(); !errors.Is(err, ErrKilled) {
		t.Errorf("it returned %v", err)
	}
	awaitGone(t, pid)
}

// TestDispatchWhileLeaving: what a pull still brings is given back as preempted.
func TestDispatchWhileLeaving(t *testing.T) {
	t.Parallel()
	link := newTestLink()
	pulled := make(chan struct{})
	o := testOptions(t)
	ctx, cancel := context.WithCancel(t.Context())
	o.Runners = map[string]spec.Runner{"train": spec.RunnerFunc(blocker)}
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, o, func(context.Context, *Options, spec.WorkerID) (linkType, error) {
			return &latePull{testLink: link, pulled: pulled}, nil
		})
	}()
	<-pulled
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if all := link.reports(); len(all) != 1 || !all[0].Preempted {
		t.Fatalf("reports %+v", all)
	}
}

// latePull brings a task when the pull is cancelled, beside the error.
type latePull struct {
	*testLink
	pulled chan struct{}
}

func (l *latePull) pull(ctx context.Context, _ string, _ time.Duration) ([]*bus.Dispatch, error) {
	close(l.pulled)
	<-ctx.Done()
	time.Sleep(20 * time.Millisecond) // the worker notices that it leaves
	return []*bus.Dispatch{dispatch("late")}, context.Cause(ctx)
}

func TestCancelledBeforeTheStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := run(ctx, testOptions(t), func(ctx context.Context, _ *Options, _ spec.WorkerID) (linkType, error) {
		return nil, context.Cause(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	err = run(context.Background(), testOptions(t), func(context.Context, *Options, spec.WorkerID) (linkType, error) {
		return nil, refused
	})
	if !errors.Is(err, refused) {
		t.Fatalf("it returned %v", err)
	}
}
