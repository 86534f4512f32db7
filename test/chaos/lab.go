//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"autoresearch/test/chaos/tree"
)

// The run and its size. The workers together have more slots than the budget, so that one of them may be away.
const (
	runName        = "chaos"
	budget         = 6
	slotsPerWorker = 3
	// retries of a task: a full disk costs it some.
	retries = 50
)

// lab is everything that a chaos run starts and keeps: a folder, a network, disks, members.
type lab struct {
	dir     string // absolute; removed in the end unless something was found
	bin     string // the programs
	tree    *tree.Tree
	lacks   map[need]string // why the machine does not meet a need
	nodes   []node
	disks   map[string]disk // of members; empty without them
	members map[string]*member
	lives   *errgroup.Group
	stop    context.CancelFunc
}

// node is one server of the NATS cluster.
type node struct{ name, host, port, routePort string }

func (n node) url() string { return "nats://" + net.JoinHostPort(n.host, n.port) }

// newLab prepares folder, network, disks and members. Nothing is started.
func newLab(ctx context.Context, o *options) (*lab, error) {
	l := &lab{
		dir: o.dir, bin: o.bin, tree: tree.New(o.seed, int(o.length/tree.DurationMean)*budget),
		lacks: map[need]string{}, disks: map[string]disk{}, members: map[string]*member{},
	}
	addresses := l.furnish(ctx)
	for _, name := range natsNodes {
		n, err := newNode(ctx, name, addresses[name])
		if err != nil {
			return nil, err
		}
		l.nodes = append(l.nodes, n)
	}
	if err := l.writeWorkflow(); err != nil {
		return nil, err
	}
	for _, name := range everyone {
		if err := l.add(name); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// furnish makes what the machine grants: a network, of which it returns the addresses, and disks.
func (l *lab) furnish(ctx context.Context) (addresses map[string]string) {
	if os.Getenv(envInside) == "" {
		l.lacks[needsNetwork], l.lacks[needsDisks] = "no namespaces", "no namespaces"
		return nil
	}
	if err := furnish(); err != nil {
		l.lacks[needsDisks] = err.Error()
	}
	for _, name := range everyone {
		if l.lacks[needsDisks] != "" {
			break
		}
		d, err := mountDisk(l.home(name))
		if err != nil {
			l.lacks[needsDisks] = err.Error()
		}
		l.disks[name] = d
	}
	addresses, err := connect(ctx, everyone)
	if err != nil {
		l.lacks[needsNetwork] = err.Error()
		return nil
	}
	return addresses
}

// has reports whether the machine meets a need.
func (l *lab) has(n need) bool { return l.lacks[n] == "" }

// home is the folder of a member.
func (l *lab) home(name string) string { return filepath.Join(l.dir, name) }

// newNode returns a node at an address, or at free ports of the loopback when there is none.
func newNode(ctx context.Context, name, address string) (node, error) {
	if address != "" {
		return node{name: name, host: address, port: "4222", routePort: "6222"}, nil
	}
	n := node{name: name, host: "127.0.0.1"}
	for _, port := range []*string{&n.port, &n.routePort} {
		var err error
		if *port, err = freePort(ctx); err != nil {
			return node{}, err
		}
	}
	return n, nil
}

// lowPorts are below those that the system gives to outgoing connections, of which one could take a node's port while the
// node is down.
const lowPorts, lowPortsEnd = 20_000, 30_000

func freePort(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	for port := lowPorts + os.Getpid()%1000*10; port < lowPortsEnd; port++ {
		if taken[port] {
			continue
		}
		listener, err := lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		taken[port] = true
		return strconv.Itoa(port), listener.Close()
	}
	return "", fmt.Errorf("no free port from %d on", lowPorts)
}

// taken are the ports that were given out.
var taken = map[int]bool{}

// config is the configuration file of a node.
func (l *lab) config(n node) string {
	var routes []string
	for _, other := range l.nodes {
		routes = append(routes, "nats://"+net.JoinHostPort(other.host, other.routePort))
	}
	return fmt.Sprintf(`server_name: %s
listen: "%s:%s"
jetstream { store_dir: %q, max_memory_store: 1GB, max_file_store: 10GB }
cluster { name: chaos, listen: "%s:%s", routes: [%s] }
`, n.name, n.host, n.port, filepath.Join(l.home(n.name), "store"), n.host, n.routePort, strings.Join(routes, ", "))
}

// urls is where clients find the cluster.
func (l *lab) urls() string {
	urls := make([]string, len(l.nodes))
	for i, n := range l.nodes {
		urls[i] = n.url()
	}
	return strings.Join(urls, ",")
}

func (l *lab) workflow() string { return filepath.Join(l.dir, "workflow.yaml") }

func (l *lab) writeWorkflow() error {
	text, err := json.Marshal(map[string]any{ // JSON is YAML
		"name": runName, "max_concurrency": budget, "initial": []tree.Task{l.tree.Task(0)},
		"kinds": map[string]any{"default": map[string]any{
			"command": []string{filepath.Join(l.bin, "experiment")}, "retries": retries,
			"env": map[string]string{
				"CHAOS_LAB": l.dir, "CHAOS_SEED": fmt.Sprint(l.tree.Seed), "CHAOS_SIZE": fmt.Sprint(l.tree.Size),
			},
		}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(l.workflow(), text, 0o644)
}

// add makes a member.
func (l *lab) add(name string) error {
	if err := os.MkdirAll(l.home(name), 0o755); err != nil {
		return err
	}
	command, err := l.command(name)
	if err != nil {
		return err
	}
	if l.has(needsNetwork) {
		command = inNetwork(name, command...)
	}
	l.members[name] = newMember(name, l.log(name), slices.Contains(coordinators, name), command...)
	return nil
}

// log is where a member's output goes.
func (l *lab) log(name string) string { return filepath.Join(l.dir, name+".log") }

// command returns the command line of a member.
func (l *lab) command(name string) ([]string, error) {
	switch {
	case slices.Contains(coordinators, name):
		return []string{
			filepath.Join(l.bin, "coordinator"), "--nats", l.urls(), "--replicas", "3", "--run", runName,
			"--workflow", l.workflow(), "--workdir", l.home(name), "--http", "", "--exit-when-stopped",
		}, nil
	case slices.Contains(workers, name):
		return []string{
			filepath.Join(l.bin, "worker"), "--nats", l.urls(), "--dir", l.home(name),
			"--slots", strconv.Itoa(slotsPerWorker), "--drain-timeout", "1s",
		}, nil
	}
	n := l.nodes[slices.Index(natsNodes, name)]
	path := filepath.Join(l.dir, name+".conf")
	return []string{filepath.Join(l.bin, "nats-server"), "-c", path}, os.WriteFile(path, []byte(l.config(n)), 0o644)
}

// start brings all members up.
func (l *lab) start(ctx context.Context) {
	ctx, l.stop = context.WithCancel(ctx)
	l.lives, ctx = errgroup.WithContext(ctx)
	for _, m := range l.members {
		l.lives.Go(func() error { return m.live(ctx) })
	}
}

// close kills all members.
func (l *lab) close() error {
	l.stop()
	return l.lives.Wait()
}

// finished reports whether every coordinator says that the run is over.
func (l *lab) finished() bool {
	return !slices.ContainsFunc(coordinators, func(name string) bool { return !l.members[name].isDone() })
}

// hurry makes the experiments take no more time.
func (l *lab) hurry() error { return os.WriteFile(filepath.Join(l.dir, "hurry"), nil, 0o644) }
