//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Addresses of the lab's network.
const (
	network       = "10.77.0"
	ownAddress    = network + ".1"
	mainland      = "br0"
	island        = "br1" // who is cut off is here, together with others that are cut off
	firstAddress  = 11
	networkPrefix = "/24"
)

// connect makes the network and gives each member a namespace of its own in it. It returns their addresses.
func connect(ctx context.Context, names []string) (map[string]string, error) {
	lines := []string{"link set lo up"}
	for _, bridge := range []string{mainland, island} {
		lines = append(lines, "link add "+bridge+" type bridge", "link set "+bridge+" up")
	}
	lines = append(lines, "addr add "+ownAddress+networkPrefix+" dev "+mainland)
	addresses := map[string]string{}
	for i, name := range names {
		addresses[name] = fmt.Sprintf("%s.%d", network, firstAddress+i)
		lines = append(lines,
			"netns add "+name,
			"link add "+cable(name)+" type veth peer name eth0 netns "+name,
			"link set "+cable(name)+" master "+mainland+" up",
			"-n "+name+" addr add "+addresses[name]+networkPrefix+" dev eth0",
			"-n "+name+" link set eth0 up",
			"-n "+name+" link set lo up")
	}
	return addresses, ip(ctx, lines...)
}

// inNetwork returns the command that runs a program in a member's namespace.
func inNetwork(name string, command ...string) []string {
	return append([]string{"ip", "netns", "exec", name}, command...)
}

// cable is the bridge's end of a member's link.
func cable(name string) string { return "v-" + name }

// plug connects members to a bridge, and so to each other and to nobody else.
func plug(ctx context.Context, bridge string, names []string) error {
	var lines []string
	for _, name := range names {
		lines = append(lines, "link set "+cable(name)+" master "+bridge)
	}
	return ip(ctx, lines...)
}

// ip runs commands of that tool until one fails.
func ip(ctx context.Context, lines ...string) error {
	for _, line := range lines {
		text, err := exec.CommandContext(ctx, "ip", strings.Fields(line)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %s: %w: %s", line, err, strings.TrimSpace(string(text)))
		}
	}
	return nil
}
