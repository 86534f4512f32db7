package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

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
	if closeErr := out.close(); closeErr != nil {
		w.log.Warn("an attempt's output is incomplete on disk", "run", a.ref.Run, "task", a.ref.Task, "error", closeErr)
	}
	if err != nil {
		return w.notStarted(a, fmt.Sprintf("start %q", a.dispatch.Recipe.Argv[0]), err)
	}
	e := ending{exit: ended, recipe: &a.dispatch.Recipe, progressed: a.news.hasProgressed(), stderr: out.tail.lastLines()}
	if ended.sent != 0 {
		e.stop = a.stopCause()
	}
	e.memory = w.memoryEvidence(&e, out, oomsBefore)
	return e.outcome(files.result, max(resultFileMin, a.dispatch.ResultMax), out.proposal)
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
	env := w.environment(a, files, resumed)
	path, err := lookPath(recipe.Argv[0], dir, env)
	if err != nil {
		return nil, err
	}
	var stdin io.Reader
	if len(recipe.Stdin) > 0 {
		stdin = bytes.NewReader(recipe.Stdin)
	}
	return &command{
		path: path, argv: recipe.Argv, env: env, dir: dir, umask: umaskDefault, stdin: stdin, grace: w.grace(recipe), killed: w.killed,
		started: func() { a.watchLimits(w.stop) },
	}, nil
}

// umaskDefault lets an experiment's files be read by all and written by its user.
const umaskDefault = 0o022

// captured is the output of a command while it runs.
type captured struct {
	stdout, stderr *stream
	lines          *lineReader
	tail           *tail
	proposal       *proposal // nil unless the command is a proposer
}

// capture opens the logs of an attempt and routes its output: to disk, to progress, to the end of standard error that
// failures show, and for a proposer to its proposal.
func (w *worker) capture(a *attempt, files attemptFiles) (*captured, error) {
	stdout, err := createLog(files.stdout, w.o.OutputMax)
	if err != nil {
		return nil, err
	}
	stderr, err := createLog(files.stderr, w.o.OutputMax)
	if err != nil {
		return nil, errors.Join(err, stdout.close())
	}
	c := &captured{tail: &tail{}, lines: &lineReader{max: lineMax}}
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
	c.stdout = &stream{log: stdout, listeners: []func([]byte){alive, c.lines.add}}
	c.stderr = &stream{log: stderr, listeners: []func([]byte){alive, c.tail.add}}
	return c, nil
}

// close ends the logs once nobody writes any more.
func (c *captured) close() error {
	c.lines.flush()
	return errors.Join(c.stdout.log.close(), c.stderr.log.close())
}

// memoryEvidence says what tells that a failed command ran out of memory; "" when nothing does.
func (w *worker) memoryEvidence(e *ending, out *captured, oomsBefore int64) string {
	if e.exit.code == 0 || e.stop != nil {
		return ""
	}
	if mark, found := out.tail.outOfMemory(); found {
		return "standard error says " + mark
	}
	if e.exit.killedByOthers() {
		return w.oom.evidence(oomsBefore)
	}
	return ""
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
