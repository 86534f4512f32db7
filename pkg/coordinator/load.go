package coordinator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"autoresearch/internal/host"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
)

// EditedError says that engine_state.json was edited since this engine wrote it last.
type EditedError struct {
	Path string
	Diff string // what the edit changes, by task
}

// Error shows the difference and the two ways on.
func (e *EditedError) Error() string {
	return fmt.Sprintf("%s was edited since the engine wrote it:\n%s\nstart again with --adopt-edits to take the edit, "+
		"or with --ignore-edits to drop it", e.Path, e.Diff)
}

// prepare brings workflow and workdir in step with what was recovered, before the loop starts: the workflow gets its
// state back, an edited snapshot is dealt with, and the run begins.
func (t *term) prepare(ctx context.Context) error {
	if err := t.restoreWorkflow(ctx); err != nil {
		return err
	}
	if err := t.takeEdits(); err != nil {
		return err
	}
	if !t.continues() {
		t.begin()
	}
	return nil
}

// begin starts or resumes the run, unless a stop rule of the workflow still holds.
func (t *term) begin() {
	t.inbox.force(arrival{event: engine.Begin{Resume: t.c.o.ExitWhenStopped}, call: func(*leader) { t.begun = true }})
	if s, ok := t.c.o.Workflow.(spec.Stopper); ok {
		if reason := s.StopReason(); reason != "" {
			t.inbox.force(arrival{event: engine.Stop{Reason: reason}})
		}
	}
}

// continues reports whether the workflow is to be asked for more before the run begins, because nothing is left of it.
func (t *term) continues() bool {
	_, ok := t.c.o.Workflow.(spec.Continuer)
	return ok && t.loaded && t.live == 0
}

// restoreWorkflow hands a workflow with state of its own every task that is known.
func (t *term) restoreWorkflow(ctx context.Context) error {
	r, ok := t.c.o.Workflow.(spec.Restorer)
	if !ok {
		return nil
	}
	tasks := slices.Collect(t.ledger.look().all())
	results := make(map[spec.TaskID]spec.TaskResult, len(tasks))
	for _, task := range tasks {
		if task.Outcome != nil {
			results[task.Spec.ID], _ = resultOf(task) // a body that cannot be read is a result without metrics
		}
	}
	return t.hooks.call(ctx, "Restore", func(ctx context.Context) error { return r.Restore(ctx, tasks, results) })
}

// takeEdits compares the workdir's snapshot with the journal, once per process.
func (t *term) takeEdits() error {
	c := t.c
	if c.state == nil || c.edits || !t.ledger.meta().Loaded {
		return nil
	}
	edited, origin, err := c.state.Read()
	if origin == snapshot.Ours || origin == snapshot.Absent || err == nil && origin == snapshot.Foreign && t.tookOver(edited) {
		c.edits = true
		return nil
	}
	var corrupt *snapshot.CorruptError
	switch {
	case errors.As(err, &corrupt) && c.o.IgnoreEdits:
	case err != nil:
		return err
	case c.o.AdoptEdits:
		if err := t.adopt(edited); err != nil {
			return err
		}
	case !c.o.IgnoreEdits:
		return &EditedError{Path: c.state.Path(), Diff: snapshot.Diff(t.ledger.state(), edited)}
	}
	c.edits = true
	return nil
}

// tookOver reports whether the original's file is what the run began with: the process that took it over died before its
// first snapshot. A file without specs is as good as none.
func (t *term) tookOver(s spec.EngineState) bool {
	imported := t.ledger.meta().ImportHash
	return imported == t.c.state.Hash().String() || imported == "" && !s.HasSpecs()
}

// adopt makes the queue what the edited file says: its new tasks are submitted, its priorities taken, and what it no
// longer lists is cancelled, except for tasks that are newer than the snapshot that was edited.
func (t *term) adopt(edited spec.EngineState) error {
	newer, err := t.c.snapshotReach()
	if err != nil {
		return err
	}
	listed := make(map[spec.TaskID]bool)
	specs := edited.Resume()
	if err := t.complete(t.ctx, specs); err != nil {
		return err
	}
	for _, ts := range specs {
		listed[ts.ID] = true
		t.adoptOne(ts)
	}
	for task := range t.ledger.look().live() {
		if !listed[task.Spec.ID] && task.Seq < newer && task.State != spec.StateReported {
			t.edit(engine.Cancel{Task: task.Spec.ID, Asked: byEdit("removed from engine_state.json")})
		}
	}
	return nil
}

func (t *term) adoptOne(ts spec.TaskSpec) {
	task, known := t.ledger.task(ts.ID)
	switch {
	case !known:
		t.edit(engine.Submit{Specs: []spec.TaskSpec{ts}, Source: engine.SourceFile, Asked: byEdit("added to engine_state.json")})
	case task.State.Terminal():
	case !task.Spec.SameContent(ts):
		t.edit(engine.Cancel{Task: ts.ID, Asked: byEdit("replaced in engine_state.json")})
		t.edit(engine.Submit{Specs: []spec.TaskSpec{ts}, Source: engine.SourceFile, Asked: byEdit("replaced in engine_state.json")})
	case task.Priority != ts.Priority:
		t.edit(engine.Reprioritise{Task: ts.ID, Priority: ts.Priority, Asked: byEdit("its priority was changed in engine_state.json")})
	}
}

