package main

import (
	"context"
	"errors"
	"io"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/spf13/cobra"

	"autoresearch/internal/cli"
	"autoresearch/internal/tools"
	"autoresearch/pkg/api"
)

func mcpCommand() *cobra.Command {
	o := remote{via: " by a model"}
	var readOnly bool
	cmd := &cobra.Command{
		Use:   "mcp",
		Short: "Serve the operations on runs as tools for a language model (MCP on standard input and output)",
		Long: `Serve what these commands do as tools of the Model Context Protocol on standard input and output, for a coding agent that
supervises a run. Tools that read and tools that change are apart; those that change ask for a reason, which the run's events keep
with who asked. With --read-only there are none of them. The server need not be up yet: each call asks it anew.

See also: autoresearch supervisor starts an agent with all this.`,
		Example: `  autoresearch mcp --server runs/demo
  claude mcp add autoresearch -- autoresearch mcp --server http://coordinator:8080 --token-file token --read-only`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, signals := cli.NotifySignals(cmd.Context())
			defer signals.Stop()
			err := o.serveTools(ctx, readOnly, &mcp.IOTransport{Reader: io.NopCloser(cmd.InOrStdin()), Writer: unclosed{cmd.OutOrStdout()}})
			if ctx.Err() != nil {
				return cli.Exit(signals.Code(), nil)
			}
			return err
		},
	}
	o.add(cmd)
	cmd.Flags().BoolVar(&readOnly, "read-only", false, "offer only tools that change nothing")
	return cmd
}

// unclosed is an output that the transport does not own.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

// serveTools serves until the client goes or ctx ends.
func (r *remote) serveTools(ctx context.Context, readOnly bool, over mcp.Transport) error {
	server := tools.New(tools.Options{
		Open: func() (*api.Client, error) { return r.client("") }, Run: r.named(), ReadOnly: readOnly, Version: cli.Version(),
	})
	if err := server.Run(ctx, over); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
