package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"autoresearch/pkg/api"
)

func TestWorkersTable(t *testing.T) {
	t.Parallel()
	workers := []api.Worker{{
		ID: "w1", Host: "gpu-7", HeardAt: time.Now(), Labels: []string{"zone=a", "disk=nvme"}, Others: 3,
		Slots: []api.Slots{{Class: "cpu", Total: 8, Free: 8}, {Class: "h100x1", Total: 2}},
		Running: []api.Holding{
			{Task: "short", Attempt: 1, Seconds: 3}, {Task: "long", Attempt: 2, Seconds: 7200, Progress: "step 3"}, {Task: "least", Seconds: 1},
		},
		GPUs: []api.GPU{
			{UUID: "GPU-1", Model: "NVIDIA H100", Class: "h100x1", State: "busy"},
			{UUID: "GPU-2", Model: "NVIDIA H100", Class: "h100x1", State: "quarantined", Reason: "Xid 79\x1b"},
		},
	}, {ID: "w2", Breaker: "breaker: the last 5 tasks", HeardAt: time.Now()}}
	for wide, wants := range map[bool][]string{
		false: {"gpu-7", "zone=a,disk=nvme", "long 2h0m0s, short 3s, 1 more, 3 of other runs", "2 x NVIDIA H100, 1 quarantined",
			"GPU-2 on gpu-7 is quarantined: Xid 79", "w2 takes nothing: breaker: the last 5 tasks"},
		true: {"step 3", "least"},
	} {
		var out bytes.Buffer
		writeWorkers(&out, workers, wide)
		for _, want := range wants {
			if !strings.Contains(out.String(), want) {
				t.Errorf("wide %v: it does not say %q:\n%s", wide, want, out.String())
			}
		}
		if strings.Contains(out.String(), "\x1b") {
			t.Errorf("a terminal could be harmed: %q", out.String())
		}
	}
}
