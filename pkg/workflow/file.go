package workflow

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"autoresearch/pkg/spec"
)

// Defaults of a workflow file, and the words in it.
const (
	MaxConcurrencyDefault = 1
	GraceDefault          = 10 * time.Second
	ChildrenDefault       = 3
	ProposeTimeoutDefault = 10 * time.Minute

	directionMinimize = "minimize"
	directionMaximize = "maximize"

	// StrategyMutate varies good experiments; StrategyRandom samples the space.
	StrategyMutate = "mutate"
	StrategyRandom = "random"

	proposeRetries = 2
	aheadUnset     = -1
)

// File is a workflow file, read and found valid. It does not change once in use and may be shared.
type File struct {
	// Path is the path the file was read under, for messages; Dir, absolute, is the directory commands run in and
	// relative programs are looked up in. Dir is that of Path until it is set otherwise, before use.
	Path string
	Dir  string
	// Overrides are the key=value arguments that changed what the file says, in order.
	Overrides []string

	// Name is for people.
	Name string
	// Objective is what the search improves; its Metric is empty when there is none.
	Objective spec.Objective
	// MaxConcurrency is the wished budget, at least 1.
	MaxConcurrency int
	// Kinds are in file order, with distinct names.
	Kinds []Kind
	// Initial are the specs a fresh run starts with; empty: the proposer begins.
	Initial []spec.TaskSpec
	// Space is what the built-in proposer searches; nil when there is none.
	Space Space
	// Proposer is nil when nothing but the results themselves brings new specs.
	Proposer *Proposer
	Stop     Stop
	// Prices are what slots cost, by class.
	Prices spec.Prices
	// Limits bound single tasks and results; zero fields are the engine's defaults.
	Limits spec.SizeLimits
	// Notify is who is told what of the run.
	Notify []spec.Notification

	absolute  string // Path, made absolute
	spaceJSON []byte // the space as the file has it; nil when there is none
}

// Kind says how the tasks of one kind are run.
type Kind struct {
	Name string
	// Class is the pool of slots; "cpu" by default.
	Class string
	// Requires are the labels that a worker must have, by name.
	Requires map[string]string
	// Timeout and StallTimeout end an attempt; 0 is none. Grace is the time from SIGTERM to SIGKILL, 10s by default.
	Timeout      time.Duration
	StallTimeout time.Duration
	Grace        time.Duration
	// Retries is the number of further attempts after a retryable failure; 0 by default. Backoff is the delay before the
	// first of them, doubling with each further one; the run's when 0.
	Retries int
	Backoff time.Duration
	// MaxLost and MaxPreempted bound how often a task may lose its worker, and be preempted; the run's when 0.
	MaxLost      int
	MaxPreempted int
	// Limits bound each process.
	Limits spec.ProcessLimits
	// Code is the source tree that its tasks run in; nil when they run in the workflow file's directory.
	Code *Code

	argv    []template
	env     []variable
	secrets []spec.Secret
}

type variable struct {
	name  string
	value template
}

// Proposer says what thinks up experiments: a built-in strategy, or a command of the user's.
//
// The built-in proposer counts the experiments that are not finished and, at each result, adds proposals until they are
// Ahead + MaxConcurrency, so that Ahead specs wait in the queue, without ever going over Stop.MaxExperiments. How a
// proposal is made is described in propose.go.
type Proposer struct {
	// Strategy is StrategyMutate or StrategyRandom; empty for a command. By default it is mutate where there is an
	// objective, else random.
	Strategy string
	// Children is the most proposals from one parent at one result; 3 by default.
	Children int
	// Seed starts the random numbers; 0 by default.
	Seed int
	// Ahead is the number of specs kept queued; MaxConcurrency by default. For a command that is slow it is the least,
	// see pace.go; with 0 it is called only once nothing is left.
	Ahead int
	// Kind is the kind of the proposals: by default that of the first initial spec, else the only kind listed.
	Kind string

	command Kind
}

// Custom reports whether the proposer is a command of the user's.
func (p *Proposer) Custom() bool { return p != nil && len(p.command.argv) > 0 }

// BuiltIn reports whether the proposer is one of the built-in strategies.
func (p *Proposer) BuiltIn() bool { return p != nil && !p.Custom() }

// Stop holds the stop rules; zero fields are no rule.
type Stop struct {
	// MaxExperiments ends a run after so many experiments.
	MaxExperiments int
	// Patience ends a run once so many experiments in a row finished without improving the objective.
	Patience int
	// MaxDuration ends a run after so much active time.
	MaxDuration time.Duration
	// MaxGPUTime and MaxCost end a run once it has spent so much.
	MaxGPUTime time.Duration
	MaxCost    spec.Cost
}

// Read reads a workflow file; see Parse. Its errors name the path.
func Read(path string, overrides []string) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading workflow: %w", err)
	}
	defer func() { _ = file.Close() }() // only read: nothing is lost
	data, err := io.ReadAll(io.LimitReader(file, fileBytesMax+1))
	if err != nil {
		return nil, fmt.Errorf("reading workflow: %w", err)
	}
	return Parse(path, data, overrides)
}

// Parse reads the text of a workflow file, with the changes of overrides ("stop.patience=30": a dotted path and a YAML
// value; null takes a value away), and checks all of it. path is for messages and, made absolute, gives Dir; the file
// itself is not touched. The error is of type Problems and lists everything that is wrong, unless the working directory
// cannot be told.
func Parse(path string, data []byte, overrides []string) (*File, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("reading workflow %s: %w", path, err)
	}
	tree, problems := parseTree(data, path, "")
	if len(problems) > 0 {
		return nil, problems.sorted()
	}
	problems = override(tree, path, overrides)
	r := &reader{path: path, problems: problems, places: map[string]position{}}
	f := &File{
		Path: path, absolute: absolute, Dir: filepath.Dir(absolute), Overrides: slices.Clone(overrides),
		Name:           strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)),
		MaxConcurrency: MaxConcurrencyDefault,
	}
	r.file(tree, f)
	if len(r.problems) > 0 {
		return nil, r.problems.sorted()
	}
	return f, nil
}
