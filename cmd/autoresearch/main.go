// Command autoresearch is the person's tool: it runs a search on one machine, sees and steers runs here and elsewhere, reports
// on a workdir, and checks workflow files.
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
			"hypotheses from their results. It loses nothing when anything crashes: the same command again goes on.\n\n" +
			"Exit codes: 0 done, 1 an error, 2 wrong usage, 3 no such run or task, 4 it does not fit how things are (changed,\n" +
			"finished, a taken id), 5 no server or no leader to ask, 128 and the number of a signal.",
		Example: "  autoresearch engine --workflow examples/charlm/workflow.yaml --workdir runs/demo\n" +
			"  autoresearch top runs/demo\n" +
			"  autoresearch bump exp-17 --server runs/demo -m promising\n" +
			"  autoresearch summary runs/demo",
		Version: cli.Version(),
	}
	cmd.AddGroup(&cobra.Group{ID: groupSee, Title: "See a run:"}, &cobra.Group{ID: groupSteer, Title: "Steer a run:"})
	cmd.AddCommand(restoreCommand())
	for id, commands := range map[string][]*cobra.Command{
		groupSee: {
			statusCommand(), listCommand(), showCommand(), logsCommand(), artifactsCommand(), treeCommand(), topCommand(), watchCommand(), eventsCommand(),
			workersCommand(), exportCommand(), reportCommand(), snapshotCommand(),
		},
		groupSteer: {
			submitCommand(), cancelCommand(), retryCommand(), bumpCommand(), pauseCommand(), resumeCommand(), drainCommand(),
			budgetCommand(),
			allowCommand(),
		},
	} {
		for _, c := range commands {
			c.GroupID = id
			cmd.AddCommand(c)
		}
	}
	cmd.AddCommand(engineCommand(), runCommand(), summaryCommand(), verifyCommand(), workflowCommand(), rejectedCommand(), authCommand(), benchCommand(), mcpCommand(), supervisorCommand(), versionCommand())
	return cmd
}

// The groups of commands that ask a server.
const (
	groupSee   = "see"
	groupSteer = "steer"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  autoresearch version",
		Args:    cobra.NoArgs,
		Run:     func(cmd *cobra.Command, _ []string) { put(cmd.OutOrStdout(), cli.Version()+"\n") },
	}
}
