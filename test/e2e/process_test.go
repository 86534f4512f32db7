//go:build linux

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is a program under test.
type process struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	output *output
	exited chan struct{} // closed when it has ended
}

// start starts one of the programs in a directory of its own. It is killed at the end of the test, and shown if the test
// fails.
func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	return startIn(t, t.TempDir(), name, args...)
}

// startIn is start in a given directory.
func startIn(t *testing.T, dir, name string, args ...string) *process {
	t.Helper()
	return startWith(t, dir, nil, name, args...)
}

// startWith is startIn with more in the program's environment.
func startWith(t *testing.T, dir string, env []string, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, cmd: exec.Command(binary(name), args...), output: &output{}, exited: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = dir, append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	// A group of its own keeps a signal at the terminal from it; no test leaves it behind.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.cmd.WaitDelay = 5 * time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // the exit status is in ProcessState
	}()
	t.Cleanup(p.cleanUp)
	return p
}

func (p *process) cleanUp() {
	_ = p.cmd.Process.Kill() // it may have ended long ago
	<-p.exited
	if p.t.Failed() {
		p.t.Logf("%s", p)
	}
}

// String shows the command, how it ended, and all it said.
func (p *process) String() string {
	state := "it runs"
	if p.hasExited() {
		state = p.cmd.ProcessState.String()
	}
	return fmt.Sprintf("%s %s (pid %d, %s):\n%s", p.name, strings.Join(p.cmd.Args[1:], " "), p.cmd.Process.Pid, state, p.output)
}

func (p *process) hasExited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// signal sends a signal to the program alone.
func (p *process) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatalf("%s: %v: %v", p.name, sig, err)
	}
}

// kill is kill -9; it returns when the program is gone.
func (p *process) kill() {
	p.t.Helper()
	if p.hasExited() {
		p.t.Fatalf("to be killed, but it has ended: %s", p)
	}
	p.killIfAlive()
}

// killIfAlive is kill for a program that may have ended by itself.
func (p *process) killIfAlive() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	<-p.exited
}

// wait waits for the end and returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(waitMax):
		p.t.Fatalf("it has not ended after %v: %s", waitMax, p)
	}
	return p.cmd.ProcessState.ExitCode()
}

// wantExit waits for the end and checks the exit code.
func (p *process) wantExit(code int) {
	p.t.Helper()
	if got := p.wait(); got != code {
		p.t.Fatalf("exit code %d, want %d: %s", got, code, p)
	}
}

// wantRefusal waits for the end, which must be exit code 1 with a message that says all of the words.
func (p *process) wantRefusal(words ...string) {
	p.t.Helper()
	p.wantExit(1)
	p.wantSaid(words...)
}

// wantSaid checks that the output has all of the words.
func (p *process) wantSaid(words ...string) {
	p.t.Helper()
	for _, word := range words {
		if !strings.Contains(p.output.String(), word) {
			p.t.Errorf("it does not say %q: %s", word, p)
		}
	}
}

// says waits until a line of the output matches and returns the submatches of the first that does.
func (p *process) says(pattern string) (found []string) {
	p.t.Helper()
	expression := regexp.MustCompile(pattern)
	eventually(p.t, p.name+" says "+pattern, func() string {
		if found = expression.FindStringSubmatch(p.output.String()); found != nil {
			return ""
		}
		if p.hasExited() {
			p.t.Fatalf("it ended without saying %s: %s", pattern, p)
		}
		return "it does not"
	})
	return found
}

// output keeps what a program writes. It is safe for concurrent use.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(text)
}

// String returns all that was written so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// isExperiment reports whether a process is a living experiment: neither gone, nor a zombie, nor a stranger with its number.
func isExperiment(pid int) bool {
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return err == nil && program == binary("experiment")
}
