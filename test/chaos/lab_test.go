//go:build linux

package main

import (
	"net"
	"strings"
	"testing"
)

// TestFreePorts checks that ports are given out once, and are free: but for one that another program took meanwhile.
func TestFreePorts(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 6 {
		port, err := freePort(t.Context())
		if err != nil || seen[port] {
			t.Fatalf("port %s, seen %v, error %v", port, seen[port], err)
		}
		seen[port] = true
	}
	free := 0
	for port := range seen {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			t.Log(err)
			continue
		}
		free++
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	}
	if free < len(seen)-1 {
		t.Errorf("of ports %v %d are free", seen, free)
	}
}

// TestConfig checks that a node's file names its address, its store, and the routes to all nodes.
func TestConfig(t *testing.T) {
	t.Parallel()
	l := &lab{dir: "/lab"}
	for i, name := range natsNodes {
		n, err := newNode(t.Context(), name, network+".1"+string(rune('1'+i)))
		if err != nil {
			t.Fatal(err)
		}
		l.nodes = append(l.nodes, n)
	}
	text := l.config(l.nodes[1])
	for _, part := range []string{
		"server_name: nats-2", `"10.77.0.12:4222"`, `"10.77.0.12:6222"`, "/lab/nats-2/store",
		"nats://10.77.0.11:6222, nats://10.77.0.12:6222, nats://10.77.0.13:6222",
	} {
		if !strings.Contains(text, part) {
			t.Errorf("%s is missing in\n%s", part, text)
		}
	}
}
