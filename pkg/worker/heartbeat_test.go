package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

func TestHeartbeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, func(o *Options) { o.Slots = map[string]int{"cpu": 2, "h100x1": 1} },
			runners(map[string]spec.RunnerFunc{"train": func(ctx context.Context, a spec.Attempt) (spec.TaskResult, error) {
				a.Progress("epoch 1", map[string]float64{"loss": 3})
				a.Progress("epoch 2", map[string]float64{"loss": 2, "acc": 0.5})
				return blocker(ctx, a)
			}}))
		b.give(dispatch("t"))
		b.awaitStart("t")
		synctest.Wait()
		seen := len(b.uplinks())
		time.Sleep(20 * time.Second)
		beats := b.uplinks()[seen:]
		if len(beats) < 9 || len(beats) > 11 {
			t.Errorf("%d heartbeats in 20 s", len(beats))
		}
		beat := beats[len(beats)-1]
		if beat.Worker == "" || beat.Boot != 1 || beat.Host == "" || !beat.Full || beat.Leaving || beat.Version != bus.MessageVersion {
			t.Errorf("heartbeat %+v", beat)
		}
		if want := []bus.ClassSlots{{Class: "cpu", Total: 2, Free: 1}, {Class: "h100x1", Total: 1, Free: 1}}; fmt.Sprint(beat.Slots) != fmt.Sprint(want) {
			t.Errorf("slots %+v", beat.Slots)
		}
		if r := beat.Running; len(r) != 1 || r[0].Progress != "epoch 2" || r[0].Metrics["loss"] != 2 || r[0].Metrics["acc"] != 0.5 ||
			r[0].Started.IsZero() || r[0].Claim == 0 {
			t.Errorf("running %+v", r)
		}
	})
}

// TestShortLeases: heartbeats come often enough for the lease of what runs.
func TestShortLeases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, func(o *Options) { o.Heartbeat = time.Minute }, runners(map[string]spec.RunnerFunc{"train": blocker}))
		b.give(dispatch("t", func(d *bus.Dispatch) { d.LeaseTTL = 3 * time.Second }))
		b.awaitStart("t")
		b.hello()
		synctest.Wait()
		seen := len(b.uplinks())
		time.Sleep(10 * time.Second)
		if n := len(b.uplinks()) - seen; n < 8 || n > 12 {
			t.Errorf("%d heartbeats in 10 s", n)
		}
	})
}

// TestStartNotices: one notice for a burst, and none for what has ended.
func TestStartNotices(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, func(o *Options) { o.Slots[testClass] = 20 }, runners(map[string]spec.RunnerFunc{
			"train": blocker,
			"quick": func(context.Context, spec.Attempt) (spec.TaskResult, error) { return spec.TaskResult{}, nil },
		}))
		synctest.Wait()
		seen := len(b.uplinks())
		b.change(func() {
			for i := range 10 {
				b.tasks[testClass] = append(b.tasks[testClass], dispatch(taskID(i)), dispatch(taskID(100+i), kind("quick")))
			}
		})
		time.Sleep(100 * time.Millisecond)
		notices := b.uplinks()[seen:]
		if len(notices) != 1 || notices[0].Full || len(notices[0].Running) != 10 || len(notices[0].Slots) != 0 {
			t.Fatalf("%d notices: %+v", len(notices), notices)
		}
		for _, holding := range notices[0].Running {
			if holding.Claim == 0 || holding.Started.IsZero() {
				t.Errorf("announced %+v", holding)
			}
		}
	})
}

