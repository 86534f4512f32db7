package worker

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pipeDrainMax is how long after the end of a command its pipes are read on. A process that left the group and holds them
// open is not waited for.
const pipeDrainMax = 2 * time.Second

// command is one process tree under supervision. The whole of how a command is started, signalled and reaped is in this
// file and in its two variants for systems.
type command struct {
	path   string // of the program, resolved
	argv   []string
	env    []string
	dir    string
	stdin  io.Reader // nil: /dev/null
	stdout io.Writer
	stderr io.Writer
	// grace is the time between SIGTERM and SIGKILL once the context is done.
	grace time.Duration
	// killed, when closed, takes the grace away.
	killed <-chan struct{}
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
}

// run starts the command in a process group of its own, waits for its end, and leaves no process of the group behind. When
// ctx is done the group gets SIGTERM and, after the grace, SIGKILL. Should the worker die, Linux kills the command
// (not its descendants). The error says why the command was not started, and is nil otherwise.
func (c *command) run(ctx context.Context) (exit, error) {
	if err := context.Cause(ctx); err != nil {
		return exit{}, err
	}
	child := &child{cmd: c.build(), up: make(chan error, 1), exited: make(chan struct{}), gone: make(chan struct{})}
	go child.live()
	if err := <-child.up; err != nil {
		return exit{}, err
	}
	if c.started != nil {
		c.started()
	}
	sent := c.supervise(ctx, child)
	<-child.gone
	code, signal := exitStatus(child.cmd)
	return exit{code: code, signal: signal, sent: sent, duration: child.ended.Sub(child.began)}, nil
}

func (c *command) build() *exec.Cmd {
	return &exec.Cmd{
		Path: c.path, Args: c.argv, Env: c.env, Dir: c.dir, Stdin: c.stdin, Stdout: c.stdout, Stderr: c.stderr,
		WaitDelay: pipeDrainMax, SysProcAttr: ownGroup(),
	}
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

// child is a process from its start until nothing of its group is left.
type child struct {
	cmd    *exec.Cmd
	up     chan error    // gets the outcome of the start
	exited chan struct{} // closed when the process has ended
	gone   chan struct{} // closed when it is reaped and its pipes are read
	mu     sync.Mutex    // held while a signal is sent, so that the process is not reaped under it
	began  time.Time
	ended  time.Time
}

// live runs the whole life of the process on one OS thread: the kernel sends the parent-death signal when the *thread*
// that started the process ends.
func (c *child) live() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c.began = time.Now()
	err := c.cmd.Start()
	c.up <- err
	if err == nil {
		c.reap()
		close(c.gone)
	}
}

// hasExited notes the end of the process.
func (c *child) hasExited() {
	c.ended = time.Now()
	close(c.exited)
}

// killGroup ends what the command left behind; an error says that there is nothing.
func (c *child) killGroup() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
}

// signal sends sig to the group unless the child has ended, and returns the last signal that was sent: sig, or before.
func (c *child) signal(sig, before syscall.Signal) syscall.Signal {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.exited:
		return before
	default:
	}
	if err := syscall.Kill(-c.cmd.Process.Pid, sig); err != nil {
		return before
	}
	return sig
}

// exitStatus returns the exit code and the name of the signal that ended a reaped command.
func exitStatus(cmd *exec.Cmd) (code int, signal string) {
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return -1, signalName(status.Signal())
	}
	return cmd.ProcessState.ExitCode(), ""
}

func signalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(sig))
}
