package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
)

// KeptFlags say where a run is kept, for commands that read what NATS holds of it: in a workdir, or on a server.
type KeptFlags struct {
	NATS NATSFlags
	Run  string
}

// Add registers the flags.
func (f *KeptFlags) Add(fs *pflag.FlagSet) {
	fs.StringVar(&f.Run, "run", "", "`NAME` of the run on the server of --nats")
	f.NATS.Add(fs)
}

// Open connects to what keeps the run: the server of --nats, or the one whose store lies in the workdir. That one is
// started for this process alone, unless an engine runs it: then Open connects to the engine's. stop ends all.
func (f *KeptFlags) Open(ctx context.Context, workdir string, log *slog.Logger) (
	conn *bus.Conn, run spec.RunName, stop func() error, err error,
) {
	switch {
	case f.NATS.URL == "" && workdir == "":
		return nil, "", nil, Exit(ExitUsage, errors.New("name a workdir, or a server and a run with --nats URL --run NAME"))
	case f.NATS.URL == "":
		return f.openWorkdir(ctx, workdir, log)
	case workdir != "":
		return nil, "", nil, Exit(ExitUsage, errors.New("a workdir, or --nats with --run: not both"))
	case f.Run == "":
		return nil, "", nil, Exit(ExitUsage, errors.New("--nats needs --run NAME"))
	}
	conn, err = bus.Connect(ctx, f.NATS.Options("autoresearch", log))
	if err != nil {
		return nil, "", nil, err
	}
	return conn, spec.RunName(f.Run), conn.Close, nil
}

func (f *KeptFlags) openWorkdir(ctx context.Context, workdir string, log *slog.Logger) (
	conn *bus.Conn, run spec.RunName, stop func() error, err error,
) {
	record, err := snapshot.ReadRun(workdir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil, fmt.Errorf("workdir %s: no run was led there", workdir)
	}
	if err != nil {
		return nil, "", nil, err
	}
	store := filepath.Join(workdir, snapshot.EngineDir, "nats")
	if _, err := os.Stat(store); err != nil {
		return nil, "", nil, fmt.Errorf("workdir %s: run %q is kept on a server: name it with --nats URL --run NAME", workdir, record.Run)
	}
	server, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: store, InProcess: true, Logger: log})
	if errors.Is(err, bus.ErrStoreInUse) {
		conn, err := f.join(ctx, store, log)
		if err != nil {
			return nil, "", nil, fmt.Errorf("workdir %s is in use by a running engine: %w: stop it, or look at it with --nats URL --run %s",
				workdir, err, record.Run)
		}
		return conn, record.Run, conn.Close, nil
	}
	if err != nil {
		return nil, "", nil, fmt.Errorf("workdir %s: %w", workdir, err)
	}
	conn, err = server.Connect(ctx, "autoresearch")
	if err != nil {
		return nil, "", nil, errors.Join(err, server.Shutdown())
	}
	return conn, record.Run, func() error { return errors.Join(conn.Close(), server.Shutdown()) }, nil
}

// join connects to the server that another process runs on a store.
func (f *KeptFlags) join(ctx context.Context, store string, log *slog.Logger) (*bus.Conn, error) {
	url, err := bus.EmbeddedURL(store)
	if err != nil {
		return nil, err
	}
	reach := f.NATS
	reach.URL = url
	return bus.Connect(ctx, reach.Options("autoresearch", log))
}
