package coordinator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"autoresearch/internal/host"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

func TestTreeRunsToItsEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wf := newTree(3, 4)
	var ran atomic.Int64
	w.work(8, counted(&ran, wf.grow))
	c := w.coordinate(wf, nil)
	end := c.wait(t)
	if end.err != nil || end.status.Status != spec.StatusStopped || end.status.Counts.Completed != wf.size() {
		t.Fatalf("ended with %+v, %v; want %d completed", end.status, end.err, wf.size())
	}
	if ran.Load() != int64(wf.size()) {
		t.Errorf("%d executions of %d tasks", ran.Load(), wf.size())
	}
	w.checkStored(wf.size())
}

// Every task says how long its run keeps checkpoints and source trees.
func TestRecipesSayHowLongIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wf := newTree(2, 2)
	var wrong atomic.Int64
	w.work(2, func(ctx context.Context, a spec.Attempt) (spec.TaskResult, error) {
		if a.Recipe.KeepCheckpoints != 36*time.Hour || a.Recipe.KeepCode != time.Hour {
			wrong.Add(1)
		}
		return wf.grow(ctx, a)
	})
	end := w.coordinate(wf, func(o *Options) { o.KeepCheckpoints, o.KeepCode = 36*time.Hour, time.Hour }).wait(t)
	if end.err != nil || end.status.Counts.Completed != wf.size() || wrong.Load() != 0 {
		t.Errorf("%d of %d recipes say otherwise: %+v, %v", wrong.Load(), wf.size(), end.status, end.err)
	}
}

// checkStored folds the journal alone, and mirror plus tail, and compares: both must say that every task is done, and
// say the same.
func (w *world) checkStored(tasks int) {
	w.t.Helper()
	ctx := w.t.Context()
	full := newFold(0)
	err := bus.NewJournal(w.conn, w.run, bus.StreamOptions{}).Read(ctx, 1, func(seq uint64, data []byte) error {
		r, err := bus.DecodeRecord(data)
		if err != nil {
			return err
		}
		return full.read(seq, r)
	})
	if err != nil {
		w.t.Fatalf("fold the journal: %v", err)
	}
	c, err := New(Options{Conn: w.conn, Run: w.run, Workflow: newTree(0, 0), Logger: quiet(w.t)})
	if err != nil {
		w.t.Fatal(err)
	}
	rec := recovery{ports: c.ports, run: w.run, writer: 7}
	rec.commit = committer{journal: c.ports.journal, run: string(w.run), trouble: func(error) {}, host: host.Machine{}}
	if err := rec.recover(ctx); err != nil {
		w.t.Fatalf("recover: %v", err)
	}
	if len(full.tasks) != tasks || len(rec.fold.tasks) != tasks {
		w.t.Fatalf("journal says %d tasks, recovery %d; want %d", len(full.tasks), len(rec.fold.tasks), tasks)
	}
	for id, f := range full.tasks {
		g := rec.fold.tasks[id]
		if g == nil || !f.task.State.Terminal() || fmt.Sprintf("%+v", *f.task.Outcome) != fmt.Sprintf("%+v", *g.task.Outcome) ||
			f.task.State != g.task.State || fmt.Sprint(f.task.Children) != fmt.Sprint(g.task.Children) {
			w.t.Fatalf("task %s: the journal says %+v, the mirror %+v", id, f.task, g)
		}
	}
}

func deleteStream(ctx context.Context, c *bus.Conn, name string) error {
	_, err := c.NATS().RequestWithContext(ctx, "$JS.API.STREAM.DELETE."+name, nil)
	return err
}

func TestJournalGoneIsAnAlarm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	release := make(chan struct{})
	w.work(1, heldUntil(release))
	c := w.coordinate(newTree(0, 0), nil)
	eventually(t, "the task runs", func() bool { s, err := c.Status(); return err == nil && s.Counts.Running == 1 })
	if err := deleteStream(t.Context(), w.conn, bus.JournalStream(w.run)); err != nil {
		t.Fatal(err)
	}
	close(release)
	end := c.wait(t)
	var alarm *journalAlarm
	if !errors.As(end.err, &alarm) || !strings.Contains(end.err.Error(), "engine_state.json") {
		t.Fatalf("ended with %v, want an alarm that names the remedy", end.err)
	}
	if role, _, trouble := c.Readiness(); role != RoleAlarmed || trouble == "" {
		t.Errorf("readiness says %s, %q", role, trouble)
	}
	// The mirror is still there: nobody may take the run for a fresh one.
	if end := w.coordinate(newTree(0, 0), nil).wait(t); !errors.As(end.err, &alarm) {
		t.Errorf("started again with %v, want an alarm", end.err)
	}
}

func TestStandbyTakesOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wf := newTree(2, 5)
	var ran atomic.Int64
	w.work(4, counted(&ran, wf.grow))
	first := w.coordinate(wf, func(o *Options) { o.ExitWhenStopped = false })
	eventually(t, "some results", func() bool { s, err := first.Status(); return err == nil && s.Counts.Completed > 5 })
	second := w.coordinate(wf, nil)
	eventually(t, "it stands by", func() bool { role, _, trouble := second.Readiness(); return role == RoleStandby && trouble == "" })
	first.cancel()
	if end := first.wait(t); end.err != nil {
		t.Fatalf("the first ended with %v", end.err)
	}
	end := second.wait(t)
	if end.err != nil || end.status.Counts.Completed != wf.size() || end.status.Epoch != 2 {
		t.Fatalf("ended with %+v, %v; want %d completed in epoch 2", end.status, end.err, wf.size())
	}
	w.checkStored(wf.size())
}

func TestDeposedLeaderStandsBy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	release := make(chan struct{})
	w.work(1, heldUntil(release))
	c := w.coordinate(newTree(0, 0), nil)
	eventually(t, "the task runs", func() bool { s, err := c.Status(); return err == nil && s.Counts.Running == 1 })

	// Another leader's term begins behind its back: its fence is one epoch record.
	other := recovery{ports: c.ports, run: w.run, writer: 99}
	other.commit = committer{journal: c.ports.journal, run: string(w.run), trouble: func(error) {}, host: host.Machine{}}
	if err := other.recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(release) // its next commit is refused; it discards its engine, leads again and takes the result
	if end := c.wait(t); end.err != nil || end.status.Counts.Completed != 1 || end.status.Epoch != 3 {
		t.Fatalf("ended with %+v, %v; want the result applied in epoch 3", end.status, end.err)
	}
}

func TestHooksThatMisbehaveFailTheirTaskAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wf := newTree(4, 1)
	wf.onHook = func(ts spec.TaskSpec, r spec.TaskResult) ([]spec.TaskSpec, error) {
		switch ts.ID {
		case "r0":
			panic("a bug in a hook")
		case "r1":
			return nil, errors.New("no idea")
		case "r2":
			return nil, &spec.AutoresearchError{Record: spec.FailureRecord{Kind: spec.AnalysisFailed, Phase: spec.PhaseAnalysis}}
		case "r3":
			select {} // hangs for ever: the goroutine is given up
		}
		return r.Children, nil
	}
	wf.onHook = hangless(t, wf.onHook)
	w.work(2, wf.grow)
	c := w.coordinate(wf, func(o *Options) { o.HookTimeout = 200 * time.Millisecond })
	end := c.wait(t)
	if end.err != nil || end.status.Counts.Completed != 1 || end.status.Counts.Failed != 4 {
		t.Fatalf("ended with %+v, %v; want 1 completed, 4 failed", end.status, end.err)
	}
}

// hangless makes the hook that hangs hang no longer than its test lasts, so that no goroutine is left.
func hangless(t *testing.T, hook func(spec.TaskSpec, spec.TaskResult) ([]spec.TaskSpec, error)) func(spec.TaskSpec, spec.TaskResult) ([]spec.TaskSpec, error) {
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	return func(ts spec.TaskSpec, r spec.TaskResult) ([]spec.TaskSpec, error) {
		if ts.ID == "r3" {
			<-over
			return nil, nil
		}
		return hook(ts, r)
	}
}

func TestRubbishOnTheWireHurtsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wf := newTree(2, 4)
	var ran atomic.Int64
	w.work(4, func(ctx context.Context, a spec.Attempt) (spec.TaskResult, error) {
		if ran.Add(1) == 5 {
			for _, data := range rubbish(t, a) {
				if err := w.conn.NATS().Publish(bus.ResultSubject(w.run, "evil"), data); err != nil {
					t.Errorf("publish: %v", err)
				}
				if err := w.conn.NATS().Publish(bus.UplinkSubject("evil"), data); err != nil {
					t.Errorf("publish: %v", err)
				}
			}
		}
		return wf.grow(ctx, a)
	})
	end := w.coordinate(wf, nil).wait(t)
	if end.err != nil || end.status.Counts.Completed != wf.size() {
		t.Fatalf("ended with %+v, %v; want %d completed", end.status, end.err, wf.size())
	}
}

// rubbish is what a broken or hostile worker might say.
func rubbish(t *testing.T, a spec.Attempt) [][]byte {
	forged := func(r bus.Report) []byte {
		data, err := bus.EncodeResultMessage(&bus.ResultMessage{Version: 1, Worker: "evil", Boot: 1, Reports: []bus.Report{r}})
		if err != nil {
			t.Errorf("encode: %v", err)
		}
		return data
	}
	return [][]byte{
		nil, []byte("x"), {0xdd, 0xff, 0xff, 0xff, 0xff},
		forged(bus.Report{AttemptRef: spec.AttemptRef{Run: a.Run, Task: "nobody", Attempt: 1, Claim: 1}}),
		forged(bus.Report{AttemptRef: spec.AttemptRef{Run: a.Run, Task: a.Task.ID, Attempt: 99, Claim: 1}}),
		forged(bus.Report{AttemptRef: spec.AttemptRef{Run: "another", Task: a.Task.ID, Attempt: 1, Claim: 1}}),
	}
}

func TestControl(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.coordinate(newTree(0, 0), func(o *Options) { o.ExitWhenStopped = false })
	ctx := t.Context()
	eventually(t, "it leads", func() bool { _, err := c.Status(); return err == nil })
	errs, added, err := c.Submit(ctx, []spec.TaskSpec{task("a"), task("b"), task("a"), {}})
	if err != nil || added != 2 || errs[2] != nil || !errors.Is(errs[3], engine.ErrInvalidSpec) {
		t.Fatalf("submit: %v, %d added, %v", errs, added, err)
	}
	changed := task("a")
	changed.Payload = spec.Payload(`{"x":1}`)
	if errs, _, err := c.Submit(ctx, []spec.TaskSpec{changed}); err != nil || !errors.Is(errs[0], engine.ErrDuplicateID) {
		t.Errorf("submit of another content: %v, %v", errs, err)
	}
	if n, err := c.Reprioritise(ctx, "b", false, -5); err != nil || n != 1 {
		t.Errorf("reprioritise: %d, %v", n, err)
	}
	if n, err := c.Cancel(ctx, "a", false, "not needed"); err != nil || n != 1 {
		t.Errorf("cancel: %d, %v", n, err)
	}
	if _, err := c.Cancel(ctx, "nobody", false, ""); !errors.Is(err, engine.ErrUnknownTask) {
		t.Errorf("cancel of nobody: %v", err)
	}
	for _, err := range []error{c.Pause(ctx, "", true), c.Pause(ctx, "", false), c.SetBudget(ctx, "cpu", 3)} {
		if err != nil {
			t.Error(err)
		}
	}
	w.work(1, newTree(0, 0).grow)
	eventually(t, "what is left runs", func() bool {
		s, err := c.Status()
		return err == nil && s.Status == spec.StatusStopped && s.Counts.Completed == 2 && s.Counts.Cancelled == 1
	})
}

func TestWorkdirFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	wf := newTree(2, 3)
	w.work(4, wf.grow)
	if end := w.coordinate(wf, func(o *Options) { o.Workdir = dir }).wait(t); end.err != nil {
		t.Fatal(end.err)
	}
	for _, name := range []string{
		"engine_state.json", "engine/tree.json", "engine/run.json", "master_table.tsv", "summary.md", "report.md",
		"progress.png", "hypothesis_tree.png",
	} {
		if info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "engine", "tree.json"))
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := spec.DecodeTree(text)
	if err != nil || len(nodes) != wf.size() {
		t.Errorf("tree.json has %d nodes, %v; want %d", len(nodes), err, wf.size())
	}
}
