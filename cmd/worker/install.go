package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// installCommand copies this program: an image that holds nothing else has no cp.
func installCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "install DIR",
		Short: "Copy this program to DIR/worker",
		Long: `Copy this program to DIR/worker. In a pod, an init container does so into a volume that it shares with the training
image, which then runs the worker without containing it.`,
		Example: `  worker install /agent`,
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := install(args[0]); err != nil {
				return fmt.Errorf("install into %s: %w", args[0], err)
			}
			return nil
		},
	}
}

// install replaces DIR/worker in one step: a worker that runs from there keeps its own file.
func install(dir string) (err error) {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := os.CreateTemp(dir, ".worker-*")
	if err != nil {
		return err
	}
	if err := fill(to, from); err != nil {
		return errors.Join(err, os.Remove(to.Name()))
	}
	return os.Rename(to.Name(), filepath.Join(dir, "worker"))
}

// fill writes a program's file and closes it.
func fill(to *os.File, from io.Reader) error {
	_, err := io.Copy(to, from)
	return errors.Join(err, to.Chmod(0o555), to.Close())
}
