package api

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// BenchmarkMillion asks a run with a million queued tasks: each kind of reading alone, and changes while lists are read.
// Run it with -benchtime 20x.
func BenchmarkMillion(b *testing.B) {
	const tasks, chunk = 1_000_000, 2000
	n := newWorld(b).coordinate(task("first"))
	n.leads(b)
	for i := 0; i < tasks; i += chunk {
		specs := make([]spec.TaskSpec, chunk)
		for j := range specs {
			specs[j] = spec.TaskSpec{
				ID: spec.TaskID(fmt.Sprint("t", i+j)), Kind: spec.KindDefault, Priority: float64((i + j) * 7919 % 1000),
				Payload: spec.Payload(`{"lr": 0.001, "layers": 12, "note": "some text of usual length"}`),
			}
		}
		if _, err := n.Steer(b.Context(), engine.Submit{Specs: specs}); err != nil {
			b.Fatal(err)
		}
	}
	get := func(path string) {
		answer, err := http.Get(n.http.URL + Prefix + path)
		if err != nil {
			b.Fatal(err)
		}
		if answer.StatusCode != http.StatusOK {
			b.Fatal(answer.Status)
		}
		_ = answer.Body.Close()
	}
	for name, path := range map[string]string{
		"run": "/runs/test", "list": "/runs/test/tasks", "queue": "/runs/test/tasks?sort=queue", "last": "/runs/test/tasks?sort=-seq",
		"text": "/runs/test/tasks?text=none", "none": "/runs/test/tasks?status=failed", "show": "/runs/test/tasks/t500000",
		"tree": "/runs/test/tree?limit=10000", "events": "/runs/test/events",
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				get(path)
			}
		})
	}
	b.Run("change", func(b *testing.B) {
		var stop atomic.Bool
		reading := make(chan struct{})
		go func() {
			defer close(reading)
			for !stop.Load() {
				get("/runs/test/tasks?sort=queue")
			}
		}()
		worst := time.Duration(0)
		for i := 0; b.Loop(); i++ {
			began := time.Now()
			ev := engine.Reprioritise{Task: spec.TaskID(fmt.Sprint("t", i)), Priority: -1, Asked: engine.Asked{By: "bench"}}
			if _, err := n.Steer(b.Context(), ev); err != nil {
				b.Fatal(err)
			}
			worst = max(worst, time.Since(began))
		}
		b.ReportMetric(float64(worst.Milliseconds()), "worst-ms")
		stop.Store(true)
		<-reading
	})
}
