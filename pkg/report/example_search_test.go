package report

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"

	"autoresearch/pkg/spec"
)

// grow makes a search of n experiments the way a search goes: a baseline, then each experiment changes one thing in
// one of the best so far; some fail, the last ones still run or wait.
func grow(n int, seed uint64) Search {
	random := rand.New(rand.NewPCG(seed, 1))
	s := Search{
		Run: "demo", Name: "char-lm width and depth", Objective: spec.Objective{Metric: "val_bpb"},
		Status: spec.StatusRunning, MaxConcurrency: 4,
	}
	var front []int // the best so far, best last
	value := make([]float64, n)
	width, depth := make([]int, n), make([]float64, n)
	clock := 1766000000.0
	for i := range n {
		up := -1
		width[i], depth[i], value[i] = 128, 1, 2.31
		if i > 0 {
			up = front[max(0, len(front)-1-int(math.Abs(random.NormFloat64())*1.6))]
			width[i], depth[i] = width[up]+16*random.IntN(5)-16, depth[up]*(0.8+random.Float64()*0.5)
			value[i] = 1.2 + (value[up]-1.2)*(0.97+0.12*math.Abs(random.NormFloat64()))
		}
		node := spec.HypothesisNode{NodeID: fmt.Sprintf("%03d_%s", i, words[random.IntN(len(words))]),
			Status: spec.StatusCompleted, Priority: float64(-i % 3)}
		node.Name = node.NodeID
		if up >= 0 {
			node.ParentID = s.Nodes[up].NodeID
			s.Nodes[up].Children = append(s.Nodes[up].Children, node.NodeID)
		}
		node.Spec = spec.Payload(fmt.Sprintf(`{"width": %d, "lr": %.4g, "seed": %d}`, width[i], depth[i]*1e-3, i%3))
		started, took := clock, 40+random.Float64()*30
		clock += took / 4
		node.LaunchedAt, node.Duration = &started, &took
		node.Extra = []spec.Field{{Name: "kind", Value: json.RawMessage(`"train"`)},
			{Name: "attempt", Value: json.RawMessage(`1`)}, {Name: "worker", Value: json.RawMessage(`"w1"`)}}
		switch {
		case i >= n-n/12:
			node.Status, node.LaunchedAt, node.Duration = spec.StatusQueued, nil, nil
		case i >= n-n/8:
			node.Status, node.Duration = spec.StatusNodeRuns, nil
		case i > 0 && random.IntN(9) == 0:
			node.Status = spec.StatusFailed
			node.Failure = &spec.FailureRecord{Kind: spec.JobRuntimeFailed, Phase: spec.PhaseJob,
				Message: "loss is not a number", Details: map[string]any{"cause": spec.CauseExit}}
		default:
			node.Result = fmt.Appendf(nil, `{"metrics": {"val_bpb": %.5f, "steps": %d}, "output": {}}`, value[i], 100+i)
			if len(front) == 0 || value[i] < value[front[len(front)-1]] {
				front = append(front, i)
			} else if random.IntN(4) == 0 {
				front = append([]int{i}, front...)
			}
		}
		s.Nodes = append(s.Nodes, node)
	}
	return s
}

var words = []string{"wider", "deeper", "lr_up", "lr_down", "warmup", "dropout", "cosine", "batch_x2", "rope", "tied", "clip"}

// shapes say which earlier node is the parent of node i.
var shapes = map[string]func(i int) int{
	"chain":  func(i int) int { return i - 1 },
	"star":   func(int) int { return 0 },
	"roots":  func(int) int { return -1 },
	"binary": func(i int) int { return (i - 1) / 2 },
	"spine":  func(i int) int { return max(0, (i-1)/5*5-4) },
	"random": func(i int) int { return i * 7919 % 104729 % i },
}

// reshape hangs the nodes of a search differently.
func reshape(s Search, parent func(i int) int) Search {
	for i := 1; i < len(s.Nodes); i++ {
		s.Nodes[i].ParentID = ""
		if up := parent(i); up >= 0 {
			s.Nodes[i].ParentID = s.Nodes[up].NodeID
		}
	}
	return s
}

// diverge makes some experiments of a search end far off, or without a number.
func diverge(s Search) Search {
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.Result != nil && i%17 == 5 {
			n.Result = fmt.Appendf(nil, `{"metrics": {"val_bpb": %s}}`, []string{"NaN", "1e9", "Infinity", "40.5"}[i%4])
		}
	}
	return s
}

// upsideDown makes the search a maximising one.
func upsideDown(s Search) Search {
	s.Objective.Maximize = true
	for i := range s.Nodes {
		if m := metricsOf(&s.Nodes[i]); len(m) > 0 {
			s.Nodes[i].Result = fmt.Appendf(nil, `{"metrics": {"val_bpb": %v}}`, 10-m["val_bpb"])
		}
	}
	return s
}
