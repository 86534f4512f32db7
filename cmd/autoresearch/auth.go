package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"autoresearch/internal/auth"
	"autoresearch/internal/cli"
)

// authOptions are the flags of the auth commands.
type authOptions struct {
	force         bool
	output        string
	tls           auth.TLSPaths
	classes, runs []string
}

func authCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "auth",
		Short: "Make credentials for NATS and the HTTP API",
		Long: "Make credentials: a key for NATS for coordinators, for operators and for each group of workers, what a NATS server must\n" +
			"be told about them, tokens for the HTTP API, and Secrets for Kubernetes. Each may do what its role needs and no more.\n\n" +
			"Seeds (*.nk), tokens and Secrets are secrets; auth.conf holds public keys only. SECURITY.md says who is trusted with what.",
		Example: "  autoresearch auth init auth\n" +
			"  autoresearch auth add-worker auth gpu --class h100x1\n" +
			"  kubectl apply -n autoresearch -k auth/kubernetes\n" +
			"  worker --nats nats://host:4222 --nats-nkey auth/worker-gpu.nk --dir /scratch/ar --slots h100x1=8",
	}
	cmd.AddCommand(authInitCommand(), authAddWorkerCommand())
	return cmd
}

func authInitCommand() *cobra.Command {
	var o authOptions
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make what every cluster needs, or write it anew",
		Long: "Make a coordinator's, an operator's and a worker's key, auth.conf for the NATS server, tokens for the HTTP API, and all of it\n" +
			"as Secrets below DIR/kubernetes. Done again it keeps every seed and token, and writes the rest anew; --force draws all\n" +
			"of them anew, also those of groups of workers.\n\n" +
			"With --tls-cert it also writes tls.conf, for the clients of the server, and cluster-tls.conf, for its cluster block.",
		Example: "  autoresearch auth init auth && printf 'jetstream {}\\ninclude \"auth/auth.conf\"\\n' > nats.conf && nats-server -c nats.conf\n" +
			"  autoresearch auth init auth --tls-ca /etc/nats/ca.crt --tls-cert /etc/nats/tls.crt --tls-key /etc/nats/tls.key",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (o.tls.Cert == "") != (o.tls.Key == "") {
				return cli.Exit(cli.ExitUsage, errors.New("--tls-cert and --tls-key go together"))
			}
			return o.change(cmd.OutOrStdout(), args[0], func(d *auth.Dir) error { return d.Init(o.tls, o.force) })
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&o.tls.Cert, "tls-cert", "", "`PATH` of the server's certificate, as the server sees it")
	fs.StringVar(&o.tls.Key, "tls-key", "", "`PATH` of its key")
	fs.StringVar(&o.tls.CA, "tls-ca", "", "`PATH` of the authority that other servers' certificates come from")
	o.add(cmd)
	return cmd
}

func authAddWorkerCommand() *cobra.Command {
	var o authOptions
	cmd := &cobra.Command{
		Use:   "add-worker DIR GROUP",
		Short: "Add a group of workers, or change what one may serve",
		Long: "Add a group of workers, which share one key: those of one Deployment, or of one machine. Done again it changes what the\n" +
			"group may serve and keeps its key. The server must read auth.conf again: nats-server --signal reload.",
		Example: "  autoresearch auth add-worker auth gpu --class h100x1 --class h100x8\n" +
			"  autoresearch auth add-worker auth partner --class partner --run theirs",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			group := auth.User{Group: args[1], Classes: o.classes, Runs: o.runs}
			return o.change(cmd.OutOrStdout(), args[0], func(d *auth.Dir) error { return d.AddWorkers(group, o.force) })
		},
	}
	fs := cmd.Flags()
	fs.StringArrayVar(&o.classes, "class", nil, "only take tasks of the class `NAME`; repeatable (default: any class)")
	fs.StringArrayVar(&o.runs, "run", nil, "only publish results of the run `NAME`; repeatable (default: any run)")
	o.add(cmd)
	return cmd
}

func (o *authOptions) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.force, "force", false, "draw new seeds and tokens: whoever holds the old ones is locked out")
	cmd.Flags().StringVarP(&o.output, "output", "o", "text", "output `FORMAT`: text or json")
}

// change changes a directory of credentials and says which files it touched.
func (o *authOptions) change(out io.Writer, dir string, change func(*auth.Dir) error) error {
	if o.output != "text" && o.output != "json" {
		return cli.Exit(cli.ExitUsage, fmt.Errorf("--output %q: it must be text or json", o.output))
	}
	d, err := auth.Open(dir)
	if err != nil {
		return err
	}
	if err := change(d); err != nil {
		return err
	}
	if o.output == "json" {
		return writeJSON(out, map[string]any{"users": d.Users, "written": notNil(d.Written), "kept": notNil(d.Kept)})
	}
	var text strings.Builder
	for _, path := range d.Kept {
		text.WriteString("kept    " + path + "\n")
	}
	for _, path := range d.Written {
		text.WriteString("written " + path + "\n")
	}
	_, err = io.WriteString(out, text.String())
	return err
}

func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
