//go:build linux

package e2e

import (
	"fmt"
	"slices"
	"testing"
)

// TestEngineKilled is the demo in miniature: a search with the built-in proposer, killed twice at different moments, each
// time gone on with by the workdir alone.
func TestEngineKilled(t *testing.T) {
	t.Parallel()
	const experiments, slots = 30, 3
	s := newSearch(t, slots, []task{{ID: "baseline", Payload: payload{"seconds": 0.05, "loss": 3}}}, fmt.Sprintf(
		"space: {seconds: {float: [0.05, 0.3]}, loss: {float: [0, 3]}}\nproposer: {seed: 7}\nstop: {max_experiments: %d}", experiments))
	engine := s.begin()
	for _, ended := range []int{5, 18} {
		s.lab.awaitEnded(ended)
		engine.kill()
		s.lab.killed()
		eventually(t, "the experiments of a killed engine are gone", func() string {
			if alive := s.lab.running(); len(alive) > 0 {
				return fmt.Sprintf("%d are alive", len(alive))
			}
			return ""
		})
		engine = s.resume()
	}
	engine.wantExit(0)

	done := []string{"baseline"}
	for i := 1; i < experiments; i++ {
		done = append(done, fmt.Sprintf("e%04d", i))
	}
	s.workdir.wantStatus("stopped", 0, 0)
	s.workdir.wantCompleted(done...)
	s.workdir.wantFiles()
	s.workdir.wantAttemptFiles()
	s.lab.wantAgainOnlyAfterKills(slots, done...)
	s.lab.wantNoneAlive()
}

// TestChildrenOfResults grows a tree from the results of experiments, killed in the middle: every child exists once, below
// its parent.
func TestChildrenOfResults(t *testing.T) {
	t.Parallel()
	const slots = 2
	var roots []task
	var all []string
	for i := range 4 {
		children := tasks(3, fmt.Sprintf("r%d.%%d", i), payload{"seconds": 0.05, "loss": 1})
		root := task{ID: fmt.Sprintf("r%d", i), Payload: payload{"seconds": 0.1, "loss": 2, "children": children}}
		roots = append(roots, root)
		all = append(append(all, root.ID), ids(children)...)
	}
	s := newSearch(t, slots, roots, "")
	engine := s.begin()
	s.lab.awaitEnded(3)
	engine.kill()
	s.lab.killed()
	s.resume().wantExit(0)

	s.workdir.wantCompleted(all...)
	s.lab.wantAgainOnlyAfterKills(slots, all...)
	tree := s.workdir.tree()
	for _, root := range roots {
		want := []string{root.ID + ".1", root.ID + ".2", root.ID + ".3"}
		if got := tree[root.ID].Children; !slices.Equal(got, want) {
			t.Errorf("%s has the children %v, want %v", root.ID, got, want)
		}
		for _, child := range want {
			if got := tree[child].Parent; got != root.ID {
				t.Errorf("%s has the parent %q", child, got)
			}
		}
	}
}
