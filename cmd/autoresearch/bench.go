package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"autoresearch/internal/bench"
	"autoresearch/internal/cli"
)

// benchOptions are the flags of the bench command.
type benchOptions struct {
	rows            []string
	rounds, tasks   int
	slots           int
	syncInterval    time.Duration
	quick           bool
	output          string
	dir, cpuProfile string
}

func benchCommand() *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure this engine on this machine, beside raw JetStream",
		Long: `Measure this engine on this machine. NATS server, coordinators and workers run as processes of their own, over TCP, with
their files in a temporary folder. Where a row has a yardstick, raw JetStream does the same number of tasks of the same size,
as many in flight, on the same server, in turn: the ratio is what counts, for rates of different machines, or of a busy one,
do not compare. The report says what each row is to reach on two cores, and whether it did.

The rows:
` + bench.Describe(),
		Example: `  autoresearch bench                             # every row: under 20 minutes
  autoresearch bench --quick                     # a first impression, under 3 minutes
  autoresearch bench --only throughput,durable
  autoresearch bench -o json > bench.json
  autoresearch bench --only tree --cpuprofile cpu.prof && go tool pprof -top cpu.prof`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBench(cmd.Context(), &o, cmd.OutOrStdout()) },
	}
	fs := cmd.Flags()
	fs.StringSliceVar(&o.rows, "only", nil, "measure only the row `NAME` (may be repeated)")
	fs.IntVar(&o.rounds, "rounds", bench.RoundsDefault, "measure each row `N` times and report medians")
	fs.BoolVar(&o.quick, "quick", false, "measure less of everything: the targets are not of these sizes")
	fs.IntVar(&o.tasks, "tasks", 0, "`N` tasks a round in the rows that compare rates, in place of 20000")
	fs.IntVar(&o.slots, "slots", 0, "`N` tasks at once in the rows that compare rates, in place of 64")
	fs.DurationVar(&o.syncInterval, "sync-interval", 0,
		"let NATS sync so often where the row does not say itself (default: NATS's own, 2 minutes)")
	fs.StringVarP(&o.output, "output", "o", "text", "report as `FORMAT`: text or json")
	fs.StringVar(&o.dir, "dir", "", "make the temporary folder in `DIR`: a disk like the one NATS will have")
	fs.StringVar(&o.cpuProfile, "cpuprofile", "",
		"write CPU profiles of the comparison measured last to `FILE` (coordinator) and FILE.worker")
	cmd.AddCommand(benchChildCommand())
	return cmd
}

// benchChild is the hidden subcommand that the benchmark starts its processes with.
const benchChild = "child"

func benchChildCommand() *cobra.Command {
	return &cobra.Command{
		Use: benchChild, Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return bench.ServeChild(cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

func runBench(parent context.Context, o *benchOptions, out io.Writer) error {
	switch {
	case o.output != "text" && o.output != "json":
		return cli.Exit(cli.ExitUsage, fmt.Errorf("--output %q: it must be text or json", o.output))
	case o.rounds < 1:
		return cli.Exit(cli.ExitUsage, fmt.Errorf("--rounds %d: it must be at least 1", o.rounds))
	case o.tasks < 0 || o.slots < 0 || o.syncInterval < 0:
		return cli.Exit(cli.ExitUsage, errors.New("--tasks, --slots and --sync-interval must not be negative"))
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program to start its processes: %w", err)
	}
	ctx, signals := cli.NotifySignals(parent)
	defer signals.Stop()
	report, err := bench.Run(ctx, o.options(self))
	if code := signals.Code(); code != 0 && errors.Is(err, context.Canceled) {
		return cli.Exit(code, nil)
	}
	if err != nil {
		return err
	}
	if o.output == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(report)
	}
	return report.WriteText(out)
}

func (o *benchOptions) options(self string) bench.Options {
	options := bench.Options{
		ChildCommand: []string{self, "bench", benchChild}, Rows: o.rows, Rounds: o.rounds, Dir: o.dir,
		Sizes: bench.SizesFull, Slots: o.slots, SyncInterval: o.syncInterval, CPUProfile: o.cpuProfile, Progress: os.Stderr, Version: cli.Version(),
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if o.quick {
		options.Sizes = bench.SizesQuick
	}
	if o.tasks > 0 {
		options.Sizes.Tasks = o.tasks
	}
	return options
}
