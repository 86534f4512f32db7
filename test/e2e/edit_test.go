//go:build linux

package e2e

import (
	"syscall"
	"testing"
)

// editedSearch is a search that was stopped, and whose queue was then edited by a person: removed is gone, urgent has a
// lower priority, added is new.
func editedSearch(t *testing.T) *search {
	t.Helper()
	held := task{ID: "held", Priority: -1, Payload: payload{"gate": "go"}}
	s := newSearch(t, 1, append([]task{held}, task{ID: "first"}, task{ID: "removed"}, task{ID: "urgent"}), "")
	engine := s.begin()
	s.lab.awaitRunning(1)
	engine.signal(syscall.SIGTERM)
	engine.wantExit(143)
	s.lab.killed()
	s.lab.open("go")

	edited := s.workdir.state()
	var queued []task
	for _, task := range edited.Queued {
		switch task.ID {
		case "removed":
			continue
		case "urgent":
			task.Priority = -0.5
		}
		queued = append(queued, task)
	}
	edited.Queued = append(queued, task{ID: "added", Kind: "default", Payload: payload{"loss": 1}})
	s.workdir.writeState(edited)
	return s
}

// order returns the tasks in the order of their last starts.
func (s *search) order() (ids []string) {
	all, _ := s.lab.executions()
	for _, e := range all[1:] { // the first one was interrupted
		ids = append(ids, e.id)
	}
	return ids
}

func TestEditRefused(t *testing.T) {
	t.Parallel()
	s := editedSearch(t)
	before := s.workdir.contents()
	engine := s.resume()
	engine.wantRefusal("engine_state.json", "--adopt-edits", "--ignore-edits",
		`- "removed"`, `+ "added"`, `~ "urgent": priority 0 -> -0.5`)
	s.workdir.wantUnchanged(before)
	s.lab.wantNoneAlive()

	s.resume("--ignore-edits").wantExit(0)
	s.workdir.wantCompleted("held", "first", "removed", "urgent")
	wantOrder(t, s.order(), "held", "first", "removed", "urgent")
}

func TestEditAdopted(t *testing.T) {
	t.Parallel()
	s := editedSearch(t)
	s.resume("--adopt-edits").wantExit(0)
	s.workdir.wantEnded([]string{"held", "first", "urgent", "added"}, map[string]string{"removed": "interrupted"})
	if got := s.workdir.tree()["removed"].Failure.Details.Cause; got != "cancelled" {
		t.Errorf("the removed task has the cause %q", got)
	}
	wantOrder(t, s.order(), "held", "urgent", "first", "added")
	s.resume().wantExit(0) // the edit is dealt with
}

// TestBothEditFlags cannot be meant.
func TestBothEditFlags(t *testing.T) {
	t.Parallel()
	s := editedSearch(t)
	before := s.workdir.contents()
	engine := s.resume("--adopt-edits", "--ignore-edits")
	if engine.wait() == 0 {
		t.Errorf("exit code 0: %s", engine)
	}
	engine.wantSaid("adopt", "ignore", "not both")
	s.workdir.wantUnchanged(before)
	s.trail.excused = true // the edit is still there
}

func wantOrder(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("executed were %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("the order was %v, want %v", got, want)
		}
	}
}
