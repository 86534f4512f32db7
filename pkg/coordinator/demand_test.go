package coordinator

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// planned is a workflow of two kinds in two classes, one of them a proposer's, with its first tasks.
type planned struct {
	*tree
	first []spec.TaskSpec
}

func (p planned) Load(context.Context) ([]spec.TaskSpec, error) { return p.first, nil }

func (planned) Policies() (map[string]spec.KindPolicy, bool) {
	return map[string]spec.KindPolicy{
		"train": {Class: "gpu"}, "think": {Class: "llm", Uncounted: true}, "idle": {Class: "gpu"},
	}, false
}

func (planned) Limits() spec.Limits { return spec.Limits{MaxExperiments: 4, MaxDuration: time.Hour} }

// TestMetricsOfDemand: what waits is said by kind and class, and workers are wanted for it within the budget.
func TestMetricsOfDemand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var first []spec.TaskSpec
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		first = append(first, spec.TaskSpec{ID: spec.TaskID(id), Kind: "train"})
	}
	first = append(first, spec.TaskSpec{ID: "t", Kind: "think"}, spec.TaskSpec{ID: "x", Kind: "unheard of"})
	registry := prometheus.NewPedanticRegistry()
	s := w.coordinate(planned{tree: newTree(0, 0), first: first}, func(o *Options) { o.MaxConcurrency, o.Registerer = 5, registry })
	eventually(t, "the tasks are there", func() bool {
		v, err := s.View()
		return err == nil && v.Size() == len(first) && v.Meta().Loaded
	})
	want := map[string]float64{
		"autoresearch_kind_tasks cpu " + spec.KindDefault + " leased":  0,
		"autoresearch_kind_tasks cpu " + spec.KindDefault + " waiting": 1,
		"autoresearch_kind_tasks gpu idle leased":                      0,
		"autoresearch_kind_tasks gpu idle waiting":                     0,
		"autoresearch_kind_tasks gpu train leased":                     0,
		"autoresearch_kind_tasks gpu train waiting":                    7,
		"autoresearch_kind_tasks llm think leased":                     0,
		"autoresearch_kind_tasks llm think waiting":                    1,
		"autoresearch_run_active":                                      1,
		"autoresearch_workers_wanted cpu":                              1,
		"autoresearch_workers_wanted gpu":                              5,
		"autoresearch_workers_wanted llm":                              1,
	}
	if got := gauges(t, registry, "autoresearch_kind_tasks", "autoresearch_run_active", "autoresearch_workers_wanted"); !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	used := gauges(t, registry, "autoresearch_budget_used_ratio")
	if part := used["autoresearch_budget_used_ratio duration"]; len(used) != 2 || part <= 0 || part > 0.1 {
		t.Errorf("of the budgets is used: %v", used)
	}
	term, err := s.term()
	if err != nil {
		t.Fatal(err)
	}
	slots := []spec.ClassSlots{{Class: "gpu", Total: 2}}
	term.roster.hear(&bus.Uplink{Worker: "w", Boot: 1, Full: true, Slots: slots}, time.Now())
	if d := term.demands(time.Now())["gpu"]; d.workers() != 3 || d.slots != 2 {
		t.Errorf("with workers of two slots: %d of them for %+v", d.workers(), d)
	}
	if err := s.Pause(t.Context(), "", true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a run that is paused wants nobody", func() bool { return term.demands(time.Now())["gpu"].workers() == 0 })
}

// TestNobodyIsWantedForParkedTasks: what an allowance does not let begin needs no worker.
func TestNobodyIsWantedForParkedTasks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	limited := task("limited")
	limited.Extra = []spec.Field{{Name: spec.KeyAllowance, Value: json.RawMessage(`{"max_experiments": 1}`)}}
	wf := newTree(0, 0)
	release := make(chan struct{})
	w.work(2, func(_ context.Context, a spec.Attempt) (spec.TaskResult, error) {
		if a.Task.ID == "limited" {
			return spec.TaskResult{Children: []spec.TaskSpec{task("below1"), task("below2")}}, nil
		}
		<-release
		return spec.TaskResult{}, nil
	})
	s := w.coordinate(planned{tree: wf, first: []spec.TaskSpec{limited, task("other")}}, func(o *Options) { o.MaxConcurrency = 5 })
	eventually(t, "the children are parked", func() bool {
		term, err := s.term()
		return err == nil && term.ledger.parked()[spec.ClassDefault] == 2
	})
	term, err := s.term()
	if err != nil {
		t.Fatal(err)
	}
	if d := term.demands(time.Now())[spec.ClassDefault]; d.wanted != 1 {
		t.Errorf("%d slots are wanted beside two parked tasks, want that of the other one", d.wanted)
	}
	close(release)
	s.wait(t)
}

// gauges returns the values of some gauges by name and label values.
func gauges(t *testing.T, g prometheus.Gatherer, names ...string) map[string]float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := f.GetName()
			for _, label := range m.GetLabel() {
				key += " " + label.GetValue()
			}
			if slices.Contains(names, f.GetName()) {
				values[key] = m.GetGauge().GetValue()
			}
		}
	}
	return values
}

// TestClaimWatch measures from the first dispatch of an attempt to its claim, and forgets what ended otherwise.
func TestClaimWatch(t *testing.T) {
	t.Parallel()
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "seconds", Buckets: []float64{1, 10}})
	w := newClaimWatch(histogram)
	at := func(second int, id string, attempt uint32, state spec.TaskState) {
		task := &spec.Task{Spec: spec.TaskSpec{ID: spec.TaskID(id)}, Attempt: attempt, State: state}
		w.follow(&committed{wall: spec.WallTime(second) * spec.WallTime(time.Second), changed: []*spec.Task{task}})
	}
	at(1, "a", 1, spec.StateDispatched)
	at(5, "a", 1, spec.StateDispatched) // published again
	at(6, "a", 1, spec.StateRunning)
	at(7, "b", 1, spec.StateDispatched)
	at(8, "b", 1, spec.StateQueued) // the lease lapsed
	at(9, "b", 2, spec.StateDispatched)
	at(9, "b", 2, spec.StateRunning)
	at(9, "c", 1, spec.StateRunning) // as a new leader meets it
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(histogram)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if h := families[0].GetMetric()[0].GetHistogram(); h.GetSampleCount() != 2 || h.GetSampleSum() != 5 {
		t.Errorf("it measured %v", h)
	}
	if len(w.since) > 0 {
		t.Errorf("it remembers %v", w.since)
	}
}
