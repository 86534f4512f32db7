// Command judge says whether a finished search of charlm found something better: it trains the baseline and the best
// experiment of each workdir once more and scores both on the test split, which no search ever sees. Exit status 1 means
// that a best one is not at least 10 % better than its baseline.
//
//	go run ./examples/charlm/judge runs/demo runs/another
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"

	"autoresearch/pkg/report"
	"autoresearch/pkg/spec"
)

// margin is the improvement on the test split that a search must reach.
const margin = 0.10

func main() {
	passed := true
	for _, workdir := range os.Args[1:] {
		better, err := judge(context.Background(), workdir)
		if err != nil {
			fmt.Fprintln(os.Stderr, "judge:", err)
			os.Exit(1)
		}
		passed = passed && better >= margin
	}
	if !passed {
		os.Exit(1)
	}
}

// judge returns by which share the best experiment's test_bpb is lower than the baseline's.
func judge(ctx context.Context, workdir string) (better float64, err error) {
	search, err := report.Load(workdir)
	if err != nil {
		return 0, err
	}
	best, _, ok := report.Best(search)
	if !ok {
		return 0, fmt.Errorf("%s holds no finished experiment; run the search first", workdir)
	}
	baseline, err := score(ctx, search.Nodes[0].Spec)
	if err != nil {
		return 0, err
	}
	found, err := score(ctx, best.Spec)
	if err != nil {
		return 0, err
	}
	better = 1 - found/baseline
	fmt.Printf("%s: test_bpb %.4f of %s, %.4f of %s: %.1f %% lower\n",
		workdir, baseline, search.Nodes[0].NodeID, found, best.NodeID, 100*better)
	return better, nil
}

var testBits = regexp.MustCompile(`test_bpb=([0-9.]+)`)

// score trains a payload once more and returns its bits per byte on the test split.
func score(ctx context.Context, payload spec.Payload) (float64, error) {
	command := exec.CommandContext(ctx, "examples/charlm/charlm", "--eval-test", "--payload", string(payload.Strict()))
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return 0, fmt.Errorf("train %s: %w", payload, err)
	}
	found := testBits.FindSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("train %s: no test_bpb in its output", payload)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}
