package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"autoresearch/internal/cli"
	"autoresearch/internal/tools"
	"autoresearch/pkg/spec"
)

// supervisorOptions are the flags of the supervisor command.
type supervisorOptions struct {
	agent           string
	print, readOnly bool
}

// agents are the programs that can supervise, the preferred first, and how each is called with a prompt and the command of the
// server with the tools.
var agents = []struct {
	name string
	argv func(prompt string, server []string) ([]string, error)
}{
	{"claude", claudeArgv},
	{"codex", codexArgv},
}

func supervisorCommand() *cobra.Command {
	var o supervisorOptions
	cmd := &cobra.Command{
		Use:   "supervisor DIR [-- ARGS]",
		Short: "Start an installed coding agent that supervises the run of a workdir",
		Long: `Start an installed coding agent, claude or codex, that supervises the run of a workdir: with the tools of autoresearch mcp, and a
prompt that says what is searched, what is configured and what is still to be asked, and how the engine is started. What follows --
goes to the agent. With --print nothing is started, and prompt and configuration are printed for an agent of your own.`,
		Example: `  autoresearch supervisor runs/demo
  autoresearch supervisor runs/demo --agent codex --read-only
  autoresearch supervisor runs/demo --print`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); dash == 0 || dash < 0 && len(args) > 1 || dash > 1 {
				return cli.Exit(cli.ExitUsage, errors.New("name one workdir; arguments for the agent go after --"))
			}
			return o.supervise(cmd, args[0], args[1:])
		},
	}
	cmd.Flags().StringVar(&o.agent, "agent", "", "start `NAME`: claude or codex (default: the first that is installed)")
	cmd.Flags().BoolVar(&o.print, "print", false, "print the prompt and the configuration of the tools, and start nothing")
	cmd.Flags().BoolVar(&o.readOnly, "read-only", false, "give it only tools that change nothing")
	must(cmd.RegisterFlagCompletionFunc("agent", cobra.FixedCompletions([]string{"claude", "codex"}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func (o *supervisorOptions) supervise(cmd *cobra.Command, workdir string, extra []string) error {
	workdir, err := filepath.Abs(workdir)
	if err != nil {
		return err
	}
	w, err := supervised(workdir)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	server := []string{self, "mcp", "--server", workdir}
	if o.readOnly {
		server = append(server, "--read-only")
	}
	prompt := supervisorPrompt(w, workdir, self, o.readOnly)
	if o.print {
		config, err := serverConfig(server)
		put(cmd.OutOrStdout(), fmt.Sprintf("%s\n\nThe tools, as an MCP configuration:\n%s\n", prompt, config))
		return err
	}
	argv, err := o.choose(prompt, server)
	if err != nil {
		return err
	}
	return attend(cmd, append(argv, extra...))
}

// supervised is the workflow that a workdir remembers.
func supervised(workdir string) (spec.WorkflowSpec, error) {
	if info, err := os.Stat(workdir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("workdir %s: there is no such folder", workdir)
	}
	w, err := workflowSpecOf(workdir)
	if err == nil && w == nil {
		err = fmt.Errorf("workdir %s does not say which workflow it belongs to; start the engine on it first: "+
			"autoresearch engine --workflow FILE --workdir %s", workdir, workdir)
	}
	return w, err
}

// choose finds the agent and returns its command line.
func (o *supervisorOptions) choose(prompt string, server []string) ([]string, error) {
	for _, a := range agents {
		if o.agent != "" && o.agent != a.name {
			continue
		}
		path, err := exec.LookPath(a.name)
		if err == nil {
			argv, err := a.argv(prompt, server)
			return append([]string{path}, argv...), err
		}
		if o.agent != "" {
			return nil, fmt.Errorf("--agent %s: it is not installed (no %s on PATH); install it, or see --print for an agent of your own", a.name, a.name)
		}
	}
	if o.agent != "" {
		return nil, cli.Exit(cli.ExitUsage, fmt.Errorf("--agent %q: it must be claude or codex; see --print for another", o.agent))
	}
	return nil, errors.New("neither claude nor codex is installed (on PATH); install one of them, or see --print for an agent of your own")
}

func serverConfig(server []string) ([]byte, error) {
	return json.Marshal(map[string]any{"mcpServers": map[string]any{
		tools.Name: map[string]any{"command": server[0], "args": server[1:]},
	}})
}

// claudeArgv: the prompt comes first, because --mcp-config takes all arguments after it.
func claudeArgv(prompt string, server []string) ([]string, error) {
	config, err := serverConfig(server)
	return []string{prompt, "--mcp-config", string(config)}, err
}

// codexArgv: its configuration is TOML, of which JSON's texts and lists of texts are a part.
func codexArgv(prompt string, server []string) ([]string, error) {
	command, err := json.Marshal(server[0])
	args, err2 := json.Marshal(server[1:])
	section := "mcp_servers." + tools.Name
	return []string{
		"-c", section + ".command=" + string(command), "-c", section + ".args=" + string(args), prompt,
	}, errors.Join(err, err2)
}

// attend runs the agent on this terminal and ends as it does. A signal of the terminal is the agent's to take.
func attend(cmd *cobra.Command, argv []string) error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGQUIT)
	defer signal.Stop(signals)
	agent := exec.CommandContext(cmd.Context(), argv[0], argv[1:]...)
	agent.Stdin, agent.Stdout, agent.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	err := agent.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return cli.Exit(max(1, ended.ExitCode()), fmt.Errorf("%s: %w", filepath.Base(argv[0]), err))
	}
	return err
}

// engineCommandOf is what starts or goes on with the run of a workdir.
func engineCommandOf(self, workdir string) string {
	return quoteWord(self) + " engine --workdir " + quoteWord(workdir)
}

// quoteWord writes a word for a shell.
func quoteWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,@") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
