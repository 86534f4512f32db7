package worker

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"autoresearch/internal/shim"
	"autoresearch/pkg/spec"
)

// runCommand runs an attempt as the command of its recipe.
func (w *worker) runCommand(a *attempt) outcome {
	files := w.filesOf(a)
	resumed, err := w.prepare(a, files)
	if err != nil {
		return w.notStarted(a, "prepare", err)
	}
	cmd, err := w.commandOf(a, files, resumed)
	if err != nil {
		return w.notStarted(a, fmt.Sprintf("start %q", a.dispatch.Recipe.Argv[0]), err)
	}
	out, err := w.capture(a, files)
	if err != nil {
		return w.notStarted(a, "capture output", err)
	}
	cmd.stdout, cmd.stderr = out.stdout, out.stderr
	oomsBefore := w.oom.count()
	ended, err := cmd.run(a.ctx)
	w.noteSupervision(a, ended, err)
	if closeErr := out.close(); closeErr != nil {
		w.log.Warn("an attempt's output is incomplete on disk", "run", a.ref.Run, "task", a.ref.Task, "error", closeErr)
	}
	if err != nil {
		return w.notStarted(a, fmt.Sprintf("start %q", a.dispatch.Recipe.Argv[0]), err)
	}
	e := ending{
		exit: ended, recipe: &a.dispatch.Recipe, progressed: a.news.hasProgressed(), stderr: out.tail.lastLines(),
		hardware: w.ledger.sickness(a),
	}
	if ended.sent != 0 {
		e.stop, e.stall = a.stopCause(), a.stall
	}
	w.gatherEvidence(&e, out, oomsBefore)
	return e.outcome(files.result(), max(resultFileMin, a.dispatch.ResultMax), out.proposal)
}

// notStarted is the outcome of a command that did not run: because it could not be started, or was stopped before.
func (w *worker) notStarted(a *attempt, doing string, err error) outcome {
	if cause := a.stopCause(); cause != nil {
		return endedBy(cause, nil, &a.dispatch.Recipe)
	}
	e := ending{recipe: &a.dispatch.Recipe}
	f := e.proposing(cannotStart(doing, err))
	return failed(f)
}

// commandOf resolves everything that a start needs.
func (w *worker) commandOf(a *attempt, files attemptFiles, resumed bool) (*command, error) {
	recipe := &a.dispatch.Recipe
	dir, err := workingDir(recipe, files)
	if err != nil {
		return nil, err
	}
	env, err := w.environment(a, files, resumed)
	if err != nil {
		return nil, err
	}
	path, err := lookPath(recipe.Argv[0], dir, env)
	if err != nil {
		return nil, err
	}
	var stdin io.Reader
	if len(recipe.Stdin) > 0 {
		stdin = bytes.NewReader(recipe.Stdin)
	}
	return &command{
		path: path, argv: recipe.Argv, env: env, dir: dir, umask: umaskDefault, limits: w.limits(recipe), stdin: stdin, grace: w.grace(recipe), killed: w.killed, groups: w.groups,
		started: func() { a.watchLimits(w.stop) },
	}, nil
}

// limits are those of the recipe, where it names none those of the worker.
func (w *worker) limits(recipe *spec.Recipe) shim.Limits {
	own, given := recipe.Limits, w.o.Limits
	return shim.Limits{
		Memory:    uint64(max(0, cmp.Or(own.Memory, given.Memory))),
		OpenFiles: uint64(max(0, cmp.Or(own.OpenFiles, given.OpenFiles))),
		CPU:       max(0, cmp.Or(own.CPU, given.CPU)),
	}
}

// umaskDefault lets an experiment's files be read by all and written by its user.
const umaskDefault = 0o022

// captured is the output of a command while it runs.
type captured struct {
	stdout, stderr *stream
	lines          *lineReader
	tail           *tail
	ship           *shipper
	proposal       *proposal // nil unless the command is a proposer
}

