package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/rpc"
	"os"
	"os/signal"
	"sync"
	"time"

	"autoresearch/pkg/bus"
)

// ServeChild is a child process of the benchmark: it does what the parent asks of it over in and out, and ends, with
// everything it started, when in does. So it never outlives the process that started it, however that ended.
func ServeChild(in io.Reader, out io.Writer) error {
	signal.Ignore(os.Interrupt) // a terminal sends it to parent and child: the parent decides
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c := &child{
		ctx: ctx, log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	server := rpc.NewServer()
	services := map[string]any{
		serviceNATS: &NATSService{c}, serviceWorker: &WorkerService{c}, serviceRawWorker: &RawWorkerService{child: c},
		serviceLeader: &LeaderService{child: c},
	}
	for name, service := range services {
		if err := server.RegisterName(name, service); err != nil {
			return fmt.Errorf("child process: %w", err)
		}
	}
	server.ServeConn(&stdio{Reader: in, Writer: out, ended: cancel})
	return c.close()
}

// The services of a child, and what stands for no arguments and no reply.
const (
	serviceNATS      = "NATS"
	serviceWorker    = "Worker"
	serviceRawWorker = "RawWorker"
	serviceLeader    = "Leader"
)

// None is nothing.
type None struct{}

// child is what the services of a child process share.
type child struct {
	ctx context.Context // done when the parent is
	log *slog.Logger

	mu    sync.Mutex
	stops []func() error
}

// atEnd has f called at the end, before what was handed over earlier.
func (c *child) atEnd(f func() error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stops = append(c.stops, f)
}

func (c *child) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for i := len(c.stops) - 1; i >= 0; i-- {
		errs = append(errs, c.stops[i]())
	}
	return errors.Join(errs...)
}

// connect connects to the row's NATS server until the child ends.
func (c *child) connect(url, name string) (*bus.Conn, error) {
	conn, err := bus.Connect(c.ctx, bus.Options{URL: url, Name: name, Logger: c.log})
	if err == nil {
		c.atEnd(conn.Close)
	}
	return conn, err
}

// stdio is a child's end of the connection with its parent. When the parent is gone, what the child does for it ends.
type stdio struct {
	io.Reader
	io.Writer
	ended func()
}

func (s *stdio) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err != nil {
		s.ended()
	}
	return n, err
}

// Close implements io.Closer: the files are the process's own.
func (s *stdio) Close() error { return nil }

// NATSService is a NATS server.
type NATSService struct{ *child }

// NATSArgs say where its files lie and when it syncs them: before each acknowledgement, or so often (0: as often as it
// does by default).
type NATSArgs struct {
	Dir          string
	SyncAlways   bool
	SyncInterval time.Duration
}

// Start starts the server on a free loopback port and replies its URL.
func (s *NATSService) Start(args NATSArgs, url *string) error {
	server, err := bus.StartEmbedded(bus.EmbeddedOptions{
		StoreDir: args.Dir, Port: -1, SyncAlways: args.SyncAlways, SyncInterval: args.SyncInterval, Logger: s.log,
	})
	if err != nil {
		return err
	}
	s.atEnd(server.Shutdown)
	*url = server.ClientURL()
	return nil
}