// byEdit says that whoever edited the snapshot asked for a change.
func byEdit(what string) engine.Asked { return engine.Asked{By: "edit", Reason: what} }

func (t *term) edit(ev engine.Event) {
	t.leader.log.Info("taking an edit of engine_state.json", "edit", fmt.Sprintf("%T", ev))
	t.inbox.force(arrival{event: ev})
}

// reachField is the key of run.json that says which arrival numbers the last snapshot could list: all below it.
const reachField = "snapshot_next_seq"

// snapshotReach returns the first arrival number that the last snapshot written could not list.
func (c *Coordinator) snapshotReach() (uint64, error) {
	run, err := snapshot.ReadRun(c.o.Workdir)
	if err != nil {
		return 0, err
	}
	for _, f := range run.Extra {
		if f.Name == reachField {
			return strconv.ParseUint(string(f.Value), 10, 64)
		}
	}
	return 0, nil
}

// callWorkflow makes all calls of the workflow, one at a time: Load if the run is new, Continue if nothing is left of an
// old one, then the hooks.
func (t *term) callWorkflow(ctx context.Context) {
	err := t.firstSpecs(ctx)
	if err != nil && ctx.Err() == nil {
		t.cancel(fmt.Errorf("run %q: %w", t.leader.run, err))
		return
	}
	t.hooks.run(ctx)
}

func (t *term) firstSpecs(ctx context.Context) error {
	if !t.loaded {
		return t.load(ctx)
	}
	if !t.continues() {
		return nil
	}
	defer t.begin()
	return t.submitFrom(ctx, "Continue", t.c.o.Workflow.(spec.Continuer).Continue)
}

// load submits the first specs: those of a workdir that the original left, else the workflow's.
func (t *term) load(ctx context.Context) error {
	state, hash, err := t.foreign()
	if err != nil {
		return err
	}
	if hash != "" {
		err = t.submitAll(ctx, state.Resume())
	} else {
		err = t.submitFrom(ctx, "Load", t.c.o.Workflow.Load)
	}
	if err != nil {
		return err
	}
	return t.inbox.put(ctx, arrival{event: engine.Loaded{Hash: hash}})
}

// submitFrom submits what a hook returns.
func (t *term) submitFrom(ctx context.Context, name string, hook func(context.Context) ([]spec.TaskSpec, error)) error {
	var specs []spec.TaskSpec
	err := t.hooks.call(ctx, name, func(ctx context.Context) (err error) {
		specs, err = hook(ctx)
		return err
	})
	if err != nil {
		return err
	}
	return t.submitAll(ctx, specs)
}

// submitChunk is how many specs are submitted at once.
const submitChunk = 1000

func (t *term) submitAll(ctx context.Context, specs []spec.TaskSpec) error {
	for len(specs) > 0 {
		chunk := specs[:min(submitChunk, len(specs))]
		specs = specs[len(chunk):]
		if err := t.submit(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

// withDefaults returns copies of what a hook returned, which may keep its own, with what they leave out.
func withDefaults(specs []spec.TaskSpec) []spec.TaskSpec {
	specs = slices.Clone(specs)
	for i := range specs {
		specs[i] = specs[i].WithDefaults()
	}
	return specs
}

// submit waits until a chunk is journaled, and refuses to go on without a spec that breaks a rule.
func (t *term) submit(ctx context.Context, chunk []spec.TaskSpec) error {
	var reply engine.Reply
	replied := make(chan struct{})
	chunk = withDefaults(chunk)
	if err := t.complete(ctx, chunk); err != nil {
		return err
	}
	err := t.inbox.put(ctx, arrival{
		event: engine.Submit{Specs: chunk, Source: engine.SourceFile},
		reply: func(r engine.Reply) { reply = r; close(replied) },
	})
	if err != nil {
		return err
	}
	t.c.host.Wait(ctx, host.Forever, replied)
	if !host.Done(replied) {
		return ctx.Err()
	}
	err = errors.Join(reply.Errs...)
	if errors.Is(err, engine.ErrTooLarge) {
		err = fmt.Errorf("%w; or raise max_payload in the configuration of the NATS server", err)
	}
	return err
}

// foreign returns the state that the original left in the workdir, and its hash; "" when there is none with specs.
func (t *term) foreign() (spec.EngineState, string, error) {
	if t.c.state == nil {
		return spec.EngineState{}, "", nil
	}
	state, origin, err := t.c.state.Read()
	var corrupt *snapshot.CorruptError
	if errors.As(err, &corrupt) && t.c.o.IgnoreEdits {
		return spec.EngineState{}, "", t.setAside(corrupt.Path)
	}
	if err != nil || origin != snapshot.Foreign || !state.HasSpecs() {
		return spec.EngineState{}, "", err
	}
	t.leader.log.Info("taking over the workdir's queue", "file", t.c.state.Path(),
		"queued", len(state.Queued), "running", len(state.Running), "status", state.Status)
	return state, t.c.state.Hash().String(), nil
}

// setAside renames a file that cannot be read and was told to be ignored: it is not ours to remove.
func (t *term) setAside(path string) error {
	aside := path + ".ignored"
	t.leader.log.Warn("a file that cannot be read is set aside", "file", path, "renamed_to", aside)
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("set an unreadable file aside: %w", err)
	}
	return nil
}
