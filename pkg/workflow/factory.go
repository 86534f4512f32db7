package workflow

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"autoresearch/pkg/spec"
)

// FactoryName is the short name of Factory.
const FactoryName = "command"

// CopyName is the file in a workdir that Factory reads when it is given no other: where a copy of the workflow file is
// kept, so that a report can be made without the original.
const CopyName = "workflow.yaml"

// Factory makes the WorkflowSpec of a workflow file. Its arguments are FILE, changes as key=value (see Parse), and
// --dir DIR for commands that run elsewhere than in the directory of FILE; the order is free. Without FILE it reads the
// copy in the workdir.
func Factory(argv []string, workdir string) (spec.WorkflowSpec, error) {
	arguments, err := parseArguments(argv)
	if err != nil {
		return nil, fmt.Errorf("workflow %s: %w", FactoryName, err)
	}
	if arguments.file == "" && workdir != "" {
		arguments.file = filepath.Join(workdir, CopyName)
	}
	if arguments.file == "" {
		return nil, fmt.Errorf("workflow %s: a workflow file is needed: FILE [key=value ...] [--dir DIR]", FactoryName)
	}
	f, err := Read(arguments.file, arguments.overrides)
	if err != nil {
		return nil, err
	}
	if arguments.dir != "" {
		if f.Dir, err = filepath.Abs(arguments.dir); err != nil {
			return nil, fmt.Errorf("workflow %s: --dir %s: %w", FactoryName, arguments.dir, err)
		}
	}
	return f.Spec(), nil
}

var _ spec.WorkflowFactory = Factory

type arguments struct {
	file, dir string
	overrides []string
}

