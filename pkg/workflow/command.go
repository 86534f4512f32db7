package workflow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"autoresearch/pkg/report"
	"autoresearch/pkg/spec"
)

// Command is the command workflow: a Workflow, and all of Restorer, Stopper, Scheduler, Pricer, Commander, Packer, Scorer and Announcer. Its
// methods may be called concurrently.
type Command struct {
	file    *File
	workdir string

	mu      sync.Mutex
	history *history
	answers answers

	commits commits
}

var (
	_ spec.Workflow  = (*Command)(nil)
	_ spec.Restorer  = (*Command)(nil)
	_ spec.Stopper   = (*Command)(nil)
	_ spec.Scheduler = (*Command)(nil)
	_ spec.Commander = (*Command)(nil)
	_ spec.Packer    = (*Command)(nil)
	_ spec.Pricer    = (*Command)(nil)
	_ spec.Scorer    = (*Command)(nil)
	_ spec.Announcer = (*Command)(nil)
)

// NewCommand returns the workflow of a file for a workdir. It reads nothing.
func NewCommand(f *File, workdir string) *Command {
	return &Command{file: f, workdir: workdir, history: newHistory(f)}
}

// Load returns the specs of the workdir's snapshot if it holds any (see spec.LoadOrInit), else the initial ones, else
// what the proposer begins with: a call of the user's, or points of the space drawn at random, as many as are kept
// ahead and MaxConcurrency at least.
func (c *Command) Load(context.Context) ([]spec.TaskSpec, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	specs, err := c.begin()
	if err != nil {
		return nil, fmt.Errorf("workflow %s: %w", c.file.Path, err)
	}
	for _, s := range specs {
		c.history.admit(s, "")
	}
	return specs, nil
}

// begin returns the specs of the workdir, if there is one with any, else those of a fresh run.
func (c *Command) begin() ([]spec.TaskSpec, error) {
	if c.workdir == "" {
		return first(c.file), nil
	}
	return spec.LoadOrInit(c.workdir, func() ([]spec.TaskSpec, error) { return first(c.file), nil })
}

// first returns the specs of a fresh run.
func first(f *File) []spec.TaskSpec {
	switch {
	case len(f.Initial) > 0:
		return slices.Clone(f.Initial)
	case f.Proposer.Custom():
		return newHistory(f).ask()
	case f.Proposer.BuiltIn():
		h := newHistory(f)
		return h.roots(min(max(f.Proposer.Ahead, f.MaxConcurrency), h.room()))
	}
	return nil
}

// Continue returns what should follow when a run that has nothing left is started again: the initial specs that are not
// known yet, and new proposals if the stop rules allow any.
func (c *Command) Continue(context.Context) ([]spec.TaskSpec, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history.proposer.failures = 0
	var specs []spec.TaskSpec
	for _, s := range c.file.Initial {
		if c.history.admit(s, "") {
			specs = append(specs, s)
		}
	}
	return append(specs, c.propose()...), nil
}

// propose returns what the proposer adds now.
func (c *Command) propose() []spec.TaskSpec {
	switch {
	case c.file.Proposer.Custom():
		return c.history.ask()
	case c.file.Proposer.BuiltIn():
		return c.history.fill()
	}
	return nil
}

// Restore rebuilds what is known of the run, dropping what was known before.
func (c *Command) Restore(_ context.Context, tasks []*spec.Task, results map[spec.TaskID]spec.TaskResult) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history, c.answers = newHistory(c.file), answers{}
	c.history.restore(tasks, results)
	return nil
}

// Checkpoint learns of specs that others submitted, so that proposals neither repeat them nor go over the limits, and
// forgets those that the engine never took. It writes nothing.
func (c *Command) Checkpoint(_ context.Context, queued, running []spec.TaskSpec, _ spec.Status) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history.compareWith(slices.Concat(queued, running))
	return nil
}

// OnResult returns the children of the result as they are, and what the proposer adds. A second call for one of the
// last results gives the first answer again.
func (c *Command) OnResult(ctx context.Context, task spec.TaskSpec, result spec.TaskResult) ([]spec.TaskSpec, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("workflow: result of %s: %w", task.ID, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer, again := c.answers.of(task.ID); again || !c.history.finish(task, result) {
		return answer, nil
	}
	var next []spec.TaskSpec
	if c.history.isPropose(task) {
		next = c.history.answered(result)
	} else {
		next = c.children(task, result)
	}
	c.answers.keep(task.ID, next)
	return slices.Clone(next), nil
}

// children returns what follows from an experiment.
func (c *Command) children(task spec.TaskSpec, result spec.TaskResult) []spec.TaskSpec {
	for _, child := range result.Children {
		c.history.admit(child, task.ID)
	}
	return slices.Concat(result.Children, c.propose())
}

// StopReason tells which stop rule is met that the engine cannot tell itself: patience, or a proposer that fails.
func (c *Command) StopReason() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.history
	patience := c.file.Stop.Patience
	switch {
	case patience > 0 && h.waited >= patience:
		return fmt.Sprintf("patience: no improvement in %s", counted(patience, "experiment"))
	case h.proposer.failures >= proposeFailuresMax && len(h.outstanding) == 0 && len(h.proposer.calls) == 0:
		return fmt.Sprintf("proposer: failed %d times in a row: %s", h.proposer.failures, h.proposer.failure)
	}
	return ""
}

