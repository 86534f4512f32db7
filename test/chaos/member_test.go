//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// life starts a member that runs a line of shell, and ends it with the test.
func life(t *testing.T, finishes bool, script string) (*member, func() string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	m := newMember("m", log, finishes, "/bin/sh", "-c", script)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.live(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return m, func() string {
		text, err := os.ReadFile(log)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(text)
	}
}

// await waits for what other processes do.
func await(t *testing.T, what string, true func() bool) {
	t.Helper()
	for !true() {
		if t.Context().Err() != nil {
			t.Fatalf("waited in vain: %s", what)
		}
		pause(t.Context(), restartPause/100)
	}
}

// TestMemberIsHeldDown checks that a killed member stays down until it is released.
func TestMemberIsHeldDown(t *testing.T) {
	t.Parallel()
	m, log := life(t, false, "echo up; sleep 1000")
	await(t, "its first life", func() bool { return log() == "up\n" })
	m.hold(t.Context(), syscall.SIGKILL)
	m.hold(t.Context(), syscall.SIGKILL) // a member that is down already
	if m.process != nil {
		t.Error("it lives although it is held down")
	}
	m.release()
	await(t, "its second life", func() bool { return log() == "up\nup\n" })
	if exits := m.selfExits(); len(exits) > 0 {
		t.Errorf("it is said to have ended by itself: %q", exits)
	}
}

// TestMemberIsStartedAgain checks that a member that fails is started again, and that this is noted.
func TestMemberIsStartedAgain(t *testing.T) {
	t.Parallel()
	m, log := life(t, true, "echo up; exit 3")
	await(t, "two lives", func() bool { return strings.Count(log(), "up") == 2 })
	if exits := m.selfExits(); len(exits) == 0 || exits[0] != "exit status 3" || m.isDone() {
		t.Errorf("done %v, exits %q", m.isDone(), exits)
	}
}

// TestMemberFinishes checks that success ends a member whose work has an end.
func TestMemberFinishes(t *testing.T) {
	t.Parallel()
	m, log := life(t, true, "echo up")
	<-m.done
	if log() != "up\n" || len(m.selfExits()) > 0 {
		t.Errorf("%q, exits %q", log(), m.selfExits())
	}
}
