package worker

import (
	"context"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"autoresearch/internal/shim"
)

// pipeDrainMax is how long after the end of a command its pipes are read on. A process that was not found and holds them
// open is not waited for.
const pipeDrainMax = 2 * time.Second

// command is one process tree under supervision. The whole of how a command is started, signalled and reaped is in this
// file and in its two variants: on Linux it runs under a shim (exec_linux.go), elsewhere in a process group
// (exec_unix.go).
type command struct {
	path   string // of the program, resolved
	argv   []string
	env    []string
	dir    string
	umask  int
	limits shim.Limits
	stdin  io.Reader // nil: /dev/null
	stdout io.Writer
	stderr io.Writer
	// grace is the time between SIGTERM and SIGKILL once the context is done.
	grace time.Duration
	// killed, when closed, takes the grace away.
	killed <-chan struct{}
	// groups gives it a control group of its own; nil: it has none.
	groups *groups
	// started is called once the process runs.
	started func()
}

// exit is how a command ended.
type exit struct {
	code   int    // exit status; -1 when a signal ended it
	signal string // "SIGKILL"; "" when none
	// sent is the last signal we sent before the end; 0 when it ended by itself.
	sent     syscall.Signal
	duration time.Duration
	// launch is the time until it ran, cleanup the time from its end until nothing of it was left.
	launch, cleanup time.Duration
	// usage is what it used, with all its descendants; zero where nobody counts.
	usage shim.Usage
}

// run starts the command, waits for its end, and leaves no process of it behind. When ctx is done its process group gets
// SIGTERM and, after the grace, all of it SIGKILL. Should the worker die, all of it is killed too (on Linux; elsewhere it
// goes on). The error says why the command was not started, and is nil otherwise.
func (c *command) run(ctx context.Context) (exit, error) {
	if err := context.Cause(ctx); err != nil {
		return exit{}, err
	}
	child := newChild(c)
	go child.live()
	began := time.Now()
	if err := <-child.up; err != nil {
		return exit{}, err
	}
	launch := time.Since(began)
	if c.started != nil {
		c.started()
	}
	sent := c.supervise(ctx, child)
	<-child.gone
	ended := child.end
	ended.sent, ended.launch = sent, launch
	ended.cleanup = time.Since(began) - ended.duration
	return ended, nil
}

// supervise waits for the end of the child and ends it when it is time. It returns the last signal sent while it lived.
func (c *command) supervise(ctx context.Context, child *child) (sent syscall.Signal) {
	select {
	case <-child.exited:
		return 0
	case <-c.killed:
		return child.signal(syscall.SIGKILL, 0)
	case <-ctx.Done():
		sent = child.signal(syscall.SIGTERM, 0)
	}
	patience := time.NewTimer(c.grace)
	defer patience.Stop()
	select {
	case <-child.exited:
		return sent
	case <-c.killed:
	case <-patience.C:
	}
	return child.signal(syscall.SIGKILL, sent)
}

// life is what every child tells of itself.
type life struct {
	up     chan error    // gets the outcome of the start
	exited chan struct{} // closed when the process has ended
	gone   chan struct{} // closed when nothing of it is left and its pipes are read; end is set then
	began  time.Time
	end    exit

	mu sync.Mutex // held while a signal is sent
}

func newLife() life {
	return life{up: make(chan error, 1), exited: make(chan struct{}), gone: make(chan struct{})}
}

// hasExited notes the end of the process.
func (l *life) hasExited(code int, sig syscall.Signal) {
	l.end.code, l.end.duration = code, time.Since(l.began)
	if sig != 0 {
		l.end.signal = signalName(sig)
	}
	close(l.exited)
}

// lives reports whether the process has not ended.
func (l *life) lives() bool {
	select {
	case <-l.exited:
		return false
	default:
		return true
	}
}

func signalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(sig))
}
