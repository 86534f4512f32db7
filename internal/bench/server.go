package bench

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"time"

	"autoresearch/pkg/bus"
)

// Times of the child process.
const (
	serverStartTimeout = 20 * time.Second
	serverStopTimeout  = 10 * time.Second
)

// ServeNATS is the child process: a NATS server on a free loopback port with the files and the sync setting that args
// say. It writes its URL as one line to out and ends when in does: so it never outlives the process that started it,
// however that ended. args are what a serverProcess put behind Options.ServerCommand.
func ServeNATS(args []string, in io.Reader, out io.Writer) error {
	signal.Ignore(os.Interrupt) // a terminal sends it to parent and child: the parent decides
	fs := flag.NewFlagSet("NATS server", flag.ContinueOnError)
	dir := fs.String("dir", "", "where the files lie")
	always := fs.Bool("sync-always", false, "sync before each acknowledgement")
	if err := fs.Parse(args); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	server, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: *dir, Port: -1, SyncAlways: *always, Logger: log})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, server.ClientURL())
	if err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	return errors.Join(err, server.Shutdown())
}

// serverProcess is the NATS server of one row, seen from the parent.
type serverProcess struct {
	url   string
	cmd   *exec.Cmd
	stdin io.Closer
	kill  context.CancelFunc
	ended chan struct{} // closed once the process is gone; err says how
	err   error
}

// startServer starts command as a server with its files in dir and returns once it takes connections.
func startServer(ctx context.Context, command []string, dir string, syncAlways bool) (*serverProcess, error) {
	if len(command) == 0 {
		return nil, errors.New("start the NATS server: no command to start it with")
	}
	args := slices.Concat(command[1:], []string{"--dir", dir})
	if syncAlways {
		args = append(args, "--sync-always")
	}
	life, kill := context.WithCancel(context.WithoutCancel(ctx)) // it must live on until the rest has ended
	p := &serverProcess{cmd: exec.CommandContext(life, command[0], args...), kill: kill, ended: make(chan struct{})}
	p.cmd.Stderr = os.Stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		kill()
		return nil, fmt.Errorf("start the NATS server: %w", err)
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		kill()
		return nil, fmt.Errorf("start the NATS server: %w", errors.Join(err, stdin.Close()))
	}
	return p, p.await(ctx, stdout)
}

// await reads the child's URL, and from then on waits for the child's end.
func (p *serverProcess) await(ctx context.Context, stdout io.Reader) error {
	said := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n') // an error shows as a line without a URL
		said <- strings.TrimSpace(line)
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	timer := time.NewTimer(serverStartTimeout)
	defer timer.Stop()
	var err error
	select {
	case p.url = <-said:
		if p.url == "" {
			err = errors.New("it ended at once")
		}
	case <-timer.C:
		err = fmt.Errorf("it is not ready after %v", serverStartTimeout)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("start the NATS server: %w", errors.Join(err, p.stop()))
	}
	return nil
}

// stop ends the child and waits for it. One that does not end by itself is killed.
func (p *serverProcess) stop() error {
	defer p.kill()
	err := p.stdin.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil // the child is gone already
	}
	defer time.AfterFunc(serverStopTimeout, p.kill).Stop()
	<-p.ended
	if err = errors.Join(err, p.err); err != nil {
		return fmt.Errorf("stop the NATS server: %w", err)
	}
	return nil
}

// errServerEnded ends a row whose server is gone.
var errServerEnded = errors.New("the benchmark's NATS server ended by itself")

// guard returns a context that ends with the child.
func (p *serverProcess) guard(ctx context.Context) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-p.ended:
			cancel(errServerEnded)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil); <-done }
}
