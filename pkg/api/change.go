package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// submitChunk is how many tasks go to the engine at once, so that a large submission does not hold others up.
const submitChunk = 1000

func (c *call) submit() error {
	var body struct {
		Tasks  []json.RawMessage `json:"tasks"`
		Reason string            `json:"reason"`
		DryRun bool              `json:"dry_run"`
	}
	if err := c.body(&body, submitMax); err != nil {
		return err
	}
	asked, err := c.asked(body.Reason)
	switch {
	case err != nil:
		return err
	case asked.Match != 0:
		return problem(CodeInvalid, "header If-Match: a new task has no version")
	case len(body.Tasks) == 0:
		return problem(CodeInvalid, "field tasks: it must list at least one task")
	case len(body.Tasks) > submitTasks:
		return problem(CodeTooLarge, "field tasks: it lists %d tasks; at most %d at once", len(body.Tasks), submitTasks)
	}
	answer := &SubmitAnswer{Items: make([]SubmitItem, len(body.Tasks)), DryRun: body.DryRun}
	cfg := c.view.Config()
	specs, places := readSpecs(&cfg, body.Tasks, answer.Items)
	for len(specs) > 0 {
		n := min(submitChunk, len(specs))
		if err := c.submitSome(specs[:n], places[:n], asked, answer); err != nil {
			return err
		}
		specs, places = specs[n:], places[n:]
	}
	return c.answer(answer)
}

// readSpecs decodes what can be decoded and refuses the rest, each for itself: also what would fail for its kind, and so use its id
// up. places says which item a spec is.
func readSpecs(cfg *engine.Config, texts []json.RawMessage, items []SubmitItem) (specs []spec.TaskSpec, places []int) {
	for i, text := range texts {
		ts, err := spec.DecodeTaskSpec(text)
		if err == nil {
			err = ts.Validate()
		}
		items[i].ID, ts = ts.ID, ts.WithDefaults()
		if err == nil && !cfg.Runs(ts.Kind) {
			err = fmt.Errorf("kind: the workflow has no %q; it has %s", ts.Kind, strings.Join(slices.Sorted(maps.Keys(cfg.Kinds)), ", "))
		}
		if err != nil {
			items[i].Status, items[i].Error = SubmitRefused, problem(CodeInvalidTask, "tasks[%d]: %v", i, err)
			continue
		}
		specs, places = append(specs, ts), append(places, i)
	}
	return specs, places
}

func (c *call) submitSome(specs []spec.TaskSpec, places []int, asked engine.Asked, answer *SubmitAnswer) error {
	var reply engine.Reply
	if answer.DryRun {
		reply = c.dryRun(specs)
	} else {
		var err error
		if reply, err = c.run.Steer(c.Context(), engine.Submit{Specs: specs, Asked: asked}); err != nil {
			return err
		}
	}
	for i, place := range places {
		item := &answer.Items[place]
		switch {
		case reply.Errs[i] != nil:
			item.Status, item.Error = SubmitRefused, problemOf(reply.Errs[i])
		case reply.Added[i]:
			item.Status = SubmitAccepted
			answer.Accepted++
		default:
			item.Status = SubmitExists
		}
	}
	return nil
}

// dryRun says what would become of specs.
func (c *call) dryRun(specs []spec.TaskSpec) engine.Reply {
	reply := engine.Reply{Errs: make([]error, len(specs)), Added: make([]bool, len(specs))}
	for i, ts := range specs {
		known, found := c.view.Task(ts.ID)
		reply.Added[i] = !found
		if found && !known.Task.Spec.SameContent(ts) {
			reply.Errs[i] = fmt.Errorf("task %q: %w", ts.ID, engine.ErrDuplicateID)
		}
	}
	return reply
}

// target is the task that a change is about.
type target struct {
	row   coordinator.Row
	asked engine.Asked
}

// target finds the task of the path, and checks at once what cannot change any more: that a task has its outcome, which the
// result hook may still have to see, and the version of a finished one.
func (c *call) target(reason string, subtree bool) (t target, err error) {
	if t.row, err = c.row(); err != nil {
		return t, err
	}
	if t.asked, err = c.asked(reason); err != nil {
		return t, err
	}
	task := t.row.Task
	switch {
	case task.Outcome != nil && !subtree:
		return t, fmt.Errorf("task %q: %w", task.Spec.ID, engine.ErrFinished)
	case !task.State.Terminal():
		return t, nil
	case t.asked.Match != 0 && t.asked.Match != task.Version():
		return t, fmt.Errorf("task %q: %w", task.Spec.ID, engine.ErrChanged)
	}
	t.asked.Match = 0
	return t, nil
}

// answerChange answers with how the task is now.
func (c *call) answerChange(id spec.TaskID, count int, dry bool) error {
	answer := ChangeAnswer{Count: count, DryRun: dry}
	if row, known := c.view.Task(id); known {
		task := taskOf(c.view, row)
		answer.Task = &task
		c.setVersion(task.Version)
	}
	return c.answer(answer)
}

