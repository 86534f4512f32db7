package worker

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// oomCounter reads how many processes the kernel killed for want of memory: those of this worker's cgroup, or where that
// cannot be told, of the machine.
type oomCounter struct{ path string }

// findOOMCounter returns the most specific counter that can be read here; its path is "" when there is none.
func findOOMCounter() oomCounter {
	group := ownCgroups()
	for _, path := range []string{
		filepath.Join("/sys/fs/cgroup", group[""], "memory.events"),
		"/sys/fs/cgroup/memory.events", // inside a container the own group is the root
		filepath.Join("/sys/fs/cgroup/memory", group["memory"], "memory.oom_control"),
		"/sys/fs/cgroup/memory/memory.oom_control",
		"/proc/vmstat",
	} {
		if (oomCounter{path}).count() >= 0 {
			return oomCounter{path}
		}
	}
	return oomCounter{}
}

// ownCgroups returns this process's cgroup by controller; "" is that of version 2.
func ownCgroups() map[string]string {
	groups := map[string]string{}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return groups
	}
	for line := range strings.Lines(string(text)) {
		if parts := strings.SplitN(strings.TrimSpace(line), ":", 3); len(parts) == 3 {
			groups[parts[1]] = parts[2]
		}
	}
	return groups
}

// count returns the counter's value, -1 when it cannot be read.
func (c oomCounter) count() int64 {
	text, err := os.ReadFile(c.path)
	if err != nil {
		return -1
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if name != "oom_kill" {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64); err == nil {
			return n
		}
	}
	return -1
}

// evidence says whether an unexplained SIGKILL was for want of memory, given the count from before the process started;
// "" when it was not. Where nothing counts, the kernel is the likely sender.
func (c oomCounter) evidence(before int64) string {
	after := c.count()
	switch {
	case before < 0 || after < 0:
		return "killed by SIGKILL, which nobody here sent"
	case after > before:
		return "the kernel's out-of-memory killer ended it (" + c.path + ")"
	}
	return ""
}
