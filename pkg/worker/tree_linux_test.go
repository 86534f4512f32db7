package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"autoresearch/internal/shim"
)

// treeMark marks every process that descends from an experiment of these tests.
const treeMark = "WORKER_TEST_TREE"

// treeScript makes an experiment start a tree: in the background, as a daemon, forked twice, in a chain of sessions; all
// ignore SIGTERM.
var treeScript = []string{"ignore", "spawn", "spawn", "daemon", "twice", "deep 3"}

// treeProcesses is how many processes the tree leaves.
const treeProcesses = 7

// marked returns the processes that carry a mark, by what they run.
func marked(mark string) (found []string) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		env, _ := os.ReadFile(dir + "/environ") // empty for a zombie, unreadable for another's
		if strings.Contains("\x00"+string(env)+"\x00", "\x00"+treeMark+"="+mark+"\x00") {
			line, _ := os.ReadFile(dir + "/cmdline")
			found = append(found, filepath.Base(dir)+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}

// noneLeft checks that no process carries the mark: at once, or soon where the worker is gone.
func noneLeft(t *testing.T, mark string, patience time.Duration) {
	t.Helper()
	for limit := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		left := marked(mark)
		if len(left) == 0 {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("left behind:\n%s", strings.Join(left, "\n"))
		}
	}
}

// treeCommand is an experiment with a mark of its own.
func treeCommand(script ...string) (c *command, mark string) {
	mark = rand.Text()
	return &command{
		path: os.Args[0], argv: append([]string{os.Args[0]}, script...), umask: 0o22, grace: 100 * time.Millisecond,
		env: append(os.Environ(), experimentVariable+"=1", treeMark+"="+mark, "GORACE=atexit_sleep_ms=0"),
	}, mark
}

// mouth hears a process, and says when it was heard to say a word.
type mouth struct {
	word  string
	said  chan struct{}
	heard strings.Builder
}

func newMouth(word string) *mouth { return &mouth{word: word, said: make(chan struct{})} }

// Write implements io.Writer for one writer.
func (m *mouth) Write(b []byte) (int, error) {
	before := strings.Contains(m.heard.String(), m.word)
	m.heard.Write(b)
	if !before && strings.Contains(m.heard.String(), m.word) {
		close(m.said)
	}
	return len(b), nil
}

func TestTreeEndsWithTheExperiment(t *testing.T) {
	t.Parallel()
	for name, ending := range map[string]string{"success": "exit 0", "failure": "exit 3", "signal": "kill 9"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, mark := treeCommand(append(treeScript, ending)...)
			ended, err := c.run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			noneLeft(t, mark, 0)
			if ended.usage.Killed < treeProcesses-2 || ended.sent != 0 {
				t.Errorf("%+v", ended)
			}
			got := fmt.Sprint(ended.code, ended.signal)
			if want := map[string]string{"success": "0", "failure": "3", "signal": "-1SIGKILL"}[name]; got != want {
				t.Errorf("ended as %s, not %s", got, want)
			}
		})
	}
}

func TestTreeEndsOnOrder(t *testing.T) {
	t.Parallel()
	c, mark := treeCommand(append(treeScript, "forever")...)
	out := newMouth("deep enough")
	c.stdout = out
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan exit, 1)
	go func() {
		ended, err := c.run(ctx)
		if err != nil {
			t.Error(err)
		}
		done <- ended
	}()
	<-out.said
	if found := marked(mark); len(found) != treeProcesses+1 {
		t.Errorf("%d processes: %q", len(found), found)
	}
	cancel(errCancelled)
	ended := <-done
	noneLeft(t, mark, 0)
	if ended.sent != syscall.SIGKILL || ended.signal != "SIGKILL" {
		t.Errorf("%+v", ended)
	}
}

