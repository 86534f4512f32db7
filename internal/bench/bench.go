package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
)

// Defaults of Options, and the number of tasks for a quick look.
const (
	TasksDefault  = 20_000
	TasksQuick    = 5_000
	RoundsDefault = 3
)

// Options say what to measure. ServerCommand is required.
type Options struct {
	// ServerCommand is a command that hands the arguments behind it to ServeNATS, usually this very program with a
	// hidden subcommand: so server, coordinator and worker do not share one Go scheduler.
	ServerCommand []string
	// Rows names the rows to measure; all when empty.
	Rows []string
	// Tasks is how many tasks each side does in a round, Rounds how many rounds there are. Zero means the defaults.
	Tasks  int
	Rounds int
	// SyncAlways makes NATS sync before each acknowledgement, as an engine on one machine has it, for both sides.
	SyncAlways bool
	// Dir is where a temporary folder is made; the system's when empty. On a RAM disk the numbers mean little.
	Dir string
	// CPUProfile, unless empty, is a file for a CPU profile of coordinator and worker, without raw JetStream, in the
	// round measured last.
	CPUProfile string
	// Progress hears what is being done; nobody when nil. Logger hears warnings; slog.Default() when nil.
	Progress io.Writer
	Logger   *slog.Logger
	// Version is this build's, for the report.
	Version string
}

func (o Options) withDefaults() Options {
	if o.Tasks <= 0 {
		o.Tasks = TasksDefault
	}
	if o.Rounds <= 0 {
		o.Rounds = RoundsDefault
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// say tells one line of progress; whoever cannot hear it misses nothing.
func (o *Options) say(format string, args ...any) {
	_, _ = fmt.Fprintf(o.Progress, format+"\n", args...)
}

// measureFunc measures one row. What it started has ended and what it wrote is removed when it returns, also when ctx
// ends it.
type measureFunc func(ctx context.Context, o *Options, name string) (Result, error)

// row is one benchmark.
type row struct {
	name, about string
	measure     measureFunc
}

// rows are all benchmarks in the order they run. A new one is an entry here and a Result.
var rows = []row{
	{
		"throughput", "independent tasks that do nothing, beside raw JetStream",
		versus(load{name: "flat", payload: 200, window: 64}),
	},
	{
		"tree", "a tree that grows from one root, four children a task, beside raw JetStream",
		versus(load{name: "tree", fan: 4, payload: 200, window: 64}),
	},
}

// Describe returns the rows, one a line, for a help text.
func Describe() string {
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "  %-11s %s\n", r.name, r.about)
	}
	return b.String()
}

// Run measures the rows that the options name and reports on them. When ctx ends it cleans up and returns why ctx ended.
func Run(ctx context.Context, o Options) (*Report, error) {
	o = o.withDefaults()
	chosen, err := choose(o.Rows)
	if err != nil {
		return nil, err
	}
	report := &Report{Environment: environment(o)}
	for _, r := range chosen {
		result, err := r.measure(ctx, &o, r.name)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("row %s: %w", r.name, err)
		}
		report.Rows = append(report.Rows, Row{Name: r.name, Result: result})
	}
	return report, nil
}

func choose(names []string) ([]row, error) {
	known := make([]string, len(rows))
	for i, r := range rows {
		known[i] = r.name
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("there is no row %q; the rows are %s", name, strings.Join(known, ", "))
		}
	}
	if len(names) == 0 {
		return rows, nil
	}
	return slices.DeleteFunc(slices.Clone(rows), func(r row) bool { return !slices.Contains(names, r.name) }), nil
}
