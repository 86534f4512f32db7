package restore

import (
	"encoding/json"
	"slices"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// specOf is the spec of a node that no queue lists.
func specOf(n *spec.HypothesisNode) spec.TaskSpec {
	ts := spec.TaskSpec{ID: spec.TaskID(n.NodeID), Priority: n.Priority, Payload: n.Spec, Kind: extraText(n, "kind")}
	return ts.WithDefaults()
}

// end gives a task the outcome that its node shows.
func end(t *spec.Task, n *spec.HypothesisNode) {
	t.State, t.Lease, t.NotBefore, t.Interrupted = spec.StateCompleted, nil, 0, false
	failure := n.Failure
	if n.Status == spec.StatusFailed {
		t.State = spec.StateFailed
		if failure == nil {
			failure = &spec.FailureRecord{Kind: spec.JobFailed, Phase: spec.PhaseJob, Message: "why was lost with the journal"}
		}
		t.Cancelled = failure.Cause() == spec.CauseCancelled
	}
	t.Outcome = &spec.Outcome{Attempt: t.Attempt, Failure: failure, Body: bodyOf(t, n)}
	t.Closed, t.Ended = t.Attempt, wall(extraNumber(n, "ended_at"))
	t.Children = nil
	for _, id := range n.Children {
		t.Children = append(t.Children, spec.TaskID(id))
	}
}

// bodyOf is the result of a node in the form of a worker's; nil where it cannot be that.
func bodyOf(t *spec.Task, n *spec.HypothesisNode) []byte {
	r := spec.TaskResult{
		Failure: n.Failure, Attempt: t.Attempt, Worker: spec.WorkerID(extraText(n, "worker")), Host: extraText(n, "host"),
	}
	if n.LaunchedAt != nil {
		r.Started = wall(*n.LaunchedAt).Time()
	}
	if n.Duration != nil {
		r.Duration = time.Duration(*n.Duration * float64(time.Second))
	}
	if len(n.Result) > 0 {
		r.Metrics, r.Output = metricsAndOutput(n.Result)
	}
	body, err := bus.EncodeResult(r)
	if err != nil {
		return nil
	}
	return body
}

// metricsAndOutput reads {"metrics": {...}, "output": {...}}; what is not of that form is left out.
func metricsAndOutput(result json.RawMessage) (metrics map[string]float64, output json.RawMessage) {
	fields, err := spec.DecodeFields(result)
	if err != nil {
		return nil, nil
	}
	for _, f := range fields {
		switch f.Name {
		case "output":
			output = f.Value
		case "metrics":
			numbers, err := spec.DecodeFields(f.Value)
			if err != nil {
				continue
			}
			metrics = make(map[string]float64, len(numbers))
			for _, n := range numbers {
				if value, ok := numberOf(n.Value); ok {
					metrics[n.Name] = value
				}
			}
		}
	}
	return metrics, output
}

// extra returns a key of a node that the engine adds to the original's; nil when it is not there.
func extra(n *spec.HypothesisNode, name string) json.RawMessage {
	if i := slices.IndexFunc(n.Extra, func(f spec.Field) bool { return f.Name == name }); i >= 0 {
		return n.Extra[i].Value
	}
	return nil
}

func extraText(n *spec.HypothesisNode, name string) string {
	value, err := spec.DecodeValue(extra(n, name))
	text, ok := value.(string)
	if err != nil || !ok {
		return ""
	}
	return text
}

func extraNumber(n *spec.HypothesisNode, name string) float64 {
	number, _ := numberOf(extra(n, name)) // 0 when there is none
	return number
}

// numberOf returns a JSON number, those that the original writes as NaN and Infinity too.
func numberOf(value json.RawMessage) (float64, bool) {
	decoded, err := spec.DecodeValue(value)
	if err != nil {
		return 0, false
	}
	switch n := decoded.(type) {
	case float64:
		return n, true
	case json.Number:
		f, err := n.Float64()
		return f, err == nil
	}
	return 0, false
}

// wall is a time in Unix seconds.
func wall(seconds float64) spec.WallTime { return spec.WallTime(seconds * 1e9) }
