package worker

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"autoresearch/internal/cgroup"
	"autoresearch/pkg/bus"
)

// needGroups skips a test where no process can be put into a control group of its own.
func needGroups(t *testing.T) *groups {
	t.Helper()
	g := &groups{dir: t.TempDir(), log: testOptions(t).Logger}
	t.Cleanup(g.close)
	group := g.next()
	if group == nil {
		t.Skip("no control groups of version 2 can be made here: the tests of shims alone are enough")
	}
	probe := exec.Command("/bin/true")
	probe.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: group.FD()}
	err := probe.Run()
	if endErr := group.End(); endErr != nil {
		t.Fatal(endErr)
	}
	if err != nil {
		t.Skipf("no process can be started in a control group here: %v", err)
	}
	return g
}

// isEmpty checks that no command's group is left in the tree.
func isEmpty(t *testing.T, g *groups) {
	t.Helper()
	if left := subdirs(g.tree.Path()); len(left) != 0 {
		t.Errorf("groups %q are left", left)
	}
}

// TestShimIsKilledAboveATree: in a group of its own nothing is left even of those that fled from a shim that was killed.
func TestShimIsKilledAboveATree(t *testing.T) {
	t.Parallel()
	g := needGroups(t)
	c, mark := treeCommand(append(treeScript, "forever")...)
	out := newMouth("deep enough")
	c.stdout, c.groups = out, g
	child := newChild(c)
	go child.live()
	if err := <-child.up; err != nil {
		t.Fatal(err)
	}
	<-out.said
	if found := marked(mark); len(found) != treeProcesses+1 {
		t.Errorf("%d processes: %q", len(found), found)
	}
	if err := child.shim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-child.gone
	noneLeft(t, mark, 0)
	if child.end.signal != "SIGKILL" || child.end.code != -1 {
		t.Errorf("%+v", child.end)
	}
	isEmpty(t, g)
}

// TestGroupsGo: commands that end by themselves or on order leave no group, and the worker that ends no tree.
func TestGroupsGo(t *testing.T) {
	t.Parallel()
	g := needGroups(t)
	for _, ending := range []string{"exit 0", "exit 3", "kill 9"} {
		c, mark := treeCommand(append(treeScript, ending)...)
		c.groups = g
		if _, err := c.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		noneLeft(t, mark, 0)
		isEmpty(t, g)
	}
	nowhere, _ := treeCommand()
	nowhere.groups, nowhere.path = g, "/nowhere/x"
	if _, err := nowhere.run(t.Context()); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("started nothing: %v", err)
	}
	isEmpty(t, g)
	path := g.tree.Path()
	g.close()
	for _, gone := range []string{path, g.file()} {
		if _, err := os.Stat(gone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", gone, err)
		}
	}
}

// TestGroupsOfAWorker: a worker's commands have groups, and it leaves none.
func TestGroupsOfAWorker(t *testing.T) {
	t.Parallel()
	needGroups(t)
	b := startBench(t)
	b.give(dispatch("t", func(d *bus.Dispatch) {
		d.Recipe.Argv = []string{"/bin/sh", "-c", "grep ^0::.*/autoresearch-[A-Z0-9]*/1$ /proc/self/cgroup"}
	}))
	if report, _ := b.report("t", 1); report.Failure != nil {
		t.Errorf("reported %+v", report.Failure)
	}
	b.stop()
	if err := b.end(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(b.o.Dir, groupFileName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the note of the groups is left: %v", err)
	}
}

// TestGroupsOfADeadWorker: what a worker and its shim leave that are both killed with -9 the next start ends.
func TestGroupsOfADeadWorker(t *testing.T) {
	t.Parallel()
	g := needGroups(t)
	g.close()
	c, mark := treeCommand("grouped " + g.dir)
	worker := exec.Command(c.path, c.argv[1:]...)
	worker.Env = c.env
	out := newMouth("deep enough")
	worker.Stdout, worker.WaitDelay = out, time.Second
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	<-out.said
	shim := onlyChild(t, worker.Process.Pid)
	for _, kill := range []struct {
		pid    int
		signal syscall.Signal
	}{{shim, syscall.SIGSTOP}, {worker.Process.Pid, syscall.SIGKILL}, {shim, syscall.SIGKILL}} {
		if err := syscall.Kill(kill.pid, kill.signal); err != nil {
			t.Fatal(err)
		}
	}
	if err := worker.Wait(); err == nil {
		t.Error("the worker was not killed")
	}
	if found := marked(mark); len(found) == 0 {
		t.Error("nothing was left: this shows nothing")
	}
	next := &groups{dir: g.dir, log: g.log}
	next.endLeft()
	noneLeft(t, mark, 0)
	if _, err := os.Stat(next.file()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the note of the groups is left: %v", err)
	}
}

// grouped is the worker of TestGroupsOfADeadWorker.
func grouped(dir string) (int, bool) {
	c := &command{
		path: os.Args[0], argv: append(append([]string{os.Args[0]}, treeScript...), "forever"), env: os.Environ(),
		stdout: os.Stdout, groups: &groups{dir: dir, log: slog.New(slog.DiscardHandler)},
	}
	_, err := c.run(context.Background())
	return 95, err != nil
}

// onlyChild returns the number of a process's only child.
func onlyChild(t *testing.T, pid int) int {
	t.Helper()
	lists, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		text, _ := os.ReadFile(list) // a thread may have ended
		if child, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return child
		}
	}
	t.Fatal("the worker has no child")
	return 0
}

// TestNoGroups: where none can be made, or a command cannot be started in one, it runs without.
func TestNoGroups(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]*groups{
		"none":         {dir: t.TempDir(), log: slog.New(slog.DiscardHandler), tried: true},
		"no note":      {dir: filepath.Join(t.TempDir(), "nowhere"), log: slog.New(slog.DiscardHandler)},
		"gone":         {dir: t.TempDir(), log: slog.New(slog.DiscardHandler), tried: true, tree: goneTree(t)},
		"not a worker": nil,
	} {
		c, mark := treeCommand(append(treeScript, "exit 3")...)
		c.groups = g
		if ended, err := c.run(t.Context()); err != nil || ended.code != 3 {
			t.Errorf("%s: %+v, %v", name, ended, err)
		}
		noneLeft(t, mark, 0)
	}
}

// goneTree is a tree that was never made, or removed by a hand.
func goneTree(t *testing.T) *cgroup.Tree {
	t.Helper()
	tree, err := cgroup.Below("gone-" + strconv.Itoa(os.Getpid()))
	if err != nil {
		t.Skip(err)
	}
	return tree
}
