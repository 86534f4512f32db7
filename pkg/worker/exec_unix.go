//go:build unix && !linux

package worker

import "syscall"

// ownGroup puts a command into a process group of its own.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// reap waits for the end of the process and then ends its group. Here a zombie cannot be watched without reaping it, so the
// group's number may in theory be another's by then.
func (c *child) reap() {
	_ = c.cmd.Wait() // what it says is in ProcessState too
	c.hasExited()
	c.killGroup()
}
