package api

import (
	"context"
	"math"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// TestSeries: what an experiment's progress told is served as it went; of many points all that are kept.
func TestSeries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.coordinate(task("few"), task("many"), task("none"))
	n.leads(t)
	c, ctx := n.client(t), t.Context()
	if got := must(c.Series(ctx, "test", "few"))(t); len(got.Series) != 0 || got.Attempt != 0 {
		t.Errorf("before it ran: %+v", got)
	}
	w.work(map[string]int{"cpu": 1}, func(_ context.Context, a spec.Attempt) (spec.TaskResult, error) {
		points := map[spec.TaskID]int{"few": 3, "many": 1000}[a.Task.ID]
		for i := range points {
			value := float64(i)
			if i == 1 {
				value = math.NaN()
			}
			a.Progress("", map[string]float64{"step": float64(i + 1), "loss": value})
		}
		return spec.TaskResult{Metrics: map[string]float64{"loss": 1}}, nil
	})
	eventually(t, "all have run", func() bool {
		return len(must(c.Tasks(ctx, "test", TaskQuery{Status: []string{"completed"}}))(t).Tasks) == 3
	})
	got := must(c.Series(ctx, "test", "few"))(t)
	if got.Attempt != 1 || len(got.Series) != 1 || got.Series[0].Metric != "loss" || len(got.Series[0].Points) != 3 ||
		got.Series[0].Points[2] != [2]Number{3, 2} || !math.IsNaN(float64(got.Series[0].Points[1][1])) {
		t.Errorf("few: %+v", got)
	}
	got = must(c.Series(ctx, "test", "many"))(t)
	if got.Note != "" || len(got.Series) != 1 || got.Series[0].Seen != 1000 || len(got.Series[0].Points) < 250 {
		t.Errorf("many: %+v", got)
	}
	if got := must(c.Series(ctx, "test", "none"))(t); len(got.Series) != 0 || got.Attempt != 1 {
		t.Errorf("none: %+v", got)
	}
	_, err := c.Series(ctx, "test", "nobody")
	wantCode(t, err, CodeUnknownTask)
	js := must(jetstream.New(w.conns[0].NATS()))(t)
	if err := js.DeleteStream(ctx, bus.ObjectStream(bus.OutputBucket("test"))); err != nil {
		t.Fatal(err)
	}
	got = must(c.Series(ctx, "test", "many"))(t)
	if got.Note == "" || len(got.Series) != 1 || len(got.Series[0].Points) < 100 {
		t.Errorf("without the output store: %+v", got)
	}
}
