//go:build linux

package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestInterrupted stops an engine in mid run by a signal: nothing is left alive, the state says what ran, and the workdir
// alone goes on.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			all := append(tasks(2, "held%d", payload{"gate": "go"}), tasks(3, "queued%d", payload{})...)
			s := newSearch(t, 2, all, "")
			engine := s.begin()
			s.lab.awaitRunning(2)
			engine.signal(signal)
			engine.wantExit(128 + int(signal))
			s.lab.wantNoneAlive()
			s.workdir.wantStatus("interrupted", 3, 2)
			if running := ids(s.workdir.state().Running); !slices.Equal(running, []string{"held1", "held2"}) {
				t.Errorf("under running: %v", running)
			}
			engine.wantSaid("interrupted")

			s.lab.killed()
			s.lab.open("go")
			s.resume().wantExit(0)
			s.workdir.wantStatus("stopped", 0, 0)
			s.workdir.wantCompleted(ids(all)...)
			s.lab.wantAgainOnlyAfterKills(2, ids(all)...)
		})
	}
}

// TestInterruptedTwice insists while an experiment ignores SIGTERM: the end comes at once, not after the grace.
func TestInterruptedTwice(t *testing.T) {
	t.Parallel()
	soon := 5 * time.Second // the grace is 10 s
	if os.Getenv("E2E_RACE") != "" {
		soon *= 4
	}
	all := tasks(1, "stubborn%d", payload{"gate": "go", "ignore_term": true})
	s := newSearch(t, 1, all, "")
	engine := s.begin()
	s.lab.awaitRunning(1)
	began := time.Now()
	engine.signal(syscall.SIGINT)
	engine.says("once more to stop at once")
	eventually(t, "the engine is told again", func() string {
		if strings.Contains(engine.output.String(), "killed: ending every attempt at once") {
			return ""
		}
		engine.signal(syscall.SIGINT)
		return "it goes on"
	})
	engine.wantExit(130)
	if took := time.Since(began); took > soon {
		t.Errorf("it took %v to end", took)
	}
	eventually(t, "the experiment is gone", func() string {
		if alive := len(s.lab.running()); alive > 0 {
			return fmt.Sprintf("%d are alive", alive)
		}
		return ""
	})

	s.lab.killed()
	s.lab.open("go")
	s.resume().wantExit(0)
	s.workdir.wantStatus("stopped", 0, 0)
	s.workdir.wantCompleted(ids(all)...)
}

// TestInterruptedByTwoAtOnce sends two signals as one, as timeout(1) does: that is no insisting.
func TestInterruptedByTwoAtOnce(t *testing.T) {
	t.Parallel()
	s := newSearch(t, 1, tasks(2, "held%d", payload{"gate": "go"}), "")
	engine := s.begin()
	s.lab.awaitRunning(1)
	engine.signal(syscall.SIGTERM)
	engine.signal(syscall.SIGINT) // another one, so that the kernel does not merge the two
	if code := engine.wait(); code != 143 && code != 130 {
		t.Errorf("exit code %d: %s", code, engine)
	}
	s.workdir.wantStatus("interrupted", 1, 1)
	s.lab.wantNoneAlive()
}

// TestInterruptedWhileStarting stops an engine right at its start, before anything runs or while it begins to.
func TestInterruptedWhileStarting(t *testing.T) {
	t.Parallel()
	all := tasks(4, "t%d", payload{})
	s := newSearch(t, 2, all, "")
	engine := s.begin()
	engine.says("worker starts")
	engine.signal(syscall.SIGTERM)
	engine.wantExit(143)
	s.lab.killed()
	s.resume().wantExit(0)
	s.workdir.wantCompleted(ids(all)...)
	s.lab.wantAgainOnlyAfterKills(2, ids(all)...)
}
