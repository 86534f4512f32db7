package workflow

import (
	"fmt"
	"math"
	"reflect"
	"testing"

	"autoresearch/pkg/spec"
)

// mustParse reads a file of these lines; it must be valid.
func mustParse(t testing.TB, text string, overrides ...string) *File {
	t.Helper()
	f, err := Parse("search.yaml", []byte(text), overrides)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return f
}

// run is a run without an engine: experiments are functions, one slot, the queue in the order of its priorities.
type run struct {
	t       testing.TB
	command *Command
	queue   []spec.TaskSpec
	done    []spec.TaskSpec
	results map[spec.TaskID]spec.TaskResult
	tasks   []*spec.Task
}

func newRun(t testing.TB, f *File) *run {
	t.Helper()
	r := &run{t: t, command: NewCommand(f, ""), results: map[spec.TaskID]spec.TaskResult{}}
	first, err := r.command.Load(t.Context())
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	r.submit(first, "")
	return r
}

func (r *run) submit(specs []spec.TaskSpec, parent spec.TaskID) {
	r.t.Helper()
	for _, s := range specs {
		if err := s.Validate(); err != nil {
			r.t.Fatalf("invalid proposal: %v", err)
		}
		for _, task := range r.tasks {
			if task.Spec.ID == s.ID {
				r.t.Fatalf("%s was submitted before", s.ID)
			}
		}
		if s.Parent != "" {
			parent = s.Parent
		}
		r.queue = append(r.queue, s)
		r.tasks = append(r.tasks, &spec.Task{
			Spec: s, Parent: parent, State: spec.StateQueued, Seq: uint64(len(r.tasks) + 1),
		})
	}
}

// take removes the most urgent spec of the queue, the first in among equals.
func (r *run) take() spec.TaskSpec {
	urgent := 0
	for i := range r.queue {
		if r.queue[i].Priority < r.queue[urgent].Priority {
			urgent = i
		}
	}
	task := r.queue[urgent]
	r.queue = append(r.queue[:urgent:urgent], r.queue[urgent+1:]...)
	return task
}

// finish reports a result and submits what follows.
func (r *run) finish(task spec.TaskSpec, result spec.TaskResult) []spec.TaskSpec {
	r.t.Helper()
	next, err := r.command.OnResult(r.t.Context(), task, result)
	if err != nil {
		r.t.Fatalf("OnResult(%s): %v", task.ID, err)
	}
	r.done = append(r.done, task)
	r.results[task.ID] = result
	for _, known := range r.tasks {
		if known.Spec.ID == task.ID {
			known.State, known.Outcome = spec.StateCompleted, &spec.Outcome{Order: uint64(len(r.done)), Failure: result.Failure}
			if result.Failure != nil {
				known.State = spec.StateFailed
			}
		}
	}
	r.submit(next, task.ID)
	return next
}

// finishTwice is finish, and checks that a workflow restored while the result was still to be passed to it answers the
// same.
func (r *run) finishTwice(task spec.TaskSpec, result spec.TaskResult) []spec.TaskSpec {
	r.t.Helper()
	for _, known := range r.tasks {
		if known.Spec.ID == task.ID {
			known.State, known.Outcome = spec.StateReported, &spec.Outcome{Order: 1 << 40, Failure: result.Failure}
		}
	}
	r.results[task.ID] = result
	answer, err := r.restored().OnResult(r.t.Context(), task, result)
	next := r.finish(task, result)
	if err != nil || !reflect.DeepEqual(answer, next) {
		r.t.Fatalf("restored before %s: %+v, %v; else %+v", task.ID, answer, err, next)
	}
	return next
}

// restored returns a new command that knows what the run's own does.
func (r *run) restored() *Command {
	r.t.Helper()
	again := NewCommand(r.command.file, "")
	if err := again.Restore(r.t.Context(), r.tasks, r.results); err != nil {
		r.t.Fatalf("Restore: %v", err)
	}
	return again
}

func measured(name string, value float64) spec.TaskResult {
	return spec.TaskResult{Metrics: map[string]float64{name: value}, Attempt: 1}
}

func failed() spec.TaskResult {
	return spec.TaskResult{Failure: &spec.FailureRecord{Kind: spec.JobRuntimeFailed, Phase: spec.PhaseJob, Message: "exit 1"}}
}

// floats decodes numbers of a payload.
func floats(t testing.TB, payload spec.Payload, names ...string) []float64 {
	t.Helper()
	values, err := payload.Decode()
	if err != nil {
		t.Fatalf("payload %s: %v", payload, err)
	}
	numbers := make([]float64, len(names))
	for i, name := range names {
		if numbers[i], err = number(values[name]); err != nil {
			t.Fatalf("payload %s: %s: %v", payload, name, err)
		}
	}
	return numbers
}

const bowl = `
objective: {metric: loss, direction: minimize}
max_concurrency: 4
kinds: {experiment: {command: [./train]}}
space:
  lr: {log_float: [0.0001, 1]}
  layers: {int: [1, 12]}
  dropout: {float: [0, 0.5]}
  width: {choice: [16, 32, 64, 128, 256]}
proposer: {ahead: 4}
stop: {max_experiments: 80}
`

// bowlLoss is lowest, 0, at lr 0.01, layers 7, dropout 0.1, width 64.
func bowlLoss(t testing.TB, payload spec.Payload) float64 {
	x := floats(t, payload, "lr", "layers", "dropout", "width")
	square := func(x float64) float64 { return x * x }
	return square(math.Log10(x[0])+2) + square((x[1]-7)/4) + square((x[2]-0.1)*5) + square(math.Log2(x[3])-6)/2
}

// TestMutateBeatsRandom searches a bowl with both strategies and many seeds.
func TestMutateBeatsRandom(t *testing.T) {
	t.Parallel()
	const seeds = 20
	wins := 0
	var sums [2]float64
	for seed := range seeds {
		var best [2]float64
		for i, strategy := range []string{StrategyMutate, StrategyRandom} {
			f := mustParse(t, bowl, "proposer.strategy="+strategy, fmt.Sprintf("proposer.seed=%d", seed))
			r := newRun(t, f)
			best[i] = math.Inf(1)
			for len(r.queue) > 0 {
				task := r.take()
				loss := bowlLoss(t, task.Payload)
				best[i] = min(best[i], loss)
				r.finish(task, measured("loss", loss))
			}
			if len(r.done) != 80 {
				t.Fatalf("%s ran %d experiments, want 80", strategy, len(r.done))
			}
			sums[i] += best[i]
		}
		if best[0] < best[1] {
			wins++
		}
	}
	t.Logf("mutate won %d of %d; mean best %.4f against %.4f", wins, seeds, sums[0]/seeds, sums[1]/seeds)
	if wins < seeds*3/4 || sums[0] > sums[1]/2 {
		t.Errorf("mutate won %d of %d; mean best %.4f against %.4f", wins, seeds, sums[0]/seeds, sums[1]/seeds)
	}
}
