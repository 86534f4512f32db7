package coordinator

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
)

// scoredTree is a tree whose tasks have an objective.
type scoredTree struct{ *tree }

func (scoredTree) Objective() spec.Objective { return spec.Objective{Metric: "loss"} }

// Metrics that are no number, or infinite, are kept as they are and are never the best.
func TestNaNIsKeptAndNeverTheBest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	values := map[spec.TaskID]float64{"r": math.NaN(), "r0": math.Inf(-1), "r1": 7, "r2": math.Inf(1), "r3": math.NaN()}
	wf, dir := scoredTree{newTree(4, 1)}, t.TempDir()
	w.work(1, func(ctx context.Context, a spec.Attempt) (spec.TaskResult, error) {
		r, err := wf.grow(ctx, a)
		r.Metrics["loss"] = values[a.Task.ID]
		return r, err
	})
	end := w.coordinate(wf, func(o *Options) { o.Workdir = dir }).wait(t)
	if best := end.status.Best; end.err != nil || best == nil || best.Task != "r1" || best.Value != 7 {
		t.Fatalf("ended with %+v, best %+v, %v", end.status, end.status.Best, end.err)
	}
	for file, wants := range map[string][]string{
		filepath.Join(snapshot.EngineDir, treeFile): {`"loss": NaN`, `"loss": -Infinity`, `"loss": Infinity`, `"loss": 7.0`},
		"master_table.tsv":                          {"NaN", "-Infinity", "\tInfinity", "7"},
	} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s lacks %q:\n%s", file, want, text)
			}
		}
	}
}
