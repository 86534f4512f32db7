package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"time"
)

// stopTimeout is how long a child process may take to end by itself.
const stopTimeout = 20 * time.Second

// process is a child process, seen from the parent.
type process struct {
	name   string
	cmd    *exec.Cmd
	stdin  io.Closer
	client *rpc.Client
	kill   context.CancelFunc
	ended  chan struct{} // closed once the process is gone; err says how
	err    error
}

// spawn starts command as a child process, which waits for calls.
func spawn(ctx context.Context, command []string, name string) (*process, error) {
	if len(command) == 0 {
		return nil, fmt.Errorf("start the %s: no command to start it with", name)
	}
	life, kill := context.WithCancel(context.WithoutCancel(ctx)) // it must live on until the rest has ended
	p := &process{name: name, kill: kill, ended: make(chan struct{})}
	p.cmd = exec.CommandContext(life, command[0], command[1:]...)
	p.cmd.Stderr = os.Stderr
	if err := p.start(); err != nil {
		kill()
		return nil, fmt.Errorf("start the %s: %w", name, err)
	}
	return p, nil
}

func (p *process) start() error {
	in, toChild, err := os.Pipe() // not StdoutPipe and its like: Wait closes those while the client still reads
	if err != nil {
		return err
	}
	fromChild, out, err := os.Pipe()
	if err != nil {
		return errors.Join(err, in.Close(), toChild.Close())
	}
	p.cmd.Stdin, p.cmd.Stdout = in, out
	err = p.cmd.Start()
	if closeErr := errors.Join(in.Close(), out.Close()); err != nil || closeErr != nil {
		return errors.Join(err, closeErr, toChild.Close(), fromChild.Close())
	}
	p.stdin = toChild
	p.client = rpc.NewClient(&pipes{Reader: fromChild, Writer: toChild, closers: []io.Closer{fromChild, toChild}})
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return nil
}

// pipes are the parent's end of the connection with a child.
type pipes struct {
	io.Reader
	io.Writer
	closers []io.Closer
}

// Close closes both directions.
func (p *pipes) Close() error {
	var errs []error
	for _, c := range p.closers {
		if err := c.Close(); !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// call asks a child for something and waits for its reply, at most until ctx is done; the child then goes on until stop,
// and what it replies later goes nowhere.
func call[Reply any](ctx context.Context, p *process, method string, args any) (reply Reply, err error) {
	var late Reply // written by the client's goroutine, also after this has returned
	asked := p.client.Go(method, args, &late, make(chan *rpc.Call, 1))
	select {
	case <-asked.Done:
	case <-ctx.Done():
		return reply, context.Cause(ctx)
	}
	if errors.Is(asked.Error, rpc.ErrShutdown) || errors.Is(asked.Error, io.ErrUnexpectedEOF) {
		return reply, fmt.Errorf("%s: %w", p.name, errChildEnded)
	}
	if asked.Error != nil {
		return reply, fmt.Errorf("%s: %s: %w", p.name, method, asked.Error)
	}
	return late, nil
}

// do asks the child for something that has no reply, as call does.
func (p *process) do(ctx context.Context, method string, args any) error {
	_, err := call[None](ctx, p, method, args)
	return err
}

// errChildEnded ends a row one of whose processes is gone.
var errChildEnded = errors.New("the process ended by itself")

// stop ends the child and waits for it. One that does not end by itself is killed.
func (p *process) stop() error {
	err := p.stdin.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil // the child is gone already
	}
	defer time.AfterFunc(stopTimeout, p.kill).Stop()
	<-p.ended
	p.kill()
	if closeErr := p.client.Close(); !errors.Is(closeErr, rpc.ErrShutdown) {
		err = errors.Join(err, closeErr)
	}
	if err = errors.Join(err, p.err); err != nil {
		return fmt.Errorf("stop the %s: %w", p.name, err)
	}
	return nil
}

// crash kills the child as kill -9 does and waits until it is gone.
func (p *process) crash() {
	p.kill()
	<-p.ended
	_ = p.stop() // says that it was killed
}

// guard returns a context that ends with the child.
func (p *process) guard(ctx context.Context) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-p.ended:
			cancel(fmt.Errorf("%s: %w", p.name, errChildEnded))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil); <-done }
}

func (p *process) pid() int { return p.cmd.Process.Pid }