// capture opens the logs of an attempt and routes its output: to disk, to progress, to the end of standard error that
// failures show, and for a proposer to its proposal.
func (w *worker) capture(a *attempt, files attemptFiles) (*captured, error) {
	stdout, err := createLog(files.stdout(), w.o.OutputMax)
	if err != nil {
		return nil, err
	}
	stderr, err := createLog(files.stderr(), w.o.OutputMax)
	if err != nil {
		return nil, errors.Join(err, stdout.close())
	}
	c := &captured{tail: &tail{}, ship: w.newShipper(a.ref), lines: &lineReader{max: lineMax}}
	c.lines.line = func(line []byte) { a.news.noteLine(line) }
	if a.dispatch.Recipe.Proposer {
		c.proposal = &proposal{}
		c.lines.max = proposalMax
		c.lines.line = func(line []byte) {
			if !a.news.noteLine(line) {
				c.proposal.add(line)
			}
		}
	}
	alive := func([]byte) { a.news.touch() }
	c.stdout = &stream{log: stdout, listeners: []func([]byte){alive, c.lines.add, c.ship.listener(false)}}
	c.stderr = &stream{log: stderr, listeners: []func([]byte){alive, c.tail.add, c.ship.listener(true)}}
	return c, nil
}

// close ends the logs once nobody writes any more.
func (c *captured) close() error {
	c.lines.flush()
	c.ship.end()
	return errors.Join(c.stdout.log.close(), c.stderr.log.close())
}

// gatherEvidence looks for what tells why a command failed that ended by itself.
func (w *worker) gatherEvidence(e *ending, out *captured, oomsBefore int64) {
	if e.exit.code == 0 || e.stop != nil {
		return
	}
	e.hardware = cmp.Or(out.tail.hardwareFault(), e.hardware)
	if e.memory = out.tail.outOfMemory(); e.memory == "" && e.exit.killedByOthers() {
		e.memory = w.oom.evidence(oomsBefore)
	}
}

// noteSupervision counts what the supervision of a command took, and says what the command left behind.
func (w *worker) noteSupervision(a *attempt, ended exit, err error) {
	if err != nil {
		return
	}
	w.metrics.launch.Observe(ended.launch.Seconds())
	w.metrics.cleanup.Observe(ended.cleanup.Seconds())
	if left := ended.usage.Killed; left > 0 {
		w.metrics.strays.Add(float64(left))
		w.log.Info("an experiment left processes behind, which were killed", "run", a.ref.Run, "task", a.ref.Task,
			"attempt", a.ref.Attempt, "processes", left)
	}
}

// outcome turns an ending into what is reported, with the result file and the proposal if there are any.
func (e *ending) outcome(resultPath string, resultMax int64, proposed *proposal) outcome {
	result, written, err := readResult(resultPath, resultMax)
	e.own, e.fileErr = result.Failure, err
	if e.exit.code == 0 && proposed != nil && e.fileErr == nil {
		var children []spec.TaskSpec
		if children, e.fileErr = proposed.specs(); e.fileErr == nil {
			result.Children = append(children, result.Children...)
		}
	}
	if cause := e.stop; errors.Is(cause, errPreempted) || errors.Is(cause, errSuperseded) || errors.Is(cause, errKilled) {
		// Only a result that it left tells that it was done, and not just polite.
		if e.exit.code == 0 && written && e.fileErr == nil && e.own == nil {
			return outcome{result: result}
		}
		out := endedBy(cause, &result, e.recipe)
		if out.preempted {
			out.result.Failure = e.preempted()
		}
		return out
	}
	result.Failure = e.judge()
	return outcome{result: result}
}

// specs reads a proposal: one JSON list, or one JSON object a line.
func (p *proposal) specs() ([]spec.TaskSpec, error) {
	text := bytes.TrimSpace(p.text)
	switch {
	case p.full:
		return nil, fmt.Errorf("standard output: %w: more than %d bytes of child specs", errTooLarge, proposalMax)
	case len(text) == 0:
		return nil, nil
	case text[0] == '[':
		children, err := spec.DecodeTaskSpecs(text)
		if err != nil {
			return nil, fmt.Errorf("standard output is no list of child specs: %w", err)
		}
		return children, nil
	}
	var children []spec.TaskSpec
	for line := range bytes.Lines(text) {
		child, err := spec.DecodeTaskSpec(line)
		if err != nil {
			return nil, fmt.Errorf("standard output: %q is no child spec: %w", clipText(strings.TrimSpace(string(line)), 80), err)
		}
		children = append(children, child)
	}
	return children, nil
}

// outputMaxDefault is the room for each of standard output and error on disk, in bytes.
const outputMaxDefault = 64 << 20
