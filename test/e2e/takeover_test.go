//go:build linux

package e2e

import (
	"path/filepath"
	"slices"
	"testing"
)

// seedFiles holds files that the original wrote.
const seedFiles = "../../pkg/spec/testdata/seed"

// TestTakeOver begins in a workdir that the original was interrupted in: what it had queued and what it ran are both
// run, from either of the files that it keeps its queue in.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"engine_state.json", "engine/checkpoint.json"} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			s := newSearch(t, 1, tasks(1, "not_this%d", payload{}), "")
			writeFile(t, s.workdir.path(name), readFile(t, filepath.Join(seedFiles, "engine_state.interrupted.json")))
			s.begin().wantExit(0)
			s.workdir.wantStatus("stopped", 0, 0)
			s.workdir.wantCompleted("exp_001", "exp_002", "exp_003")
			s.lab.wantOnce("exp_001", "exp_002", "exp_003")
			all, _ := s.lab.executions()
			if order := []string{all[0].id, all[1].id, all[2].id}; !slices.Equal(order, []string{"exp_001", "exp_002", "exp_003"}) {
				t.Errorf("they ran in the order %v", order)
			}
		})
	}
}

// TestTakeOverOddNames takes over a queue whose names are as odd as the original allows.
func TestTakeOverOddNames(t *testing.T) {
	t.Parallel()
	s := newSearch(t, 2, nil, "proposer: {command: [/bin/true]}")
	writeFile(t, s.workdir.path("engine_state.json"), readFile(t, filepath.Join(seedFiles, "engine_state.unicode.json")))
	s.begin().wantExit(0)
	s.workdir.wantCompleted("a.b.*.>", "naïve/µ-lr ☃.v2")
	s.lab.wantOnce("a.b.*.>", "naïve/µ-lr ☃.v2")
	s.workdir.wantFiles()
}

// TestTakeOverKilled kills the engine right after it has taken a queue over: the file is not taken over again.
func TestTakeOverKilled(t *testing.T) {
	t.Parallel()
	s := newSearch(t, 2, nil, "proposer: {command: [/bin/true]}")
	s.workdir.writeState(state{Status: "interrupted", Queued: heldAndQueued(2)})
	engine := s.begin()
	s.lab.awaitRunning(2)
	engine.kill()
	s.lab.killed()
	s.lab.open("go")
	s.resume().wantExit(0)
	s.workdir.wantCompleted(ids(heldAndQueued(2))...)
	s.lab.wantAgainOnlyAfterKills(2, ids(heldAndQueued(2))...)
}
