package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"autoresearch/internal/cli"
	"autoresearch/pkg/api"
	"autoresearch/pkg/spec"
)

// logsOptions are the flags of the logs command.
type logsOptions struct {
	remote
	attempt uint32
	follow  bool
	stream  string
	errors  io.Writer
}

func logsCommand() *cobra.Command {
	var o logsOptions
	cmd := &cobra.Command{
		Use:   "logs ID",
		Short: "Show what an experiment writes",
		Long: `Show what an attempt of a task writes to standard output and error: live with --follow, and still there when the attempt and
its worker are gone. What is missing, because it came too fast or is no longer kept, is said where it is missing.`,
		Example: `  autoresearch logs exp-17
  autoresearch logs exp-17 -f --server runs/demo
  autoresearch logs exp-17 --attempt 1 --stream stderr
  autoresearch logs exp-17 -o json | jq -r '.pieces[].text'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: o.completeTasks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			o.errors = cmd.ErrOrStderr()
			return o.do(cmd, "", func(ctx context.Context, s *session) error { return o.show(ctx, s, spec.TaskID(args[0])) })
		},
	}
	fs := cmd.Flags()
	fs.BoolVarP(&o.follow, "follow", "f", false, "go on with what comes, until the attempt is over")
	fs.Uint32Var(&o.attempt, "attempt", 0, "attempt `N` (default: the newest)")
	fs.StringVar(&o.stream, "stream", "", "only `STREAM`, stdout or stderr")
	must(cmd.RegisterFlagCompletionFunc("stream", cobra.FixedCompletions(logStreams, cobra.ShellCompDirectiveNoFileComp)))
	o.add(cmd)
	o.addOutput(cmd)
	return cmd
}

var logStreams = []string{api.StreamStdout, api.StreamStderr}

func (o *logsOptions) check() error {
	switch o.stream {
	case "", api.StreamStdout, api.StreamStderr:
		return nil
	}
	return cli.Exit(cli.ExitUsage, fmt.Errorf("--stream %q: it must be stdout or stderr", o.stream))
}

func (o *logsOptions) show(ctx context.Context, s *session, id spec.TaskID) error {
	query := api.LogQuery{Attempt: o.attempt}
	if o.follow {
		ctx, signals := cli.NotifySignals(ctx)
		defer signals.Stop()
		err := s.FollowLogs(ctx, s.run, id, query, func(c api.LogChunk) error { return o.write(s.out, &c) })
		if errors.Is(err, context.Canceled) {
			return cli.Exit(signals.Code(), nil)
		}
		return err
	}
	for {
		page, err := s.Logs(ctx, s.run, id, query)
		if err != nil {
			return err
		}
		for i := range page.Chunks {
			if err := o.write(s.out, &page.Chunks[i]); err != nil {
				return err
			}
		}
		if !page.More {
			return nil
		}
		query = api.LogQuery{Attempt: page.Attempt, After: page.Next}
	}
}

// write writes a chunk: as one line of JSON, or each text to its own stream.
func (o *logsOptions) write(out io.Writer, c *api.LogChunk) error {
	if o.output == outputJSON {
		text, err := toJSON(c, "")
		if err == nil {
			_, err = out.Write(text)
		}
		return err
	}
	for _, p := range c.Pieces {
		if o.stream != "" && p.Stream != o.stream {
			continue
		}
		to := out
		if p.Stream == api.StreamStderr && o.stream == "" {
			to = o.errors
		}
		if err := writePiece(to, &p); err != nil {
			return err
		}
	}
	return nil
}

func writePiece(to io.Writer, p *api.LogPiece) error {
	text := p.Text
	if isTerminal(to) {
		text = strings.Map(printed, text)
	}
	if p.Missing > 0 {
		text = fmt.Sprintf("\n[%d bytes of %s are missing here]\n%s", p.Missing, cmp.Or(p.Stream, "output"), text)
	}
	_, err := io.WriteString(to, text)
	return err
}

// printed keeps an experiment from steering the terminal of whoever looks at it.
func printed(r rune) rune {
	if r == '\n' || r == '\t' || r == '\r' || !unicode.IsControl(r) {
		return r
	}
	return unicode.ReplacementChar
}
