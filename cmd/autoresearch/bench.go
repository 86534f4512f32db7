package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"autoresearch/internal/bench"
	"autoresearch/internal/cli"
)

// benchOptions are the flags of the bench command.
type benchOptions struct {
	rows            []string
	rounds          int
	quick, sync     bool
	output          string
	dir, cpuProfile string
}

func benchCommand() *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the engine beside raw JetStream on this machine",
		Long: `Measure the engine beside raw JetStream on this machine: the same number of tasks of the same size, as many in
flight, on the same NATS server, in turn. The server runs as a child process with its files in a temporary folder. What
counts is the ratio: rates of different machines, or of a busy one, do not compare.

The rows:
` + bench.Describe(),
		Example: `  autoresearch bench                             # every row: a minute or two
  autoresearch bench --quick --only throughput   # a first impression
  autoresearch bench --quick --sync-always       # as safe as can be: where group commit tells
  autoresearch bench -o json > bench.json
  autoresearch bench --only tree --cpuprofile cpu.prof && go tool pprof -top cpu.prof`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runBench(cmd.Context(), &o, cmd.OutOrStdout()) },
	}
	fs := cmd.Flags()
	fs.StringSliceVar(&o.rows, "only", nil, "measure only the row `NAME` (may be repeated)")
	fs.IntVar(&o.rounds, "rounds", bench.RoundsDefault, "measure each row `N` times and report medians")
	fs.BoolVar(&o.quick, "quick", false,
		fmt.Sprintf("%d tasks a round instead of %d", bench.TasksQuick, bench.TasksDefault))
	fs.BoolVar(&o.sync, "sync-always", false,
		`let NATS sync before each acknowledgement, as "autoresearch engine" does; raw JetStream then takes a minute a round`)
	fs.StringVarP(&o.output, "output", "o", "text", "report as `FORMAT`: text or json")
	fs.StringVar(&o.dir, "dir", "", "make the temporary folder in `DIR`: a disk like the one NATS will have")
	fs.StringVar(&o.cpuProfile, "cpuprofile", "",
		"write a CPU profile of coordinator and worker, in the round measured last, to `FILE`")
	cmd.AddCommand(benchServerCommand())
	return cmd
}

// benchServer is the hidden subcommand that the benchmark starts itself with.
const benchServer = "nats-server"

func benchServerCommand() *cobra.Command {
	return &cobra.Command{
		Use: benchServer, Hidden: true, DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return bench.ServeNATS(args, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
}

func runBench(parent context.Context, o *benchOptions, out io.Writer) error {
	switch {
	case o.output != "text" && o.output != "json":
		return cli.Exit(cli.ExitUsage, fmt.Errorf("--output %q: it must be text or json", o.output))
	case o.rounds < 1:
		return cli.Exit(cli.ExitUsage, fmt.Errorf("--rounds %d: it must be at least 1", o.rounds))
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program to start it as a server: %w", err)
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
		ServerCommand: []string{self, "bench", benchServer}, Rows: o.rows, Rounds: o.rounds, Dir: o.dir,
		SyncAlways: o.sync, CPUProfile: o.cpuProfile, Progress: os.Stderr, Version: cli.Version(),
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if o.quick {
		options.Tasks = bench.TasksQuick
	}
	return options
}
