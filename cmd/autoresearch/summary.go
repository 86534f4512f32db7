package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"autoresearch/internal/cli"
	"autoresearch/pkg/report"
	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
)

func summaryCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "summary DIR",
		Short: "Print the report of a workdir",
		Long: "Print the report of a workdir as markdown: at any time, also while the run goes on and before any run. It reads\n" +
			"the workdir's files only, changes none of them, and needs neither NATS nor a running engine.",
		Example: "  autoresearch summary runs/demo",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := summarize(cmd, args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
}

// summarize asks the workdir's own workflow; a workdir that names none gets the standard report.
func summarize(cmd *cobra.Command, workdir string) (string, error) {
	if info, err := os.Stat(workdir); err != nil || !info.IsDir() {
		return "", fmt.Errorf("workdir %s: there is no such folder", workdir)
	}
	w, err := workflowOf(cmd, workdir)
	if err != nil {
		return "", err
	}
	if w != nil {
		return w.Summarize(cmd.Context(), workdir)
	}
	search, err := report.Load(workdir)
	if err != nil {
		return "", err
	}
	return report.Markdown(search), nil
}

// workflowOf builds the workflow that a workdir remembers, without writing to it; nil when it remembers none that this
// program knows.
func workflowOf(cmd *cobra.Command, workdir string) (spec.Workflow, error) {
	ws, err := workflowSpecOf(workdir)
	if ws == nil || err != nil {
		return nil, err
	}
	return ws.BuildWorkflow(cmd.Context(), workdir)
}

// workflowSpecOf describes the workflow that a workdir remembers; nil when it remembers none that this program knows.
func workflowSpecOf(workdir string) (spec.WorkflowSpec, error) {
	factory, err := snapshot.ReadFactory(workdir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !slices.Contains(cli.Registry().Names(), factory.Spec) {
		return nil, nil // a factory of another program, or of the original: the standard report does
	}
	make, err := cli.Registry().Lookup(factory.Spec)
	if err != nil {
		return nil, err
	}
	return make(cli.RememberedArgv(factory, workdir), workdir)
}
