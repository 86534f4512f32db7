package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"autoresearch/pkg/workflow"
)

func workflowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "workflow", Short: "Check workflow files", Example: "  autoresearch workflow validate examples/charlm/workflow.yaml",
		Args: cobra.NoArgs, // so that a command which does not exist is an error
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(validateCommand(), schemaCommand())
	return cmd
}

func validateCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "validate FILE [key=value ...]",
		Short: "Check a workflow file and say what it describes",
		Example: `  autoresearch workflow validate examples/charlm/workflow.yaml
  autoresearch workflow validate w.yaml stop.max_experiments=100 -o json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := workflow.Read(args[0], args[1:])
			if err != nil {
				return err
			}
			s := f.Spec()
			if output == "json" {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{
					"valid": true, "name": f.Name, "description": s.Description(),
					"known": s.SupervisorKnownConfig(), "missing": s.SupervisorMissingConfig(),
				})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is valid. %s\n", args[0], s.Description())
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "output `FORMAT`: text or json")
	return cmd
}

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "schema",
		Short:   "Print the JSON Schema of workflow files, for editors",
		Example: "  autoresearch workflow schema > workflow.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(workflow.Schema())
			return err
		},
	}
}
