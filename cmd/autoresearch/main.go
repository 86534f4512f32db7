// Command autoresearch is the person's tool: it runs a search on one machine, reports on a workdir, and checks workflow
// files.
package main

import (
	"os"

	"github.com/spf13/cobra"

	"autoresearch/internal/cli"
)

func main() { os.Exit(cli.Main(root())) }

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "autoresearch",
		Short: "A distributed engine for automated experiment search",
		Long: "autoresearch keeps a priority queue of experiments, runs them on the machines at hand, and grows a tree of\n" +
			"hypotheses from their results. It loses nothing when anything crashes: the same command again goes on.",
		Example: "  autoresearch engine --workflow examples/charlm/workflow.yaml --workdir runs/demo\n" +
			"  autoresearch summary runs/demo",
		Version: cli.Version(),
	}
	cmd.AddCommand(engineCommand(), summaryCommand(), verifyCommand(), workflowCommand(), rejectedCommand(), benchCommand(), versionCommand())
	return cmd
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  autoresearch version",
		Args:    cobra.NoArgs,
		Run:     func(cmd *cobra.Command, _ []string) { cmd.Println(cli.Version()) },
	}
}
