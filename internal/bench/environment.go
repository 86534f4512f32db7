package bench

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Environment is the machine and the versions that the numbers belong to.
type Environment struct {
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	OS         string `json:"os"`
	Go         string `json:"go"`
	NATSServer string `json:"nats_server"`
	NATSClient string `json:"nats_go"`
	Version    string `json:"autoresearch"`
	Dir        string `json:"storage_dir"`
	Quick      bool   `json:"quick,omitempty"`
}

func environment(o Options) Environment {
	dir := o.Dir
	if dir == "" {
		dir = os.TempDir()
	}
	return Environment{
		CPU: cpuModel(), Cores: runtime.GOMAXPROCS(0), OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(),
		NATSServer: server.VERSION, NATSClient: nats.Version, Version: o.Version, Dir: dir,
		Quick: o.Sizes.Quick,
	}
}

// cpuModel is what the kernel calls the processor; "unknown" where it does not say.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// clockTick is the unit of CPU times in /proc.
const clockTick = 10 * time.Millisecond

// cpuTime is the user and system time that processes have taken so far, 0 where that cannot be read.
func cpuTime(pids ...int) (total time.Duration) {
	for _, pid := range pids {
		total += cpuTimeOf(pid)
	}
	return total
}

func cpuTimeOf(pid int) time.Duration {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:]) // from the third on: the second may hold anything
	if len(fields) < 13 {
		return 0
	}
	user, err := strconv.ParseInt(string(fields[11]), 10, 64)
	if err != nil {
		return 0
	}
	system, err := strconv.ParseInt(string(fields[12]), 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(user+system) * clockTick
}
