package api

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"autoresearch/pkg/spec"
)

// gate is a runner whose attempts wait until they are let go.
type gate struct {
	mu      sync.Mutex
	release chan struct{}
}

func newGate() *gate { return &gate{release: make(chan struct{})} }

func (g *gate) run(ctx context.Context, _ spec.Attempt) (spec.TaskResult, error) {
	select {
	case <-g.release:
		return spec.TaskResult{}, nil
	case <-ctx.Done():
		return spec.TaskResult{}, ctx.Err()
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-g.release:
	default:
		close(g.release)
	}
}

func TestControlsOfARun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	specs := make([]spec.TaskSpec, 6)
	for i := range specs {
		specs[i] = task(fmt.Sprint("t", i))
	}
	n := w.coordinate(specs...)
	n.leads(t)
	g := newGate()
	w.work(map[string]int{spec.ClassDefault: 3}, g.run)
	c, ctx := n.client(t), t.Context()
	running := func(want int) {
		t.Helper()
		eventually(t, fmt.Sprint(want, " run"), func() bool { return must(c.Run(ctx, "test"))(t).Counts.Running == want })
	}
	running(3)

	before := must(c.Run(ctx, "test"))(t)
	lowered := must(c.SetBudget(ctx, "test", BudgetRequest{Budget: new(1), Reason: "others need it"}, before.Version))(t)
	if lowered.Budget != 1 || lowered.Configured != 4 || lowered.Counts.Running != 3 {
		t.Errorf("a budget below what runs: %+v", lowered)
	}
	_, err := c.Pause(ctx, "test", ControlRequest{}, before.Version)
	wantCode(t, err, CodeChanged)
	_, err = c.SetBudget(ctx, "test", BudgetRequest{Budget: new(2), Class: "gpuu"}, "")
	wantCode(t, err, CodeInvalid)
	paused := must(c.Pause(ctx, "test", ControlRequest{Reason: "lunch"}, lowered.Version))(t)
	if !paused.Paused || paused.Counts.Running != 3 {
		t.Errorf("%+v", paused)
	}
	must(c.Pause(ctx, "test", ControlRequest{Class: "gpu"}, ""))(t)
	must(c.SetBudget(ctx, "test", BudgetRequest{Class: "gpu", Budget: new(2)}, ""))(t)
	run := must(c.Run(ctx, "test"))(t)
	gpu := run.Classes[slices.IndexFunc(run.Classes, func(c Class) bool { return c.Name == "gpu" })]
	if !gpu.Paused || gpu.Budget != 2 {
		t.Errorf("%+v", run.Classes)
	}

	workers := must(c.Workers(ctx, "test"))(t)
	if len(workers) != 1 || len(workers[0].Running) != 3 || workers[0].Slots[0].Total != 3 || workers[0].Host == "" || workers[0].Silent {
		t.Errorf("%+v", workers)
	}

	waits := must(c.Task(ctx, "test", "t3"))(t).Waiting
	var codes []string
	for _, r := range waits.Reasons {
		codes = append(codes, r.Code)
	}
	if !slices.Contains(codes, "run_paused") || !slices.Contains(codes, "budget") || waits.Place != 1 || waits.ExpectedAt != nil {
		t.Errorf("%+v", waits)
	}
	if last := must(c.Task(ctx, "test", "t5"))(t).Waiting; last.Place != 3 {
		t.Errorf("%+v", last)
	}

	// A drain lets what runs finish, and then the run stops with its queue; resuming goes on.
	must(c.Drain(ctx, "test", ControlRequest{Reason: "the machine is needed"}, ""))(t)
	g.open()
	eventually(t, "it is drained", func() bool { return must(c.Run(ctx, "test"))(t).Status == "stopped" })
	if run := must(c.Run(ctx, "test"))(t); run.Reason != "drained" || run.Counts.Queued != 3 || run.Counts.Completed != 3 {
		t.Errorf("%+v", run)
	}
	must(c.Resume(ctx, "test", ControlRequest{}, ""))(t)
	eventually(t, "all is done", func() bool { return must(c.Run(ctx, "test"))(t).Counts.Completed == 6 })

	list := must(c.Events(ctx, "test", EventQuery{Types: []string{EventChange}}))(t)
	var said []string
	for _, e := range list.Events {
		said = append(said, fmt.Sprintf("%s %s%s by %s", e.Change.Action, e.Change.Class, e.Change.Reason, e.Change.By))
	}
	want := "budget others need it by anna, pause lunch by anna, pause gpu by anna, budget gpu by anna, " +
		"drain the machine is needed by anna, resume  by anna"
	if got := strings.Join(said, ", "); got != want {
		t.Errorf("asked for:\n%s\nwant:\n%s", got, want)
	}
}