// reached counts the tasks that a change would reach.
func (c *call) reached(id spec.TaskID, subtree bool, reaches func(*spec.Task) bool) (count int) {
	reached := func(t *spec.Task) bool { return !t.State.Terminal() && t.State != spec.StateReported && reaches(t) }
	if row, known := c.view.Task(id); !subtree {
		if known && reached(row.Task) {
			return 1
		}
		return 0
	}
	for _, row := range c.view.Subtree(id, 0, coordinator.Live) {
		if reached(row.Task) {
			count++
		}
	}
	return count
}

func (c *call) cancel() error {
	var body CancelRequest
	if err := c.body(&body, bodyMax); err != nil {
		return err
	}
	t, err := c.target(body.Reason, body.Subtree)
	if err != nil {
		return err
	}
	id := t.row.Task.Spec.ID
	if body.DryRun {
		count := c.reached(id, body.Subtree, func(t *spec.Task) bool { return !t.Cancelled })
		return c.answerChange(id, count, true)
	}
	reply, err := c.run.Steer(c.Context(), engine.Cancel{Task: id, Subtree: body.Subtree, Asked: t.asked})
	if err != nil {
		return err
	}
	return c.answerChange(id, reply.Count, false)
}

func (c *call) reprioritise() error {
	var body PriorityRequest
	if err := c.body(&body, bodyMax); err != nil {
		return err
	}
	switch {
	case (body.Priority == nil) == !body.Front:
		return problem(CodeInvalid, "give either field priority or field front")
	case body.Priority != nil && math.IsNaN(float64(*body.Priority)):
		return problem(CodeInvalid, "field priority: NaN has no place in an order")
	}
	t, err := c.target(body.Reason, body.Subtree)
	if err != nil {
		return err
	}
	id := t.row.Task.Spec.ID
	var priority float64
	if body.Front {
		priority = c.front(id, body.Subtree)
	} else {
		priority = float64(*body.Priority)
	}
	if body.DryRun {
		count := c.reached(id, body.Subtree, func(t *spec.Task) bool { return t.Priority != priority })
		return c.answerChange(id, count, true)
	}
	reply, err := c.run.Steer(c.Context(), engine.Reprioritise{Task: id, Subtree: body.Subtree, Priority: priority, Asked: t.asked})
	if err != nil {
		return err
	}
	return c.answerChange(id, reply.Count, false)
}

// front is a priority before that of every queued task that is not to be moved itself.
func (c *call) front(id spec.TaskID, subtree bool) float64 {
	moved := map[spec.TaskID]bool{id: true}
	if subtree {
		for _, row := range c.view.Subtree(id, 0, coordinator.Live) {
			moved[row.Task.Spec.ID] = true
		}
	}
	first := 1.0
	for _, row := range c.view.Scan(0, coordinator.Live) {
		if t := row.Task; t.State == spec.StateQueued && !moved[t.Spec.ID] {
			first = min(first, t.Priority)
		}
	}
	return min(first-1, math.Nextafter(first, math.Inf(-1)))
}

// retryName is the id of a retry: that of the task it repeats, and a number.
var retryName = regexp.MustCompile(`~r[0-9]+$`)

// retry submits a failed task's work again. A finished task stays finished, for its outcome was applied and its children
// exist; so the retry is a new task with an id of its own, at the same place of the tree, which names the one it repeats. A
// retry that is under way already is not doubled.
func (c *call) retry() error {
	var body RetryRequest
	if err := c.body(&body, bodyMax); err != nil {
		return err
	}
	row, err := c.row()
	if err != nil {
		return err
	}
	asked, err := c.asked(body.Reason)
	if err != nil {
		return err
	}
	if asked.Match != 0 && asked.Match != row.Task.Version() {
		return fmt.Errorf("task %q: %w", row.Task.Spec.ID, engine.ErrChanged)
	}
	asked.Match = 0
	t, err := c.failed(row.Task)
	if err != nil {
		return err
	}
	id, existing, err := c.retryID(t, body.ID)
	if err != nil {
		return err
	}
	if existing || body.DryRun {
		return c.answer(RetryAnswer{Task: id, RetryOf: t.Spec.ID, Existing: existing, DryRun: body.DryRun})
	}
	again := c.again(t, &body)
	again.ID = id
	ev := engine.Submit{Specs: []spec.TaskSpec{again}, RetryOf: t.Spec.ID, Asked: asked}
	reply, err := c.run.Steer(c.Context(), ev)
	if err = errors.Join(append(reply.Errs, err)...); err != nil {
		return err
	}
	c.w.Header().Set("Location", Prefix+taskPath(c.run.Name(), id, ""))
	writeJSON(c.w, http.StatusCreated, RetryAnswer{Task: id, RetryOf: t.Spec.ID, Existing: !reply.Added[0]})
	return nil
}

// stopMax bounds how long a retry waits for the worker to stop what was cancelled.
const stopMax = 10 * time.Second

