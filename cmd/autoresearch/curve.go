package main

import (
	"bytes"
	"fmt"
	"math"

	"autoresearch/pkg/api"
)

// curveWidth is how many columns a curve takes.
const curveWidth = 40

var curveLevels = []rune("▁▂▃▄▅▆▇█")

// writeSeries shows each metric as a line of blocks, from its least value to its greatest.
func writeSeries(w *bytes.Buffer, list *api.SeriesList) {
	for i := range list.Series {
		s := &list.Series[i]
		if len(s.Points) < 2 {
			continue // what there is stands among the metrics
		}
		first, last := s.Points[0], s.Points[len(s.Points)-1]
		of := ""
		if len(s.Points) < s.Seen {
			of = fmt.Sprintf(", %d kept", len(s.Points))
		}
		fmt.Fprintf(w, "%-10s %s %s  %.6g to %.6g, steps %.6g to %.6g (%d points%s)\n", "series", harmless(s.Metric, nameMax),
			curve(s.Points), float64(first[1]), float64(last[1]), float64(first[0]), float64(last[0]), s.Seen, of)
	}
	if list.Note != "" {
		fmt.Fprintf(w, "%-10s %s\n", "series", harmless(list.Note, 300))
	}
}

// curve draws values; what is no finite number is a gap.
func curve(points [][2]api.Number) string {
	columns := min(curveWidth, len(points))
	values := make([]float64, columns)
	low, high := math.Inf(1), math.Inf(-1)
	for i := range values {
		v := float64(points[i*(len(points)-1)/max(1, columns-1)][1])
		values[i] = v
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			low, high = min(low, v), max(high, v)
		}
	}
	line := make([]rune, columns)
	for i, v := range values {
		line[i] = level(v, low, high)
	}
	return string(line)
}

func level(v, low, high float64) rune {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return ' '
	case high <= low:
		return curveLevels[0]
	}
	// Halves, so that the range may be wider than a float64 holds.
	share := (v/2 - low/2) / (high/2 - low/2)
	return curveLevels[min(len(curveLevels)-1, int(share*float64(len(curveLevels))))]
}