func TestCancelBumpAndRetry(t *testing.T) {
	t.Parallel()
	child := func(id, parent string) spec.TaskSpec {
		ts := task(id)
		ts.Parent = spec.TaskID(parent)
		return ts
	}
	n := newWorld(t).coordinate(task("a"), child("b", "a"), child("c", "b"), task("d"), child("e", "d"))
	n.leads(t)
	c, ctx := n.client(t), t.Context()

	seen := must(c.Task(ctx, "test", "e"))(t)
	dry := must(c.Reprioritise(ctx, "test", "d", PriorityRequest{Front: true, Subtree: true, DryRun: true}, ""))(t)
	front := must(c.Reprioritise(ctx, "test", "d", PriorityRequest{Front: true, Subtree: true}, ""))(t)
	if dry.Count != 2 || front.Count != 2 || front.Task.Priority != -1 {
		t.Errorf("%+v, then %+v", dry, front)
	}
	first := must(c.Tasks(ctx, "test", TaskQuery{Sort: "queue", Limit: 2}))(t)
	if first.Tasks[0].ID != "d" || first.Tasks[1].ID != "e" {
		t.Errorf("%+v", first.Tasks)
	}
	_, err := c.Cancel(ctx, "test", "e", CancelRequest{}, seen.Version)
	wantCode(t, err, CodeChanged)

	dry = must(c.Cancel(ctx, "test", "a", CancelRequest{Subtree: true, DryRun: true}, ""))(t)
	gone := must(c.Cancel(ctx, "test", "a", CancelRequest{Subtree: true, Reason: "a dead end"}, ""))(t)
	if dry.Count != 3 || gone.Count != 3 || !gone.Task.Cancelled {
		t.Errorf("%+v, then %+v", dry, gone)
	}
	_, err = c.Cancel(ctx, "test", "a", CancelRequest{}, "")
	wantCode(t, err, CodeFinished)
	_, err = c.Cancel(ctx, "test", "a", CancelRequest{Subtree: true}, seen.Version)
	wantCode(t, err, CodeChanged)
	again := must(c.Cancel(ctx, "test", "a", CancelRequest{Subtree: true}, must(c.Task(ctx, "test", "a"))(t).Version))(t)
	if again.Count != 0 {
		t.Errorf("%+v", again)
	}
	_, err = c.Cancel(ctx, "test", "nobody", CancelRequest{}, "")
	wantCode(t, err, CodeUnknownTask)
	if b := must(c.Task(ctx, "test", "b"))(t); b.Failure.Message != "a dead end" || b.Failure.Cause != "cancelled" {
		t.Errorf("%+v", b.Failure)
	}

	// The retry of a task below a cancelled one hangs below the nearest that was not, and is not doubled.
	_, err = c.Retry(ctx, "test", "d", RetryRequest{})
	wantCode(t, err, CodeNotFailed)
	if plan := must(c.Retry(ctx, "test", "c", RetryRequest{DryRun: true}))(t); plan.Task != "c~r1" || plan.Existing {
		t.Errorf("%+v", plan)
	}
	for i, existing := range []bool{false, true} {
		if retry := must(c.Retry(ctx, "test", "c", RetryRequest{Reason: "once more"}))(t); retry.Task != "c~r1" || retry.Existing != existing {
			t.Errorf("%d: %+v", i, retry)
		}
	}
	fresh := must(c.Task(ctx, "test", "c~r1"))(t)
	if fresh.State != "queued" || fresh.RetryOf != "c" || fresh.Parent != "" {
		t.Errorf("%+v", fresh)
	}
	must(c.Cancel(ctx, "test", "c~r1", CancelRequest{}, ""))(t)
	if retry := must(c.Retry(ctx, "test", "c~r1", RetryRequest{Priority: new(Number(-7))}))(t); retry.Task != "c~r2" {
		t.Errorf("%+v", retry)
	}
	named := must(c.Retry(ctx, "test", "c", RetryRequest{ID: "mine"}))(t)
	if named.Task != "mine" {
		t.Errorf("%+v", named)
	}
	_, err = c.Retry(ctx, "test", "c", RetryRequest{ID: "d"})
	wantCode(t, err, CodeDuplicate)
	events := must(c.Events(ctx, "test", EventQuery{Types: []string{EventChange}, Task: "c"}))(t)
	if e := events.Events; len(e) != 2 || e[0].Change.Action != spec.ActRetry || e[0].Change.RetryOf != "c" || e[0].Change.Reason != "once more" {
		t.Errorf("%+v", events)
	}
	eventually(t, "all are listed as cancelled", func() bool { // once the result hook has seen them
		return len(must(c.Tasks(ctx, "test", TaskQuery{Status: []string{"cancelled"}}))(t).Tasks) == 4
	})
}

