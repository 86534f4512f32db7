package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/bus"
)

// site is where one row is measured: a folder, a NATS server in a process of its own, and what else the row starts.
type site struct {
	o      *Options
	row    string
	dir    string
	server *process
	url    string
	log    *slog.Logger
	made   int // names given out
}

// on opens a site, measures the row there, and clears it away. The measuring ends with the server.
func (r *row) on(ctx context.Context, o *Options) (Result, error) {
	s, err := openSite(ctx, o, r.name, r.syncing(o))
	if err != nil {
		return nil, err
	}
	guarded, release := s.server.guard(ctx)
	result, err := r.measure(guarded, s)
	if err != nil && guarded.Err() != nil && ctx.Err() == nil {
		err = errors.Join(context.Cause(guarded), err)
	}
	release()
	return result, errors.Join(err, s.close())
}

// syncing says when the server syncs its files.
type syncing struct {
	always   bool
	interval time.Duration // unless always; 0: the server's default
}

// durability says what an acknowledged task survives.
func (s syncing) durability() string {
	const spool = "; worker: each result in its spool before it is sent, fsynced then if the attempt took a second, else behind the send"
	switch {
	case s.always:
		return "NATS: sync_interval always (fsync before each acknowledgement of a file stream)" + spool
	case s.interval > 0:
		return fmt.Sprintf("NATS: file storage, acknowledged before fsync, fsync every %v", s.interval) + spool
	}
	return "NATS: file storage, default sync (acknowledged before fsync, fsync every 2 min)" + spool
}

func openSite(ctx context.Context, o *Options, row string, when syncing) (*site, error) {
	dir, err := os.MkdirTemp(o.Dir, "autoresearch-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary folder: %w", err)
	}
	s := &site{o: o, row: row, dir: dir, log: o.Logger}
	if err := s.serve(ctx, when); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *site) serve(ctx context.Context, when syncing) (err error) {
	if s.server, err = spawn(ctx, s.o.ChildCommand, "NATS server"); err != nil {
		return err
	}
	args := NATSArgs{Dir: filepath.Join(s.dir, "nats"), SyncAlways: when.always, SyncInterval: when.interval}
	if s.url, err = call[string](ctx, s.server, serviceNATS+".Start", args); err != nil {
		return err
	}
	return s.keepStream(ctx)
}

// keepStream makes a stream that stays: after an account's last stream is deleted, the next create fails at times.
func (s *site) keepStream(ctx context.Context) error {
	conn, err := s.connect(ctx, "bench")
	if err != nil {
		return err
	}
	js, err := jetstream.New(conn.NATS())
	if err == nil {
		_, err = js.CreateStream(ctx, jetstream.StreamConfig{
			Name: "BENCH_KEEP", Subjects: []string{"bench.keep"}, Storage: jetstream.MemoryStorage,
		})
	}
	return errors.Join(err, conn.Close())
}

// connect connects over TCP, with the same settings for everybody.
func (s *site) connect(ctx context.Context, name string) (*bus.Conn, error) {
	return bus.Connect(ctx, bus.Options{URL: s.url, Name: name, Logger: s.log})
}

// fresh returns a name that the site has not given out yet.
func (s *site) fresh(what string) string {
	s.made++
	return what + "-" + strconv.Itoa(s.made)
}

// path returns a fresh path in the site's folder.
func (s *site) path(what string) string { return filepath.Join(s.dir, s.fresh(what)) }

// say tells one line of progress about the row.
func (s *site) say(format string, args ...any) { s.o.say(s.row+": "+format, args...) }

func (s *site) close() error {
	var err error
	if s.server != nil {
		err = s.server.stop()
	}
	if err := errors.Join(err, os.RemoveAll(s.dir)); err != nil {
		return fmt.Errorf("clean up after row %s: %w", s.row, err)
	}
	return nil
}
