//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// restartPause is how long a member that ended by itself waits until it is started again, as a supervisor has it.
const restartPause = time.Second

// errHeld says that a fault holds a member down.
var errHeld = errors.New("held down")

// member is one program of the lab under supervision: when it ends it is started again, unless a fault holds it down, or
// its work is done.
type member struct {
	name    string
	command []string
	log     string // the file that all its lives write to
	// finishes says that exit code 0, unasked, means that its work is done.
	finishes bool
	done     chan struct{} // closed when its work is done

	mu      sync.Mutex
	process *os.Process   // nil while it is down
	gone    chan struct{} // closed when process has ended
	held    chan struct{} // while a fault holds it down; closed at its end
	exits   []string      // how it ended by itself, when it was not to
}

func newMember(name, log string, finishes bool, command ...string) *member {
	return &member{name: name, command: command, log: log, finishes: finishes, done: make(chan struct{})}
}

// live keeps the member up until ctx is done, and then kills it.
func (m *member) live(ctx context.Context) error {
	for {
		if gate := m.gate(); gate != nil {
			select {
			case <-ctx.Done():
				return nil
			case <-gate:
			}
		}
		finished, err := m.once(ctx)
		if err != nil || finished || ctx.Err() != nil {
			return err
		}
	}
}

func (m *member) gate() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held
}

// once is one life of the member.
func (m *member) once(ctx context.Context) (finished bool, err error) {
	log, err := os.OpenFile(m.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	cmd := exec.CommandContext(ctx, m.command[0], m.command[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own keeps a signal at the terminal from it; should this program die, so does the member.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := m.up(cmd); errors.Is(err, errHeld) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("start %s: %w", m.name, err)
	}
	_ = cmd.Wait() // the exit status is in ProcessState
	return m.down(ctx, cmd.ProcessState), nil
}

func (m *member) up(cmd *exec.Cmd) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held != nil {
		return errHeld
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	m.process, m.gone = cmd.Process, make(chan struct{})
	return nil
}

// down notes the end of a life. finished says that it was the last.
func (m *member) down(ctx context.Context, state *os.ProcessState) (finished bool) {
	m.mu.Lock()
	m.process = nil
	close(m.gone)
	asked := m.held != nil || ctx.Err() != nil
	finished = !asked && m.finishes && state.Success()
	if !asked && !finished {
		m.exits = append(m.exits, state.String())
	}
	m.mu.Unlock()
	if finished {
		close(m.done)
	}
	if !asked && !finished {
		pause(ctx, restartPause)
	}
	return finished
}

// hold keeps the member from being started again, and ends its life by a signal. It waits until the life has ended.
func (m *member) hold(ctx context.Context, sig syscall.Signal) {
	m.mu.Lock()
	if m.held == nil {
		m.held = make(chan struct{})
	}
	gone := m.gone
	alive := m.process != nil
	m.mu.Unlock()
	m.signal(sig)
	if !alive {
		return
	}
	select {
	case <-gone:
	case <-ctx.Done():
	case <-time.After(endPatience):
		m.signal(syscall.SIGKILL)
		<-gone
	}
}

// endPatience is how long a member may take to end after SIGTERM.
const endPatience = 30 * time.Second

// release starts the member again.
func (m *member) release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held != nil {
		close(m.held)
		m.held = nil
	}
}

// signal sends a signal to the member's own process, if there is one.
func (m *member) signal(sig syscall.Signal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process != nil {
		_ = m.process.Signal(sig) // it may be a zombie by now
	}
}

// selfExits returns how the member ended by itself when it was not to.
func (m *member) selfExits() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.exits
}

// isDone reports whether its work is done.
func (m *member) isDone() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// pause waits for a time, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
