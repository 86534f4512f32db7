package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"autoresearch/pkg/spec"
)

// failing are Runners of two kinds: one always fails, one never does.
func failing() func(*Options) {
	return runners(map[string]spec.RunnerFunc{
		"bad": func(context.Context, spec.Attempt) (spec.TaskResult, error) {
			return spec.TaskResult{}, errors.New("no GPU")
		},
		"good": succeed,
	})
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, failing(), func(o *Options) { o.Breaker, o.Slots[testClass] = 3, 1 })
		b.limit = time.Hour
		tasks := 0
		run := func(kindName string) {
			tasks++
			id := taskID(tasks)
			b.give(dispatch(id, kind(kindName)))
			b.report(id, 1)
		}
		free := func() int { return b.lastBeat().Slots[0].Free }
		for _, name := range []string{"bad", "bad", "good", "bad", "bad"} {
			run(name)
		}
		if time.Sleep(time.Minute); free() != 1 {
			t.Fatal("it is out after two failures in a row")
		}
		run("bad")
		opened := time.Now()
		if time.Sleep(2 * HeartbeatDefault); free() != 0 {
			t.Fatal("it offers a slot after three failures in a row")
		}
		run("bad") // is pulled when it tries again
		if waited := time.Since(opened); waited < BreakerPauseDefault || waited > BreakerPauseDefault+pullExpiry {
			t.Errorf("it tried again after %v", waited)
		}
		again := time.Now()
		run("good")
		if waited := time.Since(again); waited < 2*BreakerPauseDefault || waited > 2*BreakerPauseDefault+pullExpiry {
			t.Errorf("it tried once more after %v", waited)
		}
		if time.Sleep(2 * HeartbeatDefault); free() != 1 {
			t.Error("it is still out after a success")
		}
	})
}

func TestBreakerCountsTasks(t *testing.T) {
	t.Parallel()
	now := time.Now()
	fail := func(cause string) outcome {
		return failed(&spec.FailureRecord{Kind: spec.JobFailed, Details: map[string]any{"cause": cause}})
	}
	attemptOf := func(n int) *attempt { return newAttempt(dispatch(taskID(n)), &pool{}, now) }
	b := &breaker{limit: 2, first: time.Minute}
	for i, step := range []struct {
		task int
		o    outcome
		open bool
	}{
		{1, fail("exit"), false}, {1, fail("exit"), false}, // one task, again and again
		{2, fail("signal"), false}, {3, outcome{preempted: true}, false}, {3, outcome{discarded: true}, false},
		{3, fail("signal"), true},
	} {
		if opened, _ := b.note(attemptOf(step.task), step.o, now); opened != step.open {
			t.Errorf("step %d: opened %v", i, opened)
		}
	}
	if most, reason, wait := b.state(now); most != 0 || wait != time.Minute || !strings.Contains(reason, "last 2 tasks") {
		t.Errorf("%d, %q, %v", most, reason, wait)
	}
	// What was running meanwhile does not make the pause longer, nor end it.
	if opened, closed := b.note(attemptOf(4), fail("signal"), now); opened || closed {
		t.Error("a failure while it is out counts")
	}
	if opened, closed := b.note(attemptOf(5), outcome{}, now); opened || closed {
		t.Error("a success while it is out counts")
	}
	never := &breaker{limit: -1}
	for n := range 100 {
		if opened, _ := never.note(attemptOf(n), fail("exit"), now); opened {
			t.Fatal("a breaker that is off opens")
		}
	}
}

// TestHardLimits: an experiment that ignores SIGTERM ends with the grace, and for what it was ended.
func TestHardLimits(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.give(dispatch("stubborn", script("ignore", "spawn", "daemon", "forever"), limits(300*time.Millisecond, 0)))
	report, result := b.report("stubborn", 1)
	if f := report.Failure; f.Cause() != spec.CauseTimeout || f.Kind != spec.JobRuntimeFailed || !f.Retryable {
		t.Errorf("filed as %+v", f)
	}
	awaitGone(t, childOf(t, result))
}

func TestCausesFromEvidence(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	for text, cause := range map[string]string{
		"torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB":          spec.CauseOutOfMemory,
		"RuntimeError: CUDA error: uncorrectable ECC error encountered":                spec.CauseHardware,
		"RuntimeError: No CUDA GPUs are available: no CUDA-capable device is detected": spec.CauseHardware,
		"ValueError: bad learning rate":                                                spec.CauseExit,
	} {
		id := spec.TaskID(fmt.Sprint(len(text)))
		b.give(dispatch(id, script("warn "+text, "exit 1")))
		if report, _ := b.report(id, 1); report.Failure.Cause() != cause || !report.Failure.Retryable {
			t.Errorf("%s: filed as %+v", text, report.Failure)
		}
	}
	e := ending{exit: exit{code: -1, signal: "SIGXCPU"}, recipe: &spec.Recipe{}}
	if f := e.judge(); f.Cause() != spec.CauseCPULimit {
		t.Errorf("filed as %+v", f)
	}
}
