package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// TestPeers lets each peer whose server is installed do a few tasks, twice: it must be empty in between.
func TestPeers(t *testing.T) {
	t.Parallel()
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s, err := p.open(t.Context(), serverDir(t))
			if errors.Is(err, errNoServer) {
				t.Skipf("make bench-peers installs it: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.close(); err != nil {
					t.Error(err)
				}
			}()
			for range 2 {
				if err := s.clear(t.Context()); err != nil {
					t.Fatal(err)
				}
				if took, err := s.do(t.Context(), 50); err != nil || took <= 0 {
					t.Fatalf("took %v, %v", took, err)
				}
			}
			if name, durability, settings := s.describe(); name == "" || durability == "" || settings == "" {
				t.Errorf("it describes itself as %q, %q, %q", name, durability, settings)
			}
		})
	}
}

// TestInterruptedPeer ends a peer in the middle of its work: its server must stop all the same.
func TestInterruptedPeer(t *testing.T) {
	t.Parallel()
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			s, err := p.open(t.Context(), serverDir(t))
			if errors.Is(err, errNoServer) {
				t.Skipf("make bench-peers installs it: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if _, err := s.do(ctx, 1000); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if err := s.close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// serverDir is a folder that a server's own user may enter.
func serverDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "autoresearch-peers-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestServerThatCannotStart says why.
func TestServerThatCannotStart(t *testing.T) {
	t.Parallel()
	_, err := startServer(t.Context(), "thing", "127.0.0.1:1", t.TempDir(), nil, "sh", "-c", "echo no room; exit 1")
	if err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("got %v", err)
	}
	if _, err := find("no-such-server"); !errors.Is(err, errNoServer) {
		t.Errorf("got %v", err)
	}
}

// TestReport checks medians, and that each rate is set beside ours of the same durability.
func TestReport(t *testing.T) {
	t.Parallel()
	r := Report{Tasks: 10, Payload: payloadSize, Rounds: 3, Skipped: []string{"some peer: not there"}, Machine: "a machine"}
	for _, f := range []*Found{
		{Name: "ours", Durability: EverySecond}, {Name: "ours", Durability: Always}, {Name: "theirs", Durability: Always},
	} {
		for i := range 3 {
			f.add(float64((len(r.Systems) + 1) * 100 * (i + 1)))
		}
		r.Systems = append(r.Systems, f)
	}
	r.compare()
	theirs := r.Systems[2]
	if theirs.TasksPerS != 600 || theirs.MinMax != [2]float64{300, 900} || theirs.Ours != 400.0/600 || r.Systems[0].Ours != 1 {
		t.Errorf("theirs are %+v, ours %+v", theirs, r.Systems[0])
	}
	var text bytes.Buffer
	if err := r.writeText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"theirs", "0.67", "skipped: some peer", "a machine", "300 to 900"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in:\n%s", want, text.String())
		}
	}
}

// TestPayload has the size it should, whatever the number.
func TestPayload(t *testing.T) {
	t.Parallel()
	for _, i := range []int{0, 7, 123_456} {
		if p := payload(i); len(p) != payloadSize {
			t.Errorf("task %d: %d bytes: %s", i, len(p), p)
		}
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-o", "xml"}, {"-tasks", "0"}, {"-rounds", "0"}, {"-nothing"}} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := run(ctx, args, &bytes.Buffer{}, &bytes.Buffer{}); err == nil {
			t.Errorf("%v was taken", args)
		}
		cancel()
	}
}
