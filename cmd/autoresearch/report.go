package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"autoresearch/internal/cli"
	"autoresearch/pkg/report"
)

func reportCommand() *cobra.Command {
	var o remote
	var file, to string
	cmd := &cobra.Command{
		Use:   "report [DIR]",
		Short: "Write the report, the table or a picture of a run as it is now",
		Long: "Write one of the files of which a run's report is made, as the run is now: " + strings.Join(report.Files(), ", ") + ".\n" +
			"A run that goes on is asked; of a workdir on which nothing runs the files are read.",
		Example: `  autoresearch report runs/demo
  autoresearch report runs/demo --file progress.png --to progress.png
  autoresearch report --server http://coordinator:8080 --file master_table.tsv`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(report.Files(), file) {
				return cli.Exit(cli.ExitUsage, fmt.Errorf("--file %q: it must be one of %s", file, strings.Join(report.Files(), ", ")))
			}
			dir := first(args)
			return writeTo(cmd, to, func(out io.Writer) error {
				err := o.do(cmd, dir, func(ctx context.Context, s *session) error {
					return copyFrom(out, func() (io.ReadCloser, error) { return s.Report(ctx, s.run, file) })
				})
				if dir != "" && cli.ExitCode(err) == exitUnreachable {
					return reportFromFiles(out, dir, file)
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&file, "file", report.ReportFile, "write `FILE`: "+strings.Join(report.Files(), ", "))
	cmd.Flags().StringVar(&to, "to", "", "write to `PATH` (default: standard output)")
	must(cmd.RegisterFlagCompletionFunc("file", cobra.FixedCompletions(report.Files(), cobra.ShellCompDirectiveNoFileComp)))
	o.add(cmd)
	return cmd
}

// reportFromFiles makes a file of the report from those of a workdir.
func reportFromFiles(out io.Writer, dir, file string) error {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("workdir %s: there is no such folder", dir)
	}
	search, err := report.Load(dir)
	if err != nil {
		return err
	}
	content, err := report.Make(file, search)
	if err != nil {
		return err
	}
	_, err = out.Write(content)
	return err
}
