package report

import (
	"cmp"
	"math"
	"slices"
)

// The labels of the improvements stand on the good side of the running best, where the chart is empty.

// guardLine keeps labels off the line of the running best.
func (g *chart) guardLine() {
	for i, p := range g.v.points {
		if math.IsNaN(p.Best) {
			continue
		}
		right, y := g.plot.right, g.clamped(p.Best)
		if i+1 < len(g.v.points) {
			right = g.x.at(float64(g.v.points[i+1].Order))
		}
		g.label.take(area{g.x.at(float64(p.Order)), y - 2, right, y + 2})
	}
}

// stepLabel is the label of an improvement at a place: from and to are the ends of the line that leads there.
type stepLabel struct {
	of       Point
	text     string
	at       point
	look     style
	from, to point
	row      int // how far away it stands
}

// labelSteps labels the best and the improvements with the largest gains. They are placed from left to right: each
// label reaches to the left, under the ones before it, so that none stands in the way of another's lead. Should the
// best find no room that way, it is placed first.
func (g *chart) labelSteps(steps []Improvement) {
	slices.SortStableFunc(steps, func(a, b Improvement) int { return cmp.Compare(b.Gain, a.Gain) })
	var chosen []Point
	for _, step := range steps[:min(len(steps), chartLabels)] {
		chosen = append(chosen, step.Point)
	}
	best := slices.IndexFunc(g.v.points, func(p Point) bool { return g.isBest(p) })
	if best >= 0 && !slices.ContainsFunc(chosen, g.isBest) {
		chosen = append(chosen, g.v.points[best])
	}
	slices.SortFunc(chosen, func(a, b Point) int { return a.Order - b.Order })
	before := g.label.copied()
	placed := g.placeSteps(chosen)
	if best >= 0 && !slices.ContainsFunc(placed, func(l stepLabel) bool { return g.isBest(l.of) }) {
		g.label = before
		placed = g.placeSteps(append([]Point{g.v.points[best]}, chosen...))
	}
	for _, l := range placed {
		g.line(l.from, l.to, pen{color: edgeLine, width: 1})
	}
	for _, l := range placed {
		g.backed(l.at, l.look, l.text)
	}
}

func (g *chart) isBest(p Point) bool { return g.v.best >= 0 && p.Node == g.v.node(g.v.best) }

// placeSteps finds places for labels, each at most once, and returns those that found one.
func (g *chart) placeSteps(points []Point) []stepLabel {
	var placed []stepLabel
	done := map[int]bool{}
	for _, p := range points {
		if l, ok := g.placeStep(p); ok && !done[p.Order] {
			done[p.Order] = true
			placed = append(placed, l)
		}
	}
	return placed
}

// placeStep finds a place for an improvement's id and value on the good side of its dot, where there is nothing but
// other labels: near the dot if there is room, else further away. Where there are few labels, the lead may pass behind
// another when nothing else is left.
func (g *chart) placeStep(p Point) (stepLabel, bool) {
	wishes := g.wishesFor(p)
	for _, l := range wishes {
		if g.label.free(l.area()) && (l.row == 0 || g.label.free(l.lead())) {
			return g.taken(l), true
		}
	}
	if len(g.v.improvements()) > chartLabels/2 {
		return stepLabel{}, false
	}
	for _, l := range wishes {
		if g.label.free(l.area()) {
			return g.taken(l), true
		}
	}
	return stepLabel{}, false
}

// taken marks what a label covers.
func (g *chart) taken(l stepLabel) stepLabel {
	g.label.take(l.area())
	g.label.take(l.lead())
	return l
}

// wishesFor lists where the label of an improvement may stand, the better places first; none for one off the scale.
func (g *chart) wishesFor(p Point) []stepLabel {
	dot, off := g.shown(p)
	if off {
		return nil
	}
	side := 1.0
	if g.v.search.Objective.Maximize {
		side = -1
	}
	text, face := shorten(clean(p.Node.NodeID), 26)+"  "+number(p.Value), typeface(13, g.isBest(p))
	var wishes []stepLabel
	for row := range chartLabelRows {
		y := dot.y + side*(22+17*float64(row))
		for _, anchor := range []float64{1, 0, 0.5} {
			wishes = append(wishes, stepLabel{of: p, text: text, look: style{face, darkGreen, anchor}, row: row,
				at: point{dot.x + (anchor-0.5)*8, y}, from: dot, to: point{dot.x, y - side*8}})
		}
	}
	return wishes
}

func (l stepLabel) area() area { return textArea(l.at, l.look, l.text) }

// lead is what the line to the label covers, beyond the dot.
func (l stepLabel) lead() area {
	return area{l.from.x - 1, min(l.from.y, l.at.y) + 9, l.from.x + 1, max(l.from.y, l.at.y) - 9}
}
