package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"syscall"
)

// engineReport is what this program reads of the report of "autoresearch bench".
type engineReport struct {
	Throughput, Durable struct {
		TasksPerS float64 `json:"tasks_per_s"`
	}
	Environment struct {
		CPU        string `json:"cpu"`
		Cores      int    `json:"cores"`
		OS         string `json:"os"`
		Go         string `json:"go"`
		NATSServer string `json:"nats_server"`
		Version    string `json:"autoresearch"`
	}
}

// engineSlots is how many tasks ours runs at once: of 64, 256 and 1,024 what was fastest where everything is synced, as the peers'
// numbers were found.
const engineSlots = 256

// runEngine measures ours once at each durability, with its own benchmark.
func runEngine(ctx context.Context, program, dir string, tasks int, progress io.Writer) (*engineReport, error) {
	bench := exec.CommandContext(ctx, program, "bench", "--only", "throughput,durable", "--rounds", "1", "--sync-interval",
		"1s", "--slots", strconv.Itoa(engineSlots), "--tasks", strconv.Itoa(tasks), "--dir", dir, "-o", "json")
	bench.Cancel = func() error { return bench.Process.Signal(syscall.SIGTERM) }
	var out bytes.Buffer
	bench.Stdout, bench.Stderr = &out, progress
	if err := bench.Run(); err != nil {
		return nil, fmt.Errorf("%s bench: %w", program, err)
	}
	var report engineReport
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		return nil, fmt.Errorf("%s bench: its report: %w", program, err)
	}
	return &report, nil
}
