//go:build unix && !linux

package worker

import (
	"os/exec"
	"syscall"
	"time"
)

// child is a command in a process group of its own, from its start until nothing of the group is left. Umask and limits are
// not applied here.
type child struct {
	life
	cmd *exec.Cmd
}

func newChild(c *command) *child {
	return &child{life: newLife(), cmd: &exec.Cmd{
		Path: c.path, Args: c.argv, Env: c.env, Dir: c.dir, Stdin: c.stdin, Stdout: c.stdout, Stderr: c.stderr,
		WaitDelay: pipeDrainMax, SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}}
}

// live waits for the end of the process and then ends its group. Here a zombie cannot be watched without reaping it, so the
// group's number may in theory be another's by then.
func (c *child) live() {
	c.began = time.Now()
	err := c.cmd.Start()
	c.up <- err
	if err != nil {
		return
	}
	_ = c.cmd.Wait() // what it says is in ProcessState too
	c.mu.Lock()
	status, _ := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		c.hasExited(-1, status.Signal())
	} else {
		c.hasExited(c.cmd.ProcessState.ExitCode(), 0)
	}
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL) // an error says that there is nothing
	c.mu.Unlock()
	close(c.gone)
}

// signal sends sig to the group unless the child has ended, and returns the last signal that was sent: sig, or before.
func (c *child) signal(sig, before syscall.Signal) syscall.Signal {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.lives() {
		return before
	}
	if err := syscall.Kill(-c.cmd.Process.Pid, sig); err != nil {
		return before
	}
	return sig
}
