package coordinator

import (
	"context"
	"errors"
	"time"

	"autoresearch/internal/model"
	"autoresearch/pkg/spec"
)

// simWorkflow is a workflow whose hooks return something else each time they are called: were two calls applied, or a
// part of one, the tree would show it.
type simWorkflow struct {
	w    *simulation
	node *simNode
	p    *model.Proc
}

func (f *simWorkflow) Load(context.Context) ([]spec.TaskSpec, error) {
	f.think()
	var roots []spec.TaskSpec
	for _, id := range []spec.TaskID{"r1", "r2", "r3"}[:1+f.w.seed%3] {
		roots = append(roots, spec.TaskSpec{ID: id, Kind: "train"})
	}
	return roots, nil
}

// think takes a little time, and sometimes more; the process may die meanwhile.
func (f *simWorkflow) think() {
	if f.w.chance(f.w.plan.crash * 4) {
		f.w.tracef("%s dies in a hook", f.node.name)
		f.node.crash()
	}
	f.p.Wait(context.Background(), f.w.latency())
}

func (f *simWorkflow) Checkpoint(context.Context, []spec.TaskSpec, []spec.TaskSpec, spec.Status) error {
	return nil
}

func (f *simWorkflow) Summarize(context.Context, string) (string, error) { return "", nil }

// OnResult returns new children, unless it misbehaves.
func (f *simWorkflow) OnResult(ctx context.Context, ts spec.TaskSpec, r spec.TaskResult) ([]spec.TaskSpec, error) {
	w := f.w
	run := w.check.hooked(f.node, ts.ID, r)
	if w.chance(w.plan.hook) {
		return f.misbehave(ctx, ts, run)
	}
	f.think()
	if ctx.Err() != nil {
		run.spoiled = true
		return nil, ctx.Err()
	}
	children := f.children()
	w.check.returned(run, ts.ID, children)
	return children, nil
}

func (f *simWorkflow) children() (children []spec.TaskSpec) {
	for range f.w.number(4) {
		if f.w.specs < f.w.tasksMax {
			children = append(children, f.w.newSpec("c"))
		}
	}
	return children
}

// errNoIdea is what a hook says that fails.
var errNoIdea = errors.New("no idea")

func (f *simWorkflow) misbehave(ctx context.Context, ts spec.TaskSpec, run *hookRun) ([]spec.TaskSpec, error) {
	w := f.w
	switch w.number(4) {
	case 0:
		run.spoiled = true
		return nil, errNoIdea
	case 1:
		run.spoiled = true
		panic("a bug in a hook")
	case 2:
		run.spoiled = true
		f.p.Wait(context.WithoutCancel(ctx), 6*time.Second) // longer than timeout and grace
		children := f.children()
		w.check.returned(run, ts.ID, children)
		return children, nil
	}
	children := append(f.children(), ts, spec.TaskSpec{}, spec.TaskSpec{ID: "r1", Kind: "train", Payload: spec.Payload(`{"other":1}`)})
	children = append(children, children[0])
	w.check.returned(run, ts.ID, children)
	return children, nil
}

// Policies implements spec.Scheduler.
func (f *simWorkflow) Policies() (map[string]spec.KindPolicy, bool) {
	return map[string]spec.KindPolicy{"train": {Retries: 2}, "big": {Class: "gpu", Retries: 1}, "broken": {}}, true
}

// Limits implements spec.Scheduler.
func (f *simWorkflow) Limits() spec.Limits { return spec.Limits{} }

// Prices implements spec.Pricer.
func (f *simWorkflow) Prices() spec.Prices {
	return spec.Prices{Classes: map[string]spec.Price{spec.ClassDefault: {SlotHour: 1_234_567}, "gpu": {GPUHour: 7_654_321}}}
}

// Recipe implements spec.Commander.
func (f *simWorkflow) Recipe(ts spec.TaskSpec) (spec.Recipe, error) {
	if ts.Kind == "broken" {
		return spec.Recipe{}, errors.New("no such program")
	}
	return spec.Recipe{Argv: []string{"true"}}, nil
}

// duration is how long an attempt runs.
func (w *simulation) duration() time.Duration {
	if w.number(10) == 0 {
		return w.upTo(2 * w.leaseTTL)
	}
	return w.upTo(3 * time.Second)
}

// verdict is how an attempt ends by itself; nil is success.
func (w *simulation) verdict(spec.TaskSpec) *spec.FailureRecord {
	if w.number(4) > 0 {
		return nil
	}
	return &spec.FailureRecord{
		Kind: spec.JobFailed, Phase: spec.PhaseJob, Message: "exit status 1", Retryable: w.number(3) > 0,
		Details: map[string]any{"cause": spec.CauseExit},
	}
}
