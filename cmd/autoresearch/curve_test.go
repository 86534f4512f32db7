package main

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"autoresearch/pkg/api"
)

func TestCurve(t *testing.T) {
	t.Parallel()
	nan := api.Number(math.NaN())
	for want, points := range map[string][][2]api.Number{
		"▁█":   {{1, 0}, {2, 1}},
		"█▄▁":  {{1, 8}, {2, 4.4}, {3, 1}},
		"▁▁":   {{1, 5}, {2, 5}},
		"▁ █":  {{1, -1}, {2, nan}, {3, 1}},
		"▁▅█":  {{1, -math.MaxFloat64}, {2, 0}, {3, math.MaxFloat64}},
		"    ": {{1, nan}, {2, nan}, {3, api.Number(math.Inf(1))}, {4, nan}},
	} {
		if got := curve(points); got != want {
			t.Errorf("%v: %q, want %q", points, got, want)
		}
	}
}

func TestSeriesSaysWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	writeSeries(&b, &api.SeriesList{Note: "gone", Series: []api.Series{
		{Metric: "loss\x1b[2J", Seen: 900, Points: [][2]api.Number{{1, 3}, {900, 1.5}}}, {Metric: "once", Seen: 1, Points: [][2]api.Number{{1, 1}}},
	}})
	got := b.String()
	if !strings.Contains(got, "█▁  3 to 1.5, steps 1 to 900 (900 points, 2 kept)") || !strings.Contains(got, "gone") {
		t.Errorf("%s", got)
	}
	if strings.Contains(got, "once") || strings.Contains(got, "\x1b") {
		t.Errorf("%q", got)
	}
}