// Policies returns the policy of each kind listed, and of the proposer's calls. A kind that is not listed may run only
// as "default".
func (c *Command) Policies() (policies map[string]spec.KindPolicy, strict bool) {
	policies = map[string]spec.KindPolicy{}
	for i := range c.file.Kinds {
		policies[c.file.Kinds[i].Name] = c.file.Kinds[i].policy()
	}
	_, open := policies[spec.KindDefault]
	if c.file.Proposer.Custom() {
		call := c.file.Proposer.command.policy()
		call.Uncounted = true
		policies[KindPropose] = call
	}
	return policies, !open
}

func (k *Kind) policy() spec.KindPolicy {
	return spec.KindPolicy{
		Class: spec.ClassRequiring(k.Class, k.Requires), Timeout: k.Timeout, StallTimeout: k.StallTimeout, Retries: k.Retries, Backoff: k.Backoff,
		MaxLost: k.MaxLost, MaxPreempted: k.MaxPreempted,
	}
}

// Limits returns the stop rules that the engine keeps, and what bounds single tasks and results.
func (c *Command) Limits() spec.Limits {
	return spec.Limits{
		MaxExperiments: c.file.Stop.MaxExperiments, MaxDuration: c.file.Stop.MaxDuration, MaxGPUTime: c.file.Stop.MaxGPUTime,
		MaxCost: c.file.Stop.MaxCost, Size: c.file.Limits,
	}
}

// Prices returns what slots cost.
func (c *Command) Prices() spec.Prices { return c.file.Prices }

// Objective returns what the search improves; its Metric is empty when nothing is.
func (c *Command) Objective() spec.Objective { return c.file.Objective }

// Recipe renders the command of a task. A kind that is not listed uses the command of "default", and is an error
// without one.
func (c *Command) Recipe(task spec.TaskSpec) (spec.Recipe, error) {
	k := c.file.kind(task.Kind)
	if k == nil {
		return spec.Recipe{}, fmt.Errorf("workflow %s: the kind %q is not listed in kinds", c.file.Path, task.Kind)
	}
	recipe, err := k.recipe(task, c.file.Dir)
	if err != nil {
		return spec.Recipe{}, fmt.Errorf("workflow %s: kind %s: %w", c.file.Path, cmp.Or(k.Name, task.Kind), err)
	}
	if c.file.Proposer.Custom() && task.Kind == KindPropose {
		c.mu.Lock()
		defer c.mu.Unlock()
		recipe.Stdin, recipe.Proposer = c.history.input(), true
	}
	return recipe, nil
}

var errNoProgram = errors.New("the program's name is empty")

// recipe renders the command and the environment of a task.
func (k *Kind) recipe(task spec.TaskSpec, dir string) (spec.Recipe, error) {
	values, err := templateValues(task)
	if err != nil {
		return spec.Recipe{}, err
	}
	if err := k.checkCode(task); err != nil {
		return spec.Recipe{}, err
	}
	recipe := spec.Recipe{Dir: dir, Grace: k.Grace, Limits: k.Limits, Secrets: k.secrets}
	if k.Code != nil {
		recipe.Dir = "" // it runs in its code's tree, on whatever machine
	}
	recipe.Timeout, recipe.StallTimeout, err = task.TimeLimits(k.Timeout, k.StallTimeout)
	if err != nil {
		return spec.Recipe{}, err
	}
	for _, argument := range k.argv {
		text, err := argument.render(values)
		if err != nil {
			return spec.Recipe{}, fmt.Errorf("command: %w", err)
		}
		recipe.Argv = append(recipe.Argv, text)
	}
	if len(recipe.Argv) == 0 || recipe.Argv[0] == "" {
		return spec.Recipe{}, fmt.Errorf("command: %w", errNoProgram)
	}
	for _, v := range k.env {
		text, err := v.value.render(values)
		if err != nil {
			return spec.Recipe{}, fmt.Errorf("env %s: %w", v.name, err)
		}
		recipe.Env = append(recipe.Env, v.name+"="+text)
	}
	return recipe, nil
}

// Summarize returns the report of a workdir as markdown.
func (c *Command) Summarize(_ context.Context, workdir string) (string, error) {
	search, err := report.Load(workdir)
	if err != nil {
		return "", fmt.Errorf("workflow %s: summary: %w", c.file.Path, err)
	}
	search.Name = cmp.Or(search.Name, c.file.Name)
	if search.Objective.Metric == "" {
		search.Objective = c.file.Objective
	}
	return report.Markdown(search), nil
}

// answers remembers what followed from the last results, for a hook that runs again.
type answers struct {
	byTask map[spec.TaskID][]spec.TaskSpec
	order  []spec.TaskID
}

// answersMax is how many results are remembered.
const answersMax = 64

func (a *answers) of(task spec.TaskID) (answer []spec.TaskSpec, known bool) {
	answer, known = a.byTask[task]
	return slices.Clone(answer), known
}

func (a *answers) keep(task spec.TaskID, answer []spec.TaskSpec) {
	if a.byTask == nil {
		a.byTask = map[spec.TaskID][]spec.TaskSpec{}
	}
	a.byTask[task] = answer
	if a.order = append(a.order, task); len(a.order) > answersMax {
		delete(a.byTask, a.order[0])
		a.order = a.order[1:]
	}
}

// counted returns a number and its noun, in the plural unless it is one.
func counted(number int, noun string) string {
	if number == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", number, noun)
}
