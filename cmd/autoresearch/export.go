package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"autoresearch/internal/cli"
	"autoresearch/pkg/api"
	"autoresearch/pkg/report"
	"autoresearch/pkg/snapshot"
)

func exportCommand() *cobra.Command {
	var o remote
	var format, file string
	cmd := &cobra.Command{
		Use:   "export [DIR]",
		Short: "Write one row for each experiment, as CSV or JSON lines",
		Long: "Write one row for each experiment: as CSV with the columns of master_table.tsv, or as JSON lines, each a node of the\n" +
			"tree. A run that goes on is asked; of a workdir on which nothing runs the files are read.",
		Example: `  autoresearch export runs/demo --format csv > demo.csv
  autoresearch export runs/demo --format jsonl | jq -s 'map(.result.metrics.loss) | min'
  autoresearch export --server http://coordinator:8080 --to all.jsonl`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != api.FormatCSV && format != api.FormatJSONL {
				return cli.Exit(cli.ExitUsage, fmt.Errorf("--format %q: it must be %s or %s", format, api.FormatCSV, api.FormatJSONL))
			}
			dir := first(args)
			return writeTo(cmd, file, func(out io.Writer) error {
				err := o.do(cmd, dir, func(ctx context.Context, s *session) error {
					return copyFrom(out, func() (io.ReadCloser, error) { return s.Export(ctx, s.run, format) })
				})
				if dir != "" && cli.ExitCode(err) == exitUnreachable {
					return exportFiles(out, dir, format)
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", api.FormatJSONL, "`FORMAT`: csv or jsonl")
	cmd.Flags().StringVar(&file, "to", "", "write to `FILE` (default: standard output)")
	must(cmd.RegisterFlagCompletionFunc("format",
		cobra.FixedCompletions([]string{api.FormatCSV, api.FormatJSONL}, cobra.ShellCompDirectiveNoFileComp)))
	o.add(cmd)
	return cmd
}

// exportFiles writes what the files of a workdir hold.
func exportFiles(out io.Writer, dir, format string) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("workdir %s: there is no such folder", dir)
	}
	search, err := report.Load(dir)
	if err != nil {
		return err
	}
	if format == api.FormatCSV {
		return report.WriteCSV(out, search)
	}
	w := bufio.NewWriter(out)
	for _, n := range search.Nodes {
		if err := api.WriteNode(w, n); err != nil {
			return err
		}
	}
	return w.Flush()
}

func snapshotCommand() *cobra.Command {
	var o remote
	var file string
	cmd := &cobra.Command{
		Use:   "snapshot [DIR]",
		Short: "Write the queue of a run as it is now, as engine_state.json has it",
		Long: "Write the queue of a run as it is now, in the format of engine_state.json: it can be submitted to another run, or begin\n" +
			"one as the engine_state.json of a new workdir.",
		Example: `  autoresearch snapshot runs/demo > queue.json
  autoresearch snapshot --to queue.json && autoresearch submit queue.json --server http://other:8080`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return writeTo(cmd, file, func(out io.Writer) error {
				return o.do(cmd, first(args), func(ctx context.Context, s *session) error {
					return copyFrom(out, func() (io.ReadCloser, error) { return s.Snapshot(ctx, s.run) })
				})
			})
		},
	}
	cmd.Flags().StringVar(&file, "to", "", "write to `FILE` (default: standard output)")
	o.add(cmd)
	return cmd
}

// writeTo calls f with the command's output, or with a file that appears whole or not at all.
func writeTo(cmd *cobra.Command, file string, f func(io.Writer) error) error {
	if file == "" {
		return f(cmd.OutOrStdout())
	}
	var text bytes.Buffer
	if err := f(&text); err != nil {
		return err
	}
	return snapshot.WriteFile(file, text.Bytes())
}

func copyFrom(out io.Writer, open func() (io.ReadCloser, error)) error {
	in, err := open()
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, in.Close())
}
