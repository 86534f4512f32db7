//go:build linux

package main

import (
	"testing"
	"time"
)

// at returns a moment as the log writes it.
func at(s float64) time.Time { return time.Unix(0, int64(s*1e9)) }

// log has a task that ran alone, one that was killed and ran again, and one that ran twice at one time.
const log = `start 0 1 10 1000000000
end 0 1 10 2000000000
start 1 1 11 2000000000
start 2 1 12 3000000000
start 2 2 13 4000000000
start 1 2 14 5000000000
end 2 1 12 6000000000
end 2 2 13 7000000000
end 1 2 14 17000000000
stray -1 1 15 18000000000
`

func parse(t *testing.T, text string) history {
	t.Helper()
	h, err := parseHistory(text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHistory(t *testing.T) {
	t.Parallel()
	h := parse(t, log)
	if len(h.executions) != 5 || h.again() != 2 || h.killed() != 1 || h.overlaps() != 1 || h.strays != 1 {
		t.Errorf("%d executions, %d again, %d killed, %d overlap, %d stray",
			len(h.executions), h.again(), h.killed(), h.overlaps(), h.strays)
	}
	if gap, began := h.longestGap(nil); gap != 10*time.Second || began != at(7) {
		t.Errorf("the longest gap is %v from %v on", gap, began)
	}
	if gap, began := h.longestGap([]span{{at(6.5), at(8)}, {at(10), at(30)}}); gap != 4*time.Second || began != at(2) {
		t.Errorf("outside of the outages the longest gap is %v from %v on", gap, began)
	}
	if took, ok := h.recovery(at(3.5)); !ok || took != 3500*time.Millisecond {
		t.Errorf("recovered %v after %v", ok, took)
	}
	if _, ok := h.recovery(at(5)); ok {
		t.Error("recovered without an execution that began after it")
	}
}

// TestHistoryRefuses checks that an end without its start is told, and that rubbish is an error.
func TestHistoryRefuses(t *testing.T) {
	t.Parallel()
	if h := parse(t, "start 1 1 5 1\nend 1 2 5 2\nend 1 1 6 3\n"); h.strays != 2 {
		t.Errorf("%d strays", h.strays)
	}
	if _, err := parseHistory("start 1 x\n"); err == nil {
		t.Error("rubbish was taken")
	}
}

func TestOutages(t *testing.T) {
	t.Parallel()
	hit := func(from, to float64, names ...string) struck {
		return struck{fault: fault{targets: names}, began: seconds(from), ended: seconds(to)}
	}
	found := outages(at(100), []struck{
		hit(1, 5, "nats-1"), hit(3, 8, "nats-2"), hit(9, 10, "worker-1", "coordinator-1"), hit(11, 12, coordinators...), hit(20, 20),
	})
	want := []span{{at(103), at(105)}, {at(111), at(112)}}
	if len(found) != len(want) || found[0] != want[0] || found[1] != want[1] {
		t.Errorf("outages %v, want %v", found, want)
	}
}
