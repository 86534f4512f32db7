package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// socketPathMax is how long the path of a Unix socket may be everywhere.
const socketPathMax = 100

// listenSocket listens on a Unix socket in a folder of its own that only this user can enter: in the workdir, or, where its
// path is too long or its file system has no sockets, in the folder for temporary files. clean removes the folder.
func listenSocket(ctx context.Context, workdir string) (l net.Listener, clean func() error, err error) {
	dir, err := filepath.Abs(filepath.Join(workdir, "engine", "api"))
	if err != nil {
		return nil, nil, err
	}
	if len(dir)+len("/sock") <= socketPathMax {
		if l, err := listenIn(ctx, dir); err == nil {
			return l, func() error { return os.RemoveAll(dir) }, nil
		}
	}
	if dir, err = os.MkdirTemp("", "autoresearch-"); err != nil {
		return nil, nil, fmt.Errorf("a folder for the API's socket: %w", err)
	}
	l, err = listenIn(ctx, dir)
	clean = func() error { return os.RemoveAll(dir) }
	if err != nil {
		return nil, nil, errors.Join(err, clean())
	}
	return l, clean, nil
}

// listenIn replaces the socket of a program that was killed; the workdir's lock keeps others away.
func listenIn(ctx context.Context, dir string) (net.Listener, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "sock")
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return (&net.ListenConfig{}).Listen(ctx, "unix", path)
}
