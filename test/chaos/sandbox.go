//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// envInside marks the process that runs inside the sandbox.
const envInside = "CHAOS_INSIDE"

// sandboxed runs this program again as the first process of its own namespaces: whatever it starts, mounts and connects
// there ends with it, however it ends. entered is false where the machine refuses that; why says so.
func sandboxed(ctx context.Context, args []string) (code int, entered bool, why error) {
	runtime.LockOSThread() // the main thread never ends before the process: the death signal below depends on it
	defer runtime.UnlockOSThread()
	program, err := os.Executable()
	if err != nil {
		return 0, false, err
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), envInside+"=1")
	cmd.SysProcAttr = namespaces()
	if err := cmd.Start(); err != nil {
		return 0, false, err
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && ctx.Err() == nil {
		return 1, true, err
	}
	return cmd.ProcessState.ExitCode(), true, nil
}

// namespaces are those of processes, mounts and, with the tool that connects them, networks. Who is not root becomes it in
// a namespace of users.
func namespaces() *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS, Setpgid: true, Pdeathsig: syscall.SIGKILL,
	}
	if _, err := exec.LookPath("ip"); err == nil {
		attributes.Cloneflags |= unix.CLONE_NEWNET
	}
	if os.Geteuid() != 0 {
		attributes.Cloneflags |= unix.CLONE_NEWUSER
		attributes.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		attributes.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	return attributes
}

// furnish prepares the namespaces from inside: mounts made here are not seen outside, and /proc shows what runs here.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil { // ip keeps its namespaces there
		return fmt.Errorf("mount /run: %w", err)
	}
	return nil
}
