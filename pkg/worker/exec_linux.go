package worker

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"autoresearch/internal/cgroup"
	"autoresearch/internal/shim"
)

// child is a command under a shim of its own, from its start until nothing of it is left.
type child struct {
	life
	command *command
	shim    *exec.Cmd
	group   *cgroup.Group // of the shim and all below it; nil where there is none to be had
	orders  *os.File      // to the shim: the job, then orders
	said    *os.File      // from it: its events
	events  *bufio.Scanner
	pid     int // of the command's own process, which leads its group
}

func newChild(c *command) *child { return &child{life: newLife(), command: c} }

// live runs the whole life of the shim on one OS thread: the kernel sends the parent-death signal when the *thread* that
// started a process ends.
func (c *child) live() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := c.startShim()
	if err != nil {
		c.up <- err
		return
	}
	if err = c.startCommand(); err != nil {
		c.endShim()
		c.up <- err
		return
	}
	c.up <- nil
	if !c.follow() {
		c.orphaned()
	}
	c.endShim()
	close(c.gone)
}

// endShim takes the orders from the shim, which ends it if nothing else has, and waits for that. Then nothing is left in the
// group, or it is killed.
func (c *child) endShim() {
	c.mu.Lock()
	_ = c.orders.Close() // a pipe to nobody
	c.mu.Unlock()
	_ = c.shim.Wait()  // how the command ended the shim has said; how the shim itself did is of no use
	_ = c.said.Close() // read to its end
	if c.group != nil {
		_ = c.group.End() // what does not end now is killed again when the worker ends, or starts
	}
}

// startShim starts the shim with its two pipes.
func (c *child) startShim() error {
	job, orders, err := os.Pipe()
	if err != nil {
		return err
	}
	said, say, err := os.Pipe()
	if err != nil {
		_, _ = job.Close(), orders.Close() // never used
		return err
	}
	c.orders, c.said, c.events = orders, said, bufio.NewScanner(said)
	c.began = time.Now()
	err = c.launch(job, say)
	_, _ = job.Close(), say.Close() // the shim has its own
	if err != nil {
		_, _ = orders.Close(), said.Close() // never used
	}
	return err
}

// launch starts the shim, in a group of its own where there is one to be had.
func (c *child) launch(files ...*os.File) error {
	if c.group = c.command.groups.next(); c.group != nil {
		c.shim = c.shimWith(files)
		c.shim.SysProcAttr.UseCgroupFD, c.shim.SysProcAttr.CgroupFD = true, c.group.FD()
		err := c.shim.Start()
		if err == nil {
			return nil
		}
		c.command.groups.refused(c.group, err)
		c.group = nil
	}
	c.shim = c.shimWith(files)
	return c.shim.Start()
}

func (c *child) shimWith(files []*os.File) *exec.Cmd {
	return &exec.Cmd{
		Path: shim.Path, Args: []string{shim.Name}, Env: shimEnv(), Dir: "/",
		Stdin: c.command.stdin, Stdout: c.command.stdout, Stderr: c.command.stderr,
		ExtraFiles: files, WaitDelay: pipeDrainMax,
		// SIGTERM to a shim is the order to kill.
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM},
	}
}

// shimEnv is the environment of a shim: it needs little room, and none of the experiment's settings. The last is for
// programs built with the race detector.
func shimEnv() []string { return []string{"GOMAXPROCS=2", "GOGC=off", "GORACE=atexit_sleep_ms=0"} }

// startCommand gives the shim its job and hears what became of it.
func (c *child) startCommand() error {
	job := shim.Job{
		Path: c.command.path, Dir: c.command.dir, Argv: c.command.argv, Env: c.command.env, Umask: c.command.umask,
		Limits: c.command.limits,
	}
	encoded, err := job.Encode()
	if err != nil {
		return fmt.Errorf("arguments or environment: %w", err)
	}
	if _, err := c.orders.Write(encoded); err != nil {
		return fmt.Errorf("the shim takes no job: %w", err)
	}
	for c.events.Scan() {
		switch event, _ := shim.ParseEvent(c.events.Text()); event.Kind {
		case shim.Failed:
			return fmt.Errorf("%s: %w", event.Op, event.Errno)
		case shim.Started:
			c.pid = event.PID
			return nil
		}
	}
	return fmt.Errorf("the shim does not answer: %w", cmp.Or(c.events.Err(), io.ErrUnexpectedEOF))
}

// follow hears the shim out. It reports whether the shim has said that nothing is left.
func (c *child) follow() (gone bool) {
	for c.events.Scan() {
		switch event, _ := shim.ParseEvent(c.events.Text()); event.Kind {
		case shim.Exited:
			c.hasExited(event.Code, event.Signal)
		case shim.Gone:
			c.end.usage, gone = event.Usage, true
		}
	}
	return gone
}

// orphaned ends a command whose shim was killed: its own process has died with it, its group is killed here: that of control
// with all that it left, or where it has none that of processes.
func (c *child) orphaned() {
	if c.group != nil {
		_ = c.group.Kill() // End tries again
	}
	if c.lives() {
		_ = syscall.Kill(-c.pid, syscall.SIGKILL) // an error says that there is nothing
		c.hasExited(-1, syscall.SIGKILL)
	}
}

// signal has sig sent unless the command has ended, and returns the last signal that was sent: sig, or before. SIGKILL goes
// to all of it, anything else is SIGTERM to its group.
func (c *child) signal(sig, before syscall.Signal) syscall.Signal {
	c.mu.Lock()
	defer c.mu.Unlock()
	order := byte(shim.Terminate)
	if sig == syscall.SIGKILL {
		order = shim.Kill
	}
	if !c.lives() {
		return before
	}
	if _, err := c.orders.Write([]byte{order}); err != nil {
		return before
	}
	return sig
}
