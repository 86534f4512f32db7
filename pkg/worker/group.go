package worker

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"autoresearch/internal/cgroup"
)

// groupFileName is the file below Options.Dir that names the control groups of this worker's commands, so that the next process
// finds what this one leaves when it is killed.
const groupFileName = "cgroup"

// groups gives each command a control group of its own, where this process may make some: then not even a shim that was killed
// leaves anything behind. Where it may not, commands have none, and shims alone see to it.
//
// The tree of groups is made with the first command: a worker of Go runners has none.
type groups struct {
	dir string // the worker's
	log *slog.Logger

	mu    sync.Mutex
	tried bool
	tree  *cgroup.Tree // nil until the first command, and where there can be none
}

// next makes a group for a command; nil where there is none to be had.
func (g *groups) next() *cgroup.Group {
	if g == nil {
		return nil
	}
	tree := g.opened()
	if tree == nil {
		return nil
	}
	group, err := tree.Group()
	if err != nil {
		g.log.Debug("a command has no control group of its own", "error", err)
	}
	return group
}

// opened returns the tree, nil where there is none.
func (g *groups) opened() *cgroup.Tree {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.tried {
		g.tried = true
		g.open()
	}
	return g.tree
}

// open makes the tree, named on disk before it is there.
func (g *groups) open() {
	tree, err := cgroup.Below(rand.Text())
	if err == nil {
		err = g.note(tree.Path())
	}
	if err == nil {
		err = tree.Make()
	}
	if err != nil {
		g.log.Debug("commands run without control groups of their own: their shims end what they leave", "reason", err)
		return
	}
	g.tree = tree
	g.log.Debug("each command has a control group of its own", "below", tree.Path())
}

// refused takes back a group in which no process can be started.
func (g *groups) refused(group *cgroup.Group, reason error) {
	g.log.Debug("a command cannot be started in a control group: it runs without", "reason", reason)
	_ = group.End() // it is empty
}

// close ends what is left in groups and removes them.
func (g *groups) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tried = true
	g.endLeft()
	g.tree = nil
}

// note adds a tree to those that the next process looks for.
func (g *groups) note(path string) error {
	file, err := os.OpenFile(g.file(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(path + "\n")
	return errors.Join(err, file.Close())
}

// endLeft ends what another process of this worker, or this one, left in its groups. What does not end stays noted.
func (g *groups) endLeft() {
	noted, err := os.ReadFile(g.file())
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	for _, path := range strings.Fields(string(noted)) {
		found, endErr := cgroup.End(path)
		if found {
			g.log.Info("processes were left in control groups, and are killed", "below", path)
		}
		err = errors.Join(err, endErr)
	}
	if err == nil {
		err = os.Remove(g.file())
	}
	if err != nil {
		g.log.Warn("cannot remove control groups", "noted in", g.file(), "error", err)
	}
}

func (g *groups) file() string { return filepath.Join(g.dir, groupFileName) }