// TestRetryFollowsACancel retries at once what was cancelled while it ran: the retry waits until the worker has stopped it, and
// is not taken for one that was itself cancelled.
func TestRetryFollowsACancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.coordinate(task("a"))
	n.leads(t)
	w.work(map[string]int{spec.ClassDefault: 1}, newGate().run)
	c, ctx := n.client(t), t.Context()
	for i, id := range []spec.TaskID{"a", "a~r1"} {
		eventually(t, "it runs", func() bool { return must(c.Task(ctx, "test", id))(t).State == "running" })
		must(c.Cancel(ctx, "test", id, CancelRequest{}, ""))(t)
		want := spec.TaskID(fmt.Sprint("a~r", i+1))
		if retry := must(c.Retry(ctx, "test", "a", RetryRequest{}))(t); retry.Task != want || retry.Existing {
			t.Errorf("%+v, want %s", retry, want)
		}
	}
}

// TestAllowances: a task and its descendants wait for what they may spend, and go on when somebody allows more.
func TestAllowances(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.coordinate()
	n.leads(t)
	g := newGate()
	defer g.open()
	w.work(map[string]int{spec.ClassDefault: 3}, g.run)
	c, ctx := n.client(t), t.Context()
	root, child := task("root"), task("child")
	root.Extra, child.Parent = []spec.Field{spec.Allowance{Experiments: 1}.Field()}, "root"
	must(c.Submit(ctx, "test", SubmitRequest{Tasks: []spec.TaskSpec{root, child}}))(t)
	eventually(t, "the child waits for its allowance", func() bool {
		waits := must(c.Task(ctx, "test", "child"))(t).Waiting
		return waits != nil && waits.ExpectedAt == nil && slices.ContainsFunc(waits.Reasons, func(r Reason) bool { return r.Code == "allowance" })
	})
	if shown := must(c.Task(ctx, "test", "root"))(t); shown.Allowance == nil || shown.Allowance.Experiments != 1 || shown.Allowance.Limits.MaxExperiments != 1 {
		t.Errorf("%+v", shown.Allowance)
	}
	if shown := must(c.Task(ctx, "test", "child"))(t); shown.Purse != "root" {
		t.Errorf("%+v", shown)
	}
	_, err := c.SetAllowance(ctx, "test", AllowanceRequest{Task: "child", Limits: Limits{MaxCost: 5}}, "")
	wantCode(t, err, CodeInvalid)
	_, err = c.SetAllowance(ctx, "test", AllowanceRequest{Task: "root", Limits: Limits{MaxDurationSeconds: 5}}, "")
	wantCode(t, err, CodeInvalid)
	_, err = c.SetAllowance(ctx, "test", AllowanceRequest{Limits: Limits{MaxGPUHours: 2e6}}, "")
	wantCode(t, err, CodeInvalid)
	before := must(c.Run(ctx, "test"))(t)
	after := must(c.SetAllowance(ctx, "test", AllowanceRequest{Task: "root", Limits: Limits{MaxExperiments: 2}, Reason: "promising"}, before.Version))(t)
	_, err = c.SetAllowance(ctx, "test", AllowanceRequest{Limits: Limits{MaxCost: 7}}, before.Version)
	wantCode(t, err, CodeChanged)
	if after.Limits != nil {
		t.Errorf("%+v", after.Limits)
	}
	eventually(t, "both run", func() bool { return must(c.Run(ctx, "test"))(t).Counts.Running == 2 })
	if run := must(c.SetAllowance(ctx, "test", AllowanceRequest{Limits: Limits{MaxCost: 7, MaxGPUHours: 2}}, ""))(t); *run.Limits != (Limits{MaxCost: 7, MaxGPUHours: 2}) {
		t.Errorf("%+v", run.Limits)
	}
}