// parseArguments sorts out the arguments of Factory. The first one without a "=" is the file, and so is one before it
// that names a file that exists.
func parseArguments(argv []string) (arguments, error) {
	var found arguments
	for i := 0; i < len(argv); i++ {
		argument := argv[i]
		dir, isDir := strings.CutPrefix(argument, "--dir=")
		switch {
		case isDir:
			found.dir = dir
		case argument == "--dir" && i+1 < len(argv):
			i++
			found.dir = argv[i]
		case strings.HasPrefix(argument, "-"):
			return arguments{}, fmt.Errorf("%s: not an option with a value; there is only --dir DIR", argument)
		case found.file == "" && (!strings.Contains(argument, "=") || fileExists(argument)):
			found.file = argument
		case strings.Contains(argument, "="):
			found.overrides = append(found.overrides, argument)
		default:
			return arguments{}, fmt.Errorf("%s: neither key=value nor the one workflow file, which is %s", argument, found.file)
		}
	}
	return found, nil
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Spec returns the file as a WorkflowSpec.
func (f *File) Spec() *Spec { return &Spec{file: f} }

// Spec is the WorkflowSpec of a workflow file.
type Spec struct{ file *File }

var _ spec.WorkflowSpec = (*Spec)(nil)

// File returns the file.
func (s *Spec) File() *File { return s.file }

// MaxConcurrency returns the wished budget.
func (s *Spec) MaxConcurrency() int { return s.file.MaxConcurrency }

// EngineArgvTail returns arguments for Factory that do not depend on the working directory.
func (s *Spec) EngineArgvTail() []string {
	tail := []string{s.file.absolute}
	if s.file.Dir != filepath.Dir(s.file.absolute) {
		tail = append(tail, "--dir", s.file.Dir)
	}
	return append(tail, s.file.Overrides...)
}

// Description says what is searched, how experiments run, what proposes them, and when it ends.
func (s *Spec) Description() string {
	f := s.file
	sentences := []string{f.describeGoal()}
	for i := range f.Kinds {
		sentences = append(sentences, f.Kinds[i].describe())
	}
	sentences = append(sentences, f.describeProposer(), f.describeStop())
	return strings.Join(sentences, " ")
}

func (f *File) describeGoal() string {
	goal := "nothing in particular"
	switch {
	case f.Objective.Metric != "" && f.Objective.Maximize:
		goal = "the highest " + f.Objective.Metric
	case f.Objective.Metric != "":
		goal = "the lowest " + f.Objective.Metric
	}
	slots := counted(f.MaxConcurrency, "experiment")
	return fmt.Sprintf("%s searches for %s, running up to %s at once.", f.Name, goal, slots)
}

func (k *Kind) describe() string {
	program := k.argv[0].text
	sentence := fmt.Sprintf("An experiment of kind %s runs %s in class %s", k.Name, program, k.Class)
	if k.Timeout > 0 {
		sentence += " for at most " + shortDuration(k.Timeout)
	}
	if k.Retries > 0 {
		sentence += ", retried up to " + counted(k.Retries, "time")
	}
	return sentence + "."
}

func (f *File) describeProposer() string {
	begin := "It begins with " + counted(len(f.Initial), "initial spec")
	if len(f.Initial) == 0 {
		begin = "It begins with what the proposer gives"
	}
	switch p := f.Proposer; {
	case p.Custom():
		return begin + "; " + p.command.argv[0].text + " proposes more."
	case p.BuiltIn() && p.Strategy == StrategyMutate:
		return begin + "; more are varied from the best in the space of " + strings.Join(f.Space.names(), ", ") + "."
	case p.BuiltIn():
		return begin + "; more are drawn at random from the space of " + strings.Join(f.Space.names(), ", ") + "."
	}
	return begin + "; more come only from the results of experiments."
}

func (s Space) names() []string {
	names := make([]string, len(s))
	for i := range s {
		names[i] = s[i].Name
	}
	return names
}

func (f *File) describeStop() string {
	var rules []string
	if n := f.Stop.MaxExperiments; n > 0 {
		rules = append(rules, "after "+counted(n, "experiment"))
	}
	if n := f.Stop.Patience; n > 0 {
		rules = append(rules, "once "+counted(n, "experiment")+" in a row brought no improvement")
	}
	if d := f.Stop.MaxDuration; d > 0 {
		rules = append(rules, "after "+shortDuration(d)+" of active time")
	}
	if d := f.Stop.MaxGPUTime; d > 0 {
		rules = append(rules, fmt.Sprintf("once %g GPU-hours are spent", d.Hours()))
	}
	if c := f.Stop.MaxCost; c > 0 {
		rules = append(rules, "once "+f.costText(c)+" is spent")
	}
	if len(rules) == 0 {
		return "No stop rule ends it before there is nothing left to run."
	}
	return "It ends " + strings.Join(rules, ", or ") + "."
}

// costText is an amount with its unit, where the file names one.
func (f *File) costText(c spec.Cost) string {
	if f.Prices.Unit == "" {
		return fmt.Sprintf("a cost of %g", c.Units())
	}
	return fmt.Sprintf("%g %s", c.Units(), f.Prices.Unit)
}

// shortDuration prints a duration without the parts that are zero at its end: 2h, not 2h0m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// SupervisorKnownConfig returns what the file says, by the paths of its keys.
func (s *Spec) SupervisorKnownConfig() map[string]string {
	f := s.file
	known := map[string]string{
		"workflow": s.file.absolute, "name": f.Name, "max_concurrency": strconv.Itoa(f.MaxConcurrency),
	}
	if f.Objective.Metric != "" {
		known["objective"] = map[bool]string{false: directionMinimize, true: directionMaximize}[f.Objective.Maximize] +
			" " + f.Objective.Metric
	}
	if n := f.Stop.MaxExperiments; n > 0 {
		known["stop.max_experiments"] = strconv.Itoa(n)
	}
	if n := f.Stop.Patience; n > 0 {
		known["stop.patience"] = strconv.Itoa(n)
	}
	if d := f.Stop.MaxDuration; d > 0 {
		known["stop.max_duration"] = shortDuration(d)
	}
	if d := f.Stop.MaxGPUTime; d > 0 {
		known["stop.max_gpu_hours"] = fmt.Sprintf("%g", d.Hours())
	}
	if c := f.Stop.MaxCost; c > 0 {
		known["stop.max_cost"] = fmt.Sprintf("%g", c.Units())
	}
	return known
}

// SupervisorMissingConfig returns what a supervisor should still ask: the objective when there is none, and a stop rule
// when a proposer could go on for ever.
func (s *Spec) SupervisorMissingConfig() []string {
	var missing []string
	if s.file.Objective.Metric == "" {
		missing = append(missing, "objective")
	}
	if s.file.Proposer != nil && s.file.Stop == (Stop{}) {
		missing = append(missing, "stop")
	}
	return missing
}

// Setup makes the workdir.
func (s *Spec) Setup(_ context.Context, workdir string) error {
	if workdir == "" {
		return errors.New("workflow setup: no workdir")
	}
	if err := os.MkdirAll(workdir, 0o777); err != nil {
		return fmt.Errorf("workflow setup: %w", err)
	}
	return nil
}

// BuildWorkflow returns the Command of the file.
func (s *Spec) BuildWorkflow(_ context.Context, workdir string) (spec.Workflow, error) {
	return NewCommand(s.file, workdir), nil
}
