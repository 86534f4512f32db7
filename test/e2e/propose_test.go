//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// proposals are the nine experiments that testdata/experiment proposes in all.
var proposals = []string{"p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8"}

// proposedSearch is a search whose proposer is a command of the user's.
func proposedSearch(t *testing.T, gate string) *search {
	t.Helper()
	s := newSearch(t, 1, nil, "")
	s.workflow = s.lab.write("proposed.yaml", fmt.Sprintf(
		"name: e2e\nobjective: {metric: loss, direction: minimize}\nmax_concurrency: 1\n"+
			"kinds:\n  default: {command: [%[1]s], env: {E2E_LAB: %[2]s}}\n"+
			"proposer: {command: [env, E2E_LAB=%[2]s, E2E_GATE=%[3]s, %[1]s, propose], ahead: 3}\n",
		binary("experiment"), s.lab.dir, gate))
	return s
}

// experimentsOnly takes the calls of the proposer out.
func experimentsOnly(all []*execution) (ids []string) {
	for _, e := range all {
		if !isProposal(e) {
			ids = append(ids, e.id)
		}
	}
	return ids
}

// TestProposerCommand gives the search to a program of the user's until it has nothing more to propose.
func TestProposerCommand(t *testing.T) {
	t.Parallel()
	s := proposedSearch(t, "")
	s.begin().wantExit(0)
	s.workdir.wantStatus("stopped", 0, 0)
	s.workdir.wantCompleted(proposals...)
	all, _ := s.lab.executions()
	ran := experimentsOnly(all)
	slices.Sort(ran)
	if !slices.Equal(ran, proposals) {
		t.Errorf("executed were %v", ran)
	}
	calls, err := filepath.Glob(filepath.Join(s.lab.dir, "propose*.stdin"))
	if err != nil || len(calls) < 4 {
		t.Fatalf("the proposer was called %d times (%v)", len(calls), err)
	}
	slices.Sort(calls)
	wantProposerInput(t, readFile(t, calls[len(calls)-1]))
}

// wantProposerInput checks what a late call of the proposer read.
func wantProposerInput(t *testing.T, text string) {
	t.Helper()
	var input struct {
		Objective struct{ Metric, Direction string }
		Want      int
		Nodes     []struct {
			ID     string `json:"node_id"`
			Status string
			Result struct{ Metrics map[string]float64 }
		}
	}
	if err := json.Unmarshal([]byte(text), &input); err != nil {
		t.Fatalf("the proposer's input: %v\n%s", err, text)
	}
	if input.Objective.Metric != "loss" || input.Objective.Direction != "minimize" || input.Want < 1 || len(input.Nodes) < 6 {
		t.Errorf("the proposer's input: %s", text)
	}
	for i, n := range input.Nodes {
		if n.Status == "completed" && n.Result.Metrics["loss"] != float64(20-i) {
			t.Errorf("the proposer was told that %s has the metrics %v", n.ID, n.Result.Metrics)
		}
	}
}

// TestProposerThinks has the proposer think until all experiments have ended that it proposed before: it holds no slot of
// theirs, even where there is only one.
func TestProposerThinks(t *testing.T) {
	t.Parallel()
	s := proposedSearch(t, "think")
	engine := s.begin()
	eventually(t, "three experiments end, one at least from its start, while the proposer thinks", func() string {
		all, _ := s.lab.executions()
		ended, beside := 0, 0
		for _, e := range all {
			if e.ended > 0 && !isProposal(e) {
				ended++
				if s.thinksSince(e.started) {
					beside++
				}
			}
		}
		if ended < 3 || beside == 0 {
			return fmt.Sprintf("%d ended, %d of them beside the proposer", ended, beside)
		}
		return ""
	})
	s.lab.open("think")
	engine.wantExit(0)
	s.workdir.wantCompleted(proposals...)
}

// isProposal reports whether an execution is a call of the proposer.
func isProposal(e *execution) bool { return strings.HasPrefix(e.id, "propose") }

// thinksSince reports whether a call of the proposer has not ended that began before a line of the log.
func (s *search) thinksSince(line int) bool {
	return slices.ContainsFunc(s.lab.running(), func(e *execution) bool { return isProposal(e) && e.started < line })
}

// TestProposerKilled kills the engine while the proposer thinks: nothing is proposed twice.
func TestProposerKilled(t *testing.T) {
	t.Parallel()
	s := proposedSearch(t, "think")
	engine := s.begin()
	eventually(t, "the second call of the proposer begins", func() string {
		for _, e := range s.lab.running() {
			if e.id != "propose-0001" && isProposal(e) {
				return ""
			}
		}
		return "not yet"
	})
	engine.kill()
	s.lab.killed()
	s.lab.open("think")
	s.resume().wantExit(0)
	s.workdir.wantStatus("stopped", 0, 0)
	s.workdir.wantCompleted(proposals...)
}

// TestProposerFails ends a search by itself when its proposer cannot be started, and says so.
func TestProposerFails(t *testing.T) {
	t.Parallel()
	s := newSearch(t, 1, nil, "proposer: {command: [./no-such-proposer]}")
	engine := s.begin()
	engine.wantExit(0)
	engine.wantSaid("proposer", "no-such-proposer")
	s.workdir.wantStatus("stopped", 0, 0)
}