// TestNothingFallsBetween plays many short attempts with failing publishes. Every heartbeat must list each attempt that was
// announced before it, as running or as finished, until its receipt.
func TestNothingFallsBetween(t *testing.T) {
	t.Parallel()
	const tasks = 300
	b := startBench(t, func(o *Options) { o.Slots[testClass], o.Heartbeat = 16, time.Millisecond },
		runners(map[string]spec.RunnerFunc{"train": func(context.Context, spec.Attempt) (spec.TaskResult, error) {
			time.Sleep(rand.N(8 * time.Millisecond))
			return spec.TaskResult{}, nil
		}}))
	for i := range tasks {
		b.give(dispatch(taskID(i)))
	}
	go func() {
		for i := range 10 {
			time.Sleep(10 * time.Millisecond)
			b.change(func() { b.publishErr = map[bool]error{true: errors.New("no stream")}[i%2 == 0] })
			b.mu.Lock()
			again := b.again
			b.mu.Unlock()
			if again != nil {
				again()
			}
		}
	}()
	b.until("all are reported", func() bool { return len(b.reports()) >= tasks })
	known := map[spec.TaskID]spec.ClaimID{}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, message := range b.said {
		u, ok := message.(*bus.Uplink)
		if !ok {
			continue
		}
		listed := map[spec.TaskID]spec.ClaimID{}
		for _, holding := range u.Running {
			listed[holding.Task] = holding.Claim
		}
		for _, ref := range u.Finished {
			if listed[ref.Task] != 0 {
				t.Errorf("%s is listed twice", ref.Task)
			}
			listed[ref.Task] = ref.Claim
		}
		for task, claim := range known {
			if u.Full && listed[task] != claim {
				t.Fatalf("a heartbeat forgets %s", task)
			}
		}
		for task, claim := range listed {
			known[task] = claim
		}
	}
}

func TestReconnectBringsAHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := startBench(t, func(o *Options) { o.Heartbeat = time.Hour })
		synctest.Wait()
		b.change(func() { b.uplinkErr = errors.New("disconnected") })
		b.hello()
		synctest.Wait()
		seen := len(b.uplinks())
		b.change(func() { b.uplinkErr = nil })
		b.again()
		time.Sleep(reconnectJitter)
		synctest.Wait()
		if len(b.uplinks()) != seen+1 {
			t.Errorf("%d heartbeats after the reconnect", len(b.uplinks())-seen)
		}
	})
}

func TestHeartbeatsAreBounded(t *testing.T) {
	t.Parallel()
	l := newLedger(map[string]int{testClass: 1000}, time.Now())
	long := strings.Repeat("p", 10_000)
	for i := range 1000 {
		a := newAttempt(dispatch(taskID(i)), l.pools[0], time.Now())
		l.hold(a)
		for j := range 100 {
			a.news.note(long, map[string]float64{fmt.Sprint(long[:100], j): 1})
		}
	}
	u, _ := l.heartbeat()
	data, err := bus.EncodeUplink(u)
	if err != nil || len(data) > 1<<19 || len(u.Running) != 1000 {
		t.Fatalf("%d bytes, %d running, %v", len(data), len(u.Running), err)
	}
}

func TestDuplicateDispatches(t *testing.T) {
	t.Parallel()
	calls := make(chan struct{}, 100)
	release := make(chan struct{})
	b := startBench(t, runners(map[string]spec.RunnerFunc{"train": func(context.Context, spec.Attempt) (spec.TaskResult, error) {
		calls <- struct{}{}
		<-release
		return spec.TaskResult{}, nil
	}}))
	b.give(dispatch("t"))
	b.awaitStart("t")
	b.give(dispatch("t")) // while it runs
	b.give(dispatch("other"))
	b.awaitStart("other")
	close(release)
	report, _ := b.report("t", 1)
	b.report("other", 1)
	b.give(dispatch("t")) // while its result has no receipt
	b.give(dispatch("third"))
	b.report("third", 1)
	b.tell(bus.Answer{Epoch: 1, Receipt: []bus.AttemptRef{report.AttemptRef}})
	b.give(dispatch("t", func(d *bus.Dispatch) { d.Attempt = 2 }))
	if next, _ := b.report("t", 2); next.Attempt != 2 || next.Claim == report.Claim {
		t.Errorf("the next attempt: %+v", next)
	}
	if len(calls) != 4 {
		t.Errorf("%d calls for 4 attempts", len(calls))
	}
}