// TestTreeEndsWithTheWorker kills a worker's process with -9.
func TestTreeEndsWithTheWorker(t *testing.T) {
	t.Parallel()
	c, mark := treeCommand("supervise")
	worker := exec.Command(c.path, c.argv[1:]...)
	worker.Env = c.env
	out := newMouth("deep enough")
	worker.Stdout = out
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	<-out.said
	if err := worker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := worker.Wait(); err == nil {
		t.Error("the worker was not killed")
	}
	noneLeft(t, mark, 10*time.Second)
}

// supervise is the worker of TestTreeEndsWithTheWorker.
func supervise(string) (int, bool) {
	c := &command{
		path: os.Args[0], argv: append(append([]string{os.Args[0]}, treeScript...), "forever"), env: os.Environ(),
		stdout: os.Stdout,
	}
	_, err := c.run(context.Background())
	fmt.Println(0, err)
	return 0, true
}

// TestShimIsKilled: the experiment's own process and its group die with the shim.
func TestShimIsKilled(t *testing.T) {
	t.Parallel()
	c, mark := treeCommand("ignore", "spawn", "say up", "forever")
	out := newMouth("up")
	c.stdout = out
	child := newChild(c)
	go child.live()
	if err := <-child.up; err != nil {
		t.Fatal(err)
	}
	<-out.said
	if err := child.shim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-child.gone
	noneLeft(t, mark, 10*time.Second)
	if child.end.signal != "SIGKILL" || child.end.code != -1 {
		t.Errorf("%+v", child.end)
	}
}

// TestTreesAsOrdinaryUser runs the tests of this file as a user without rights.
func TestTreesAsOrdinaryUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("this user is ordinary: the other tests are enough")
	}
	dir, err := os.MkdirTemp("", "ordinary") // t.TempDir lies below one that others cannot enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	program := filepath.Join(dir, "worker.test")
	if err := errors.Join(os.Chmod(dir, 0o777), copyFile(os.Args[0], program, 0o755)); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	cmd := exec.Command(program, "-test.run", "^(TestTreeEnds|TestShimIs|TestLimitsAnd)", "-test.v")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	text, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(text), "--- PASS") < 5 {
		t.Errorf("%v\n%s", err, text)
	}
}

// TestLimitsAndUmask: what an experiment may take, and that there is nothing for it to read.
func TestLimitsAndUmask(t *testing.T) {
	t.Parallel()
	c := &command{
		path: "/bin/sh", argv: []string{"sh", "-c", "cat; ulimit -n; ulimit -v; ulimit -t; umask; echo $0 $OWN"}, umask: 0o27,
		env: []string{"OWN=\xff\nx"}, dir: t.TempDir(),
		limits: shim.Limits{Memory: 1 << 30, OpenFiles: 77, CPU: 90 * time.Second},
	}
	var out strings.Builder
	c.stdout = &out
	ended, err := c.run(t.Context())
	if want := "77\n1048576\n90\n0027\nsh \xff x\n"; err != nil || ended.code != 0 || out.String() != want {
		t.Errorf("%q, not %q: %+v, %v", out.String(), want, ended, err)
	}
}

func TestLimitsBite(t *testing.T) {
	t.Parallel()
	c := &command{path: "/bin/sh", argv: []string{"sh", "-c", "while :; do :; done"}, limits: shim.Limits{CPU: time.Second}}
	ended, err := c.run(t.Context())
	if err != nil || ended.signal != "SIGXCPU" || ended.usage.User < 500*time.Millisecond {
		t.Errorf("%+v, %v", ended, err)
	}
}

func TestShimSaysWhyNot(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		command command
		want    error
	}{
		"no program": {command{path: "/nowhere/x", argv: []string{"x"}, dir: "/"}, syscall.ENOENT},
		"no dir":     {command{path: "/bin/sh", argv: []string{"sh"}, dir: "/nowhere"}, syscall.ENOENT},
		"no rights":  {command{path: "/etc/passwd", argv: []string{"x"}, dir: "/"}, syscall.EACCES},
		"NUL":        {command{path: "/bin/sh", argv: []string{"a\x00b"}, dir: "/"}, syscall.EINVAL},
	} {
		_, err := row.command.run(t.Context())
		if !errors.Is(err, row.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
