package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"autoresearch/internal/cli"
	"autoresearch/internal/web"
	"autoresearch/pkg/api"
	"autoresearch/pkg/spec"
)

// The exit codes of the commands that ask a server, beside 1 for other errors and 2 for usage.
const (
	exitUnknown     = 3 // no such run or task
	exitState       = 4 // what was asked for does not fit how things are: changed, finished, a taken id
	exitUnreachable = 5 // no server, or nobody leads the run
)

// Where a server, a run and a token are looked for when no flag names them.
const (
	serverEnv     = "AUTORESEARCH_SERVER"
	runEnv        = "AUTORESEARCH_RUN"
	tokenFileEnv  = "AUTORESEARCH_TOKEN_FILE"
	serverDefault = "http://127.0.0.1:8080"
)

// remote are the flags of every command that asks a server.
type remote struct {
	server, run, tokenFile string
	output                 string
	watch                  bool
	interval               time.Duration
	via                    string // goes after who asks, where that is not quite a person
}

func (r *remote) add(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVarP(&r.server, "server", "s", "", "ask `URL`, or the engine that runs on a workdir DIR (default: $"+serverEnv+
		", else the workdir one is in, else "+serverDefault+")")
	fs.StringVarP(&r.run, "run", "r", "", "`NAME` of the run (default: $"+runEnv+", else the only one there is)")
	fs.StringVar(&r.tokenFile, "token-file", "", "`FILE` with the token to send (default: $"+tokenFileEnv+")")
	must(cmd.RegisterFlagCompletionFunc("run", r.completeRuns))
}

// addOutput adds the choice of an output format.
func (r *remote) addOutput(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&r.output, "output", "o", outputTable, "output `FORMAT`: "+strings.Join(outputs, ", "))
	must(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(outputs, cobra.ShellCompDirectiveNoFileComp)))
}

// addWatch adds the repetition of what a command shows.
func (r *remote) addWatch(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&r.watch, "watch", "w", false, "show it again and again, until interrupted")
	cmd.Flags().DurationVar(&r.interval, "interval", 2*time.Second, "with --watch: how often")
}

// session is one command's connection to one run.
type session struct {
	*api.Client
	run spec.RunName
	out io.Writer
	o   *remote
}

// open connects to the server that flags, environment or dir name, and finds the run.
func (r *remote) open(cmd *cobra.Command, dir string) (*session, error) {
	if err := checkOutput(r.output); err != nil {
		return nil, err
	}
	client, err := r.client(dir)
	if err != nil {
		return nil, err
	}
	s := &session{Client: client, out: cmd.OutOrStdout(), o: r}
	if s.run, err = r.findRun(cmd.Context(), client); err != nil {
		client.Close()
		return nil, exitOf(err)
	}
	return s, nil
}

// client returns a client of the server; it connects to nothing.
func (r *remote) client(dir string) (*api.Client, error) {
	server, err := r.address(dir)
	if err != nil {
		return nil, err
	}
	token, err := readToken(cmp.Or(r.tokenFile, os.Getenv(tokenFileEnv)))
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(api.ClientOptions{Server: server, Token: token, By: whoAmI() + r.via})
	if err != nil {
		return nil, cli.Exit(cli.ExitUsage, fmt.Errorf("--server: %w", err))
	}
	return client, nil
}

// address is where the server is: what is no URL is a workdir.
func (r *remote) address(dir string) (string, error) {
	if dir != "" && r.server != "" {
		return "", cli.Exit(cli.ExitUsage, errors.New("name the server by --server or by a workdir, not both"))
	}
	named := cmp.Or(dir, r.server, os.Getenv(serverEnv))
	switch {
	case named == "":
		if place, err := web.ReadPlace("."); err == nil {
			return place.Server(), nil
		}
		return serverDefault, nil
	case strings.Contains(named, "://"), strings.HasPrefix(named, "unix:"):
		return named, nil
	}
	place, err := web.ReadPlace(named)
	if err != nil {
		return "", cli.Exit(exitUnreachable, err)
	}
	return place.Server(), nil
}

// readToken reads a file that holds a token, or, as the server's token file does, one a line after its role: of these the first
// operator's, else the first.
func readToken(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("--token-file: %w", err)
	}
	token, operators := "", false
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 || operators || token != "" && fields[0] != "operator" {
			continue
		}
		token, operators = fields[min(1, len(fields)-1)], fields[0] == "operator"
	}
	if token == "" {
		return "", fmt.Errorf("--token-file %s: it holds no token", path)
	}
	return token, nil
}

// whoAmI is in whose name changes are asked for.
func whoAmI() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}

// named is the run that flags or environment name; "" when they name none.
func (r *remote) named() spec.RunName { return spec.RunName(cmp.Or(r.run, os.Getenv(runEnv))) }

// findRun is the run that was named, or the only one.
func (r *remote) findRun(ctx context.Context, client *api.Client) (spec.RunName, error) {
	if named := r.named(); named != "" {
		return named, nil
	}
	runs, err := client.Runs(ctx)
	if err != nil {
		return "", err
	}
	switch runs = present(runs); len(runs) {
	case 0:
		return "", cli.Exit(exitUnknown, errors.New("the server has no run yet"))
	case 1:
		return runs[0].Name, nil
	}
	names := make([]string, len(runs))
	for i, run := range runs {
		names[i] = string(run.Name)
	}
	return "", cli.Exit(cli.ExitUsage, fmt.Errorf("the server has several runs; name one with --run: %s", strings.Join(names, ", ")))
}

// present leaves archived runs out.
func present(runs []api.Run) []api.Run {
	return slices.DeleteFunc(runs, func(r api.Run) bool { return r.Archived })
}

// do opens a session, calls f and gives its error the exit code that it stands for.
func (r *remote) do(cmd *cobra.Command, dir string, f func(ctx context.Context, s *session) error) error {
	s, err := r.open(cmd, dir)
	if err != nil {
		return err
	}
	defer s.Close()
	return exitOf(f(cmd.Context(), s))
}

// exitOf gives an error of a server its exit code.
func exitOf(err error) error {
	var p *api.Problem
	switch {
	case err == nil, cli.HasExit(err):
		return err
	case !errors.As(err, &p):
		if isUnreachable(err) {
			return cli.Exit(exitUnreachable, fmt.Errorf("%w; is the engine or coordinator running? name it with --server URL or DIR", err))
		}
		return err
	}
	switch p.Code {
	case api.CodeUnknownRun, api.CodeUnknownTask:
		return cli.Exit(exitUnknown, err)
	case api.CodeChanged, api.CodeFinished, api.CodeNotFailed, api.CodeDuplicate, api.CodeRunExists, api.CodeRunActive, api.CodeArchived,
		api.CodeBroken:
		return cli.Exit(exitState, err)
	case api.CodeNoLeader, api.CodeUnreachable, api.CodeBusy:
		return cli.Exit(exitUnreachable, err)
	}
	return err
}

// isWorkdir reports whether an argument names a folder rather than a task.
func isWorkdir(arg string) bool {
	info, err := os.Stat(filepath.Join(arg, "engine"))
	return err == nil && info.IsDir()
}