// failed returns a task as it failed. It has failed once its failure is journaled, although the result hook has still to see
// that; and one that is being cancelled is waited for, so that a retry may follow a cancel at once.
func (c *call) failed(t *spec.Task) (*spec.Task, error) {
	ctx, cancel := context.WithTimeout(c.Context(), stopMax)
	defer cancel()
	for t.Outcome == nil && t.Cancelled {
		seen := c.view.Last()
		if row, known := c.view.Task(t.Spec.ID); known {
			t = row.Task
		}
		if t.Outcome != nil {
			break
		}
		err := c.view.Await(ctx, seen)
		switch {
		case ctx.Err() != nil:
			return nil, problem(CodeBusy, "task %q is still being stopped", t.Spec.ID)
		case err != nil:
			return nil, err
		}
	}
	if t.Outcome == nil || t.Outcome.Failure == nil {
		return nil, problem(CodeNotFailed, "task %q is %s", t.Spec.ID, t.State)
	}
	return t, nil
}

// again is the spec that repeats a task.
func (c *call) again(t *spec.Task, body *RetryRequest) spec.TaskSpec {
	ts := t.Spec
	ts.Parent = c.living(t.Parent)
	if body.Priority != nil {
		ts.Priority = float64(*body.Priority)
	}
	ts.Extra = slices.DeleteFunc(slices.Clone(ts.Extra), func(f spec.Field) bool { return f.Name == retryField })
	ts.Extra = append(ts.Extra, spec.Field{Name: retryField, Value: spec.EncodeText(string(t.Spec.ID))})
	return ts
}

// living is the nearest ancestor that was not cancelled: below a cancelled one the retry would be born cancelled.
func (c *call) living(id spec.TaskID) spec.TaskID {
	for id != "" {
		row, known := c.view.Task(id)
		if !known || !row.Task.Cancelled {
			return id
		}
		id = row.Task.Parent
	}
	return ""
}

// retryID returns the id of a retry: the one that is wanted, or the first free one; existing says that it is the id of a
// retry that is there and may be taken for this one.
func (c *call) retryID(t *spec.Task, wanted spec.TaskID) (id spec.TaskID, existing bool, err error) {
	if wanted != "" {
		row, known := c.view.Task(wanted)
		if known && retryOf(&row.Task.Spec) != t.Spec.ID {
			return "", false, fmt.Errorf("task %q: %w", wanted, engine.ErrDuplicateID)
		}
		return wanted, known, nil
	}
	base := string(t.Spec.ID)
	if retryOf(&t.Spec) != "" {
		base = retryName.ReplaceAllString(base, "")
	}
	for n := 1; ; n++ {
		id := spec.TaskID(fmt.Sprintf("%s~r%d", base, n))
		row, known := c.view.Task(id)
		if !known || row.Task.Outcome == nil && !row.Task.Cancelled && retryOf(&row.Task.Spec) == t.Spec.ID {
			return id, known, nil
		}
	}
}

// control takes a change of the run's settings and answers with the run.
func (c *call) control(reason string, class string, event func(engine.Asked) engine.Event) error {
	asked, err := c.asked(reason)
	if err == nil {
		err = c.knownClass(class)
	}
	if err == nil {
		_, err = c.run.Steer(c.Context(), event(asked))
	}
	if err != nil {
		return err
	}
	return c.answerRun()
}

// knownClass refuses a class that nothing runs in: a slip of the pen would change nothing, silently.
func (c *call) knownClass(class string) error {
	if class == "" {
		return nil
	}
	var known []string
	for _, k := range classesOf(c.view) {
		if k.Name == class {
			return nil
		}
		known = append(known, k.Name)
	}
	return problem(CodeInvalid, "field class: %q is none of %s", class, strings.Join(known, ", "))
}

func (c *call) pause() error  { return c.switchPause(true) }
func (c *call) resume() error { return c.switchPause(false) }

func (c *call) switchPause(on bool) error {
	var body ControlRequest
	if err := c.body(&body, bodyMax); err != nil {
		return err
	}
	return c.control(body.Reason, body.Class, func(asked engine.Asked) engine.Event {
		return engine.Pause{Class: body.Class, On: on, Asked: asked}
	})
}

func (c *call) drain() error {
	var body ControlRequest
	if err := c.body(&body, bodyMax); err != nil {
		return err
	}
	if body.Class != "" {
		return problem(CodeInvalid, "field class: a run is drained as a whole; pause the class instead")
	}
	return c.control(body.Reason, "", func(asked engine.Asked) engine.Event { return engine.Drain{Asked: asked} })
}

func (c *call) setBudget() error {
	var body BudgetRequest
	if err := c.body(&body, bodyMax); err != nil {
		return err
	}
	if body.Budget == nil || *body.Budget < 0 || *body.Budget > math.MaxInt32 {
		return problem(CodeInvalid, "field budget: it must be 0 (the configured one) or more")
	}
	return c.control(body.Reason, body.Class, func(asked engine.Asked) engine.Event {
		return engine.SetBudget{Class: body.Class, Budget: *body.Budget, Asked: asked}
	})
}
