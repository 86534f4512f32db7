// Package cgroup makes control groups of version 2 below the process's own, where it may: a group holds a process with all
// that descends from it, whatever that forks, daemonises or setsids, and can be killed at one stroke.
//
// No controller is enabled in any of them. So the rule that only leaves may have processes does not bind the process's own
// group, and what its controllers bound and count it goes on to: a process killed for want of memory is counted there.
package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrNone says that no groups can be made here.
var ErrNone = errors.New("no control groups of version 2 can be made here")

// patience is how long what was killed may take to end: a process in the middle of a disk's answer does not.
const patience = 2 * time.Second

// namePrefix begins the name of every tree.
const namePrefix = "autoresearch-"

// Tree is a group that holds no process and has groups below it. Its methods are safe for concurrent use.
type Tree struct {
	path   string
	groups atomic.Uint64
}

// Below returns where a tree of this name would be, below the group of this process. The name must be no other tree's.
func Below(name string) (*Tree, error) {
	own, err := ownGroup()
	if err != nil {
		return nil, err
	}
	return &Tree{path: filepath.Join(own, namePrefix+name)}, nil
}

// Path is the tree's directory.
func (t *Tree) Path() string { return t.path }

// Make makes the tree. The error is ErrNone where the process may not, or cannot put a process there.
func (t *Tree) Make() error {
	above, err := os.OpenFile(filepath.Join(filepath.Dir(t.path), "cgroup.procs"), os.O_WRONLY, 0) // who moves a process needs that
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNone, err)
	}
	_ = above.Close() // nothing was written
	if err := os.Mkdir(t.path, 0o755); err != nil {
		return fmt.Errorf("%w: %w", ErrNone, err)
	}
	if _, err := os.Stat(filepath.Join(t.path, killFile)); err != nil { // Linux 5.14
		return errors.Join(fmt.Errorf("%w: %w", ErrNone, err), os.Remove(t.path))
	}
	return nil
}

// Group makes a group in the tree.
func (t *Tree) Group() (*Group, error) {
	path := filepath.Join(t.path, strconv.FormatUint(t.groups.Add(1), 10))
	if err := os.Mkdir(path, 0o755); err != nil {
		return nil, fmt.Errorf("make a control group: %w", err)
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a control group: %w", err), os.Remove(path))
	}
	return &Group{path: path, dir: dir}, nil
}

// Group is where one process and its descendants are. One goroutine at a time may use it.
type Group struct {
	path string
	dir  *os.File
}

// FD names the group to who starts a process in it. It is valid until End.
func (g *Group) FD() int { return int(g.dir.Fd()) }

// Kill begins to kill all that is in the group.
func (g *Group) Kill() error { return kill(g.path) }

// End kills what is left in the group and removes it.
func (g *Group) End() error { return errors.Join(g.dir.Close(), end(g.path)) }

// End kills what is left in a tree, whichever process made it, and removes it. It reports whether there was any process in it.
// A path that is no tree's is not touched.
func End(path string) (found bool, err error) {
	_, err = os.Stat(filepath.Join(path, killFile))
	switch {
	case errors.Is(err, fs.ErrNotExist) && !exists(path):
		return false, nil
	case err != nil || !strings.HasPrefix(filepath.Base(path), namePrefix):
		return false, errors.Join(fmt.Errorf("%s is no tree of control groups", path), err)
	}
	return isPopulated(path), end(path)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// isPopulated reports whether there is a process in a group, or below it.
func isPopulated(path string) bool {
	text, err := os.ReadFile(filepath.Join(path, "cgroup.events"))
	return err == nil && strings.Contains(string(text), "populated 1")
}

// killFile is the file to which one writes to kill a group with all below it (Linux 5.14).
const killFile = "cgroup.kill"

func kill(path string) error {
	err := os.WriteFile(filepath.Join(path, killFile), []byte("1"), 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		return nil // it was removed
	}
	return err
}

// end removes a group with all below it; what holds a process is killed first.
func end(path string) error {
	err := remove(path)
	limit := time.Now().Add(patience)
	for pause := time.Millisecond; errors.Is(err, syscall.EBUSY); pause *= 2 {
		if time.Now().After(limit) {
			return fmt.Errorf("what was killed does not end: %w", err)
		}
		if err := kill(path); err != nil {
			return fmt.Errorf("kill a control group: %w", err)
		}
		time.Sleep(min(pause, patience/10))
		err = remove(path)
	}
	return err
}

// remove removes a group and those below it, which an experiment may have made. One that has a process is EBUSY.
func remove(path string) error {
	err := os.Remove(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	entries, _ := os.ReadDir(path) // what was removed meanwhile is no trouble
	for _, entry := range entries {
		if entry.IsDir() {
			if err := remove(filepath.Join(path, entry.Name())); err != nil {
				return err
			}
		}
	}
	if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
