package worker

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

func TestSeriesOfLines(t *testing.T) {
	t.Parallel()
	var n news
	for _, line := range []string{
		"[autoresearch] loss=3 step=10 acc=0.1", "[autoresearch] step=20, loss=2", "no progress loss=9", "[autoresearch] loss=1", "[autoresearch] step=nan loss=0",
	} {
		n.noteLine([]byte(line))
	}
	want := []spec.Series{
		{Name: "loss", Seen: 4, Points: []spec.Point{{Step: 10, Value: 3}, {Step: 20, Value: 2}, {Step: 3, Value: 1}, {Step: 4, Value: 0}}},
		{Name: "acc", Seen: 1, Points: []spec.Point{{Step: 10, Value: 0.1}}},
	}
	if got := n.series(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nnot %+v", got, want)
	}
}

// TestSeriesIsBounded: of any number of points a bounded number is kept, evenly, with the first and the last.
func TestSeriesIsBounded(t *testing.T) {
	t.Parallel()
	for _, many := range []int{1, 2, spec.SeriesPointsMax - 1, spec.SeriesPointsMax, spec.SeriesPointsMax + 1, 3000, 100_000} {
		var c curves
		for i := range many {
			c.take([]reading{{"loss", float64(i)}, {"step", float64(i)}})
		}
		s := c.all()[0]
		points := s.Points
		if s.Seen != many || len(points) > spec.SeriesPointsMax || len(points) < min(many, spec.SeriesPointsMax/2-1) {
			t.Errorf("%d points: %d seen, %d kept", many, s.Seen, len(points))
		}
		if points[0].Step != 0 || points[len(points)-1].Step != float64(many-1) {
			t.Errorf("%d points: from %v to %v", many, points[0], points[len(points)-1])
		}
		for i := 2; i < len(points)-1; i++ {
			if points[i].Step-points[i-1].Step != points[1].Step {
				t.Fatalf("%d points: uneven at %v", many, points[i])
			}
		}
	}
	var c curves
	for i := range spec.SeriesMax + 5 {
		c.take([]reading{{fmt.Sprint("m", i), 1}})
	}
	if got := len(c.all()); got != spec.SeriesMax {
		t.Errorf("%d series", got)
	}
}

// TestSeriesTravel: few points stand in the result, of many a selection; the rest lies in the output store.
func TestSeriesTravel(t *testing.T) {
	t.Parallel()
	b := startBench(t, runners(map[string]spec.RunnerFunc{
		"train": func(_ context.Context, a spec.Attempt) (spec.TaskResult, error) {
			points := 5
			if a.Task.ID == "long" || a.Task.ID == "away" {
				points = 400
			}
			for i := range points {
				a.Progress("", map[string]float64{"step": float64(i), "loss": float64(-i), "acc": 1})
			}
			return spec.TaskResult{}, nil
		},
	}))
	b.give(dispatch("short"))
	if _, r := b.report("short", 1); len(r.Series) != 2 || len(r.Series[1].Points) != 5 || !r.SeriesStored.IsZero() {
		t.Errorf("few points: %+v", r)
	}
	b.give(dispatch("long"))
	_, r := b.report("long", 1)
	if len(r.Series) != 2 || r.Series[1].Seen != 400 || spec.PointCount(r.Series) > inlinePoints {
		t.Errorf("many points: %+v", r.Series)
	}
	b.mu.Lock()
	all, err := bus.DecodeSeries(b.kept[r.SeriesStored.Digest])
	b.mu.Unlock()
	if err != nil || len(all) != 2 || len(all[1].Points) != 400 || all[1].Points[399] != (spec.Point{Step: 399, Value: -399}) {
		t.Errorf("stored: %v, %+v", err, all)
	}
	b.change(func() { b.keepErr = bus.ErrMissing })
	b.give(dispatch("away"))
	if _, r := b.report("away", 1); !r.SeriesStored.IsZero() || len(r.Series) != 2 || r.Failure != nil {
		t.Errorf("without an output store: %+v", r)
	}
}
