package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"autoresearch/internal/cli"
	"autoresearch/pkg/api"
	"autoresearch/pkg/spec"
)

func artifactsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "artifacts",
		Short: "List and fetch the files that an experiment left",
		Long: "List and fetch what an experiment left in AUTORESEARCH_ARTIFACTS_DIR. It is kept in NATS, apart from the worker, for as\n" +
			"long as the run's limits say.",
		Example: "  autoresearch artifacts ls exp-17\n  autoresearch artifacts get exp-17 --to results/exp-17",
	}
	cmd.AddCommand(artifactsListCommand(), artifactsGetCommand())
	return cmd
}

func artifactsListCommand() *cobra.Command {
	var o remote
	cmd := &cobra.Command{
		Use:               "ls ID",
		Aliases:           []string{"list"},
		Short:             "List the files that an experiment left",
		Long:              "List the files that an experiment left, and what was not stored of them, with the reason.",
		Example:           "  autoresearch artifacts ls exp-17\n  autoresearch artifacts ls exp-17 -o json",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: o.completeTasks,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.do(cmd, "", func(ctx context.Context, s *session) error {
				list, err := s.Artifacts(ctx, s.run, spec.TaskID(args[0]))
				if err != nil {
					return err
				}
				return s.print(list, func(w *bytes.Buffer, wide bool) { writeArtifacts(w, list.Artifacts, wide) })
			})
		},
	}
	o.add(cmd)
	o.addOutput(cmd)
	return cmd
}

func writeArtifacts(w *bytes.Buffer, all []api.Artifact, wide bool) {
	header := []string{"PATH", "BYTES", "NOT STORED"}
	if wide {
		header = append(header, "SHA256")
	}
	t := newTable(w, header...)
	for _, a := range all {
		cells := []string{harmless(a.Path, 200), fmt.Sprint(a.Size), harmless(a.Omitted, 200)}
		if wide {
			cells = append(cells, a.SHA256)
		}
		t.row(cells...)
	}
	t.end()
}

// fetchOptions are the flags of the artifacts get command.
type fetchOptions struct {
	remote
	to    string
	force bool
}

func artifactsGetCommand() *cobra.Command {
	var o fetchOptions
	cmd := &cobra.Command{
		Use:   "get ID [PATH...]",
		Short: "Fetch files that an experiment left",
		Long: `Fetch the files that an experiment left, all of them or those that are named, into a folder; one to standard output with
--to -. Nothing is written outside of the folder, and nothing there is overwritten without --force.`,
		Example: `  autoresearch artifacts get exp-17
  autoresearch artifacts get exp-17 model/best.bin --to /tmp/best --force
  autoresearch artifacts get exp-17 samples.txt --to - | less`,
		Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return o.completeTasks(cmd, args, typed)
			}
			return nil, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.to == "-" && len(args) != 2 {
				return cli.Exit(cli.ExitUsage, errors.New("--to - takes one PATH"))
			}
			return o.do(cmd, "", func(ctx context.Context, s *session) error { return o.fetch(ctx, s, spec.TaskID(args[0]), args[1:]) })
		},
	}
	cmd.Flags().StringVar(&o.to, "to", "", "into folder `DIR` (default: artifacts-ID); - is standard output")
	cmd.Flags().BoolVar(&o.force, "force", false, "overwrite files that are there")
	o.add(cmd)
	return cmd
}

func (o *fetchOptions) fetch(ctx context.Context, s *session, id spec.TaskID, paths []string) error {
	if o.to == "-" {
		return copyArtifact(ctx, s, id, paths[0], s.out)
	}
	list, err := s.Artifacts(ctx, s.run, id)
	if err != nil {
		return err
	}
	dir := o.to
	if dir == "" {
		dir = "artifacts-" + spec.EncodeName(string(id))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	left, err := o.fetchAll(ctx, s, root, list, paths)
	if err := errors.Join(err, root.Close()); err != nil {
		return err
	}
	for _, path := range paths {
		if !slices.ContainsFunc(list.Artifacts, func(a api.Artifact) bool { return a.Path == path }) {
			return cli.Exit(exitUnknown, fmt.Errorf("task %q left no %q; autoresearch artifacts ls lists what it left", id, path))
		}
	}
	if left > 0 {
		return fmt.Errorf("%d entries were not stored: autoresearch artifacts ls says why", left)
	}
	return nil
}

// fetchAll fetches what is wanted, nothing beyond root. It returns how many of that were never stored.
func (o *fetchOptions) fetchAll(ctx context.Context, s *session, root *os.Root, list api.ArtifactList, paths []string) (left int, err error) {
	for _, a := range list.Artifacts {
		if len(paths) > 0 && !slices.Contains(paths, a.Path) {
			continue
		}
		if a.Omitted != "" {
			left++
			continue
		}
		if err := o.fetchOne(ctx, s, root, list.Task, a.Path); err != nil {
			return left, fmt.Errorf("fetch %q: %w", harmless(a.Path, 200), err)
		}
		put(s.out, harmless(filepath.Join(root.Name(), filepath.FromSlash(a.Path)), 500)+"\n")
	}
	return left, nil
}

func (o *fetchOptions) fetchOne(ctx context.Context, s *session, root *os.Root, id spec.TaskID, path string) (err error) {
	local := filepath.FromSlash(path)
	if !filepath.IsLocal(local) {
		return errors.New("its path leads out of the folder")
	}
	if err := root.MkdirAll(filepath.Dir(local), 0o755); err != nil {
		return err
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if o.force {
		flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := root.OpenFile(local, flags, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w; overwrite it with --force", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return copyArtifact(ctx, s, id, path, file)
}

func copyArtifact(ctx context.Context, s *session, id spec.TaskID, path string, to io.Writer) (err error) {
	body, err := s.Artifact(ctx, s.run, id, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	_, err = io.Copy(to, body)
	return err
}
