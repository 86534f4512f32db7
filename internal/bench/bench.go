package bench

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// RoundsDefault is how often each row measures.
const RoundsDefault = 3

// Options say what to measure. ChildCommand is required.
type Options struct {
	// ChildCommand is a command that runs ServeChild on its standard input and output, usually this very program with a
	// hidden subcommand: so server, coordinator and workers do not share one Go scheduler, and can be killed.
	ChildCommand []string
	// Rows names the rows to measure; all when empty.
	Rows []string
	// Sizes say how much is measured; SizesFull when zero. Rounds is how many rounds there are; zero means the default.
	Sizes  Sizes
	Rounds int
	// Slots is how many tasks run at once in the rows that compare rates, of raw JetStream too; 64 when 0.
	Slots int
	// SyncInterval is how often NATS syncs in rows that do not say themselves; its default (2 minutes) when 0.
	SyncInterval time.Duration
	// Dir is where a temporary folder is made; the system's when empty. On a RAM disk the numbers mean little.
	Dir string
	// CPUProfile, unless empty, is a file for a CPU profile of the coordinator, without raw JetStream, in the round of a
	// comparison measured last; the worker's goes to the same name with ".worker" behind.
	CPUProfile string
	// Progress hears what is being done; nobody when nil. Logger hears warnings; slog.Default() when nil.
	Progress io.Writer
	Logger   *slog.Logger
	// Version is this build's, for the report.
	Version string
}

func (o Options) withDefaults() Options {
	if o.Sizes.Tasks == 0 {
		o.Sizes = SizesFull
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
type measureFunc func(ctx context.Context, s *site) (Result, error)

// row is one benchmark.
type row struct {
	name, about string
	synced      bool // NATS syncs before each acknowledgement
	measure     measureFunc
}

func (r *row) syncing(o *Options) syncing {
	if r.synced {
		return syncing{always: true}
	}
	return syncing{interval: o.SyncInterval}
}

// payloadDefault is what each task carries, slotsDefault how many run at once where a row names no other number.
const (
	payloadDefault = 200
	slotsDefault   = 64
)

// rows are all benchmarks in the order they run. A new one is an entry here and a Result.
var rows = []row{
	{
		name: "throughput", about: "independent tasks that do nothing, beside raw JetStream",
		measure: versus(load{Name: "flat", Payload: payloadDefault, Window: slotsDefault},
			func(v *Versus) Target { return atLeast("ratio to raw JetStream", v.Ratio, 0.8) }),
	},
	{
		name: "tree", about: "a tree that grows from one root, four children a task, beside raw JetStream",
		measure: versus(load{Name: "tree", Fan: 4, Payload: payloadDefault, Window: slotsDefault},
			func(v *Versus) Target { return atLeast("ratio to raw JetStream", v.Ratio, 0.7) }),
	},
	{
		name: "durable", about: "throughput where everything acknowledged was fsynced, beside raw JetStream", synced: true,
		measure: versus(load{Name: "flat", Payload: payloadDefault, Window: slotsDefault},
			func(v *Versus) Target { return atLeast("tasks/s", v.TasksPerS, 12_000) }),
	},
	{
		name: "latency", about: "idle: submission to start; 64 slots busy: a result to the next start",
		measure: measureLatency,
	},
	{
		name: "scale", about: "rate and memory with up to a million tasks queued, random priorities",
		measure: measureScale,
	},
	{
		name: "recovery", about: "kill -9 of the coordinator with up to a million tasks, until it dispatches again",
		measure: measureRecovery,
	},
	{name: "workers", about: "a thousand workers of eight slots", measure: measureWorkers},
	{
		name: "control", about: "cancel, reprioritise and pause with a million tasks queued",
		measure: measureControl,
	},
	{name: "occupancy", about: "how busy slots are while a proposer thinks", measure: measureOccupancy},
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
		began := time.Now()
		result, err := r.on(ctx, &o)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("row %s: %w", r.name, err)
		}
		o.say("%s: done in %v", r.name, time.Since(began).Round(time.Second))
		report.Rows = append(report.Rows, Row{Name: r.name, Durability: r.syncing(&o).durability(), Result: result})
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
