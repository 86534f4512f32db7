package report

import (
	"cmp"
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"

	"autoresearch/pkg/spec"
)

// Sizes of the progress picture, in pixels.
const (
	chartWidth     = 1600
	chartWidthMost = 2400
	chartHeight    = 900
	chartHeader    = 128
	chartLeft      = 116
	chartRight     = 44
	chartFooter    = 78
	laneHeight     = 34 // the strip for experiments without a value
	chartLabels    = 40 // improvements that are labelled, at the most
	chartLabelRows = 9  // how far from its dot a label may stand
)

// chart draws progress.png: a dot for each completed experiment in order of completion, the running best as a line of
// steps, and a strip below for those that ended without a value.
type chart struct {
	*canvas
	v     *survey
	plot  area // where values are drawn
	lane  area // where failures are marked
	x, y  axis
	label labeller
	cut   bool // some values are off the scale
}

// ProgressPNG draws progress.png: each completed experiment's metric in order of completion, improvements in green with
// a label, the running best as a line, the baseline dashed, failures as red marks in a strip at the bottom.
func ProgressPNG(w io.Writer, s Search) error { return drawProgress(s).encode(w) }

func drawProgress(s Search) *canvas {
	v := look(s)
	width := min(chartWidth+max(0, float64(len(v.ended))-400)/2, chartWidthMost)
	g := &chart{canvas: newCanvas(width, chartHeight), v: v}
	g.plot = area{chartLeft, chartHeader, width - chartRight, chartHeight - chartFooter - laneHeight}
	g.lane = area{g.plot.left, g.plot.bottom, g.plot.right, g.plot.bottom + laneHeight}
	g.header()
	if notice := g.nothingToDraw(); notice != "" {
		g.text(g.plot.middle(), style{typeface(20, false), faintInk, 0.5}, notice)
		return g.canvas
	}
	g.scale()
	g.legend(point{36, 100})
	g.frame()
	g.baseline()
	g.dots()
	g.runningBest()
	g.noValue()
	g.baselineLabel()
	g.highlights()
	return g.canvas
}

// nothingToDraw says why there is no chart, "" when there is one.
func (g *chart) nothingToDraw() string {
	switch {
	case len(g.v.search.Nodes) == 0:
		return "no experiments yet"
	case g.v.search.Objective.Metric == "":
		return "no objective is declared: there is no metric to draw"
	case len(g.v.ended) == 0:
		return "no experiment has ended yet"
	}
	return ""
}

// header writes the title and a line of facts.
func (g *chart) header() {
	title := "Progress"
	if name := g.v.pictureName(); name != "" {
		title += ": " + name
	}
	g.text(point{36, 36}, style{typeface(24, true), ink, 0}, fit(typeface(24, true), title, g.width-72))
	g.text(point{36, 68}, style{typeface(15, false), faintInk, 0}, fit(typeface(15, false), g.v.factsLine(), g.width-72))
}

// pictureName is the search's name as a picture shows it.
func (v *survey) pictureName() string { return clean(cmp.Or(v.search.Name, v.search.Run)) }

// factsLine says in one line how the search stands.
func (v *survey) factsLine() string {
	line := count(len(v.search.Nodes), "experiment")
	for _, c := range v.counts() {
		line += fmt.Sprintf(", %d %s", c.n, clean(c.status))
	}
	if v.best >= 0 {
		f := v.facts[v.best]
		line += fmt.Sprintf("   ·   best %s = %s (%s)", clean(v.search.Objective.Metric), number(f.value),
			shorten(clean(v.node(v.best).NodeID), 40))
		if base, ok := v.baseline(); ok && base != v.best {
			line += ", " + versus(f.value, v.facts[base].value) + " against the baseline"
		}
	}
	return line
}

// legend explains the marks, those that occur.
func (g *chart) legend(at point) {
	lettering := style{typeface(14, false), ink, 0}
	entry := func(draw func(point), text string) {
		draw(point{at.x + 10, at.y})
		g.text(point{at.x + 28, at.y}, lettering, text)
		at.x += 28 + textWidth(lettering.face, text) + 26
	}
	entry(func(p point) { g.dot(p, 6, green) }, "improved the best")
	entry(func(p point) { g.dot(p, 4.5, paleGrey) }, "did not improve")
	entry(func(p point) { g.line(point{p.x - 12, p.y}, point{p.x + 12, p.y}, bestPen) }, "best so far")
	if _, ok := g.v.baseline(); ok {
		entry(func(p point) { g.line(point{p.x - 12, p.y}, point{p.x + 12, p.y}, baselinePen) }, "baseline")
	}
	if len(g.v.ended) > len(g.v.points) {
		entry(func(p point) { g.cross(p, 5) }, "failed")
	}
	if slices.ContainsFunc(g.v.points, func(p Point) bool { return !finite(p.Value) }) {
		entry(func(p point) { g.ring(p, 4.5) }, "completed without a finite value")
	}
	if g.cut {
		entry(func(p point) { g.arrowAt(point{p.x, p.y - 5}, 5) }, "worse than the scale shows")
	}
	if g.v.best >= 0 {
		entry(func(p point) { g.drawStar(p, 9) }, "best")
	}
}

var (
	bestPen     = pen{color: darkGreen, width: 2.2}
	baselinePen = pen{color: faintInk, width: 1.5, dashes: []float64{7, 5}}
)

func (g *chart) dot(at point, radius float64, with color.Color) {
	s := g.shape()
	s.circle(at, radius)
	s.fill(with)
}

func (g *chart) cross(at point, radius float64) {
	s := g.shape()
	s.cross(at, radius)
	s.stroke(pen{color: red, width: 2})
}

func (g *chart) ring(at point, radius float64) {
	s := g.shape()
	s.circle(at, radius)
	s.stroke(pen{color: grey, width: 1.8})
}

// scale sets the axes. Values far worse than most are left off the scale, so that one that diverged does not flatten
// all the others.
func (g *chart) scale() {
	g.x = axis{0.5, float64(len(g.v.ended)) + 0.5, g.plot.left + 10, g.plot.right - 10}
	best, worst, cut := g.v.valueRange()
	g.cut = cut
	low, high := widen(min(best, worst), max(best, worst))
	room := high - low
	good, bad := room*0.25, room*0.06 // labels stand on the good side
	if g.v.search.Objective.Maximize {
		low, high = low-bad, high+good
	} else {
		low, high = low-good, high+bad
	}
	g.y = axis{low, high, g.plot.bottom, g.plot.top}
}

// valueRange returns the best value, the worst that the chart shows, and whether there are worse ones. It shows all of
// them unless the range of all is more than three times that of the better nine tenths; then those within three times,
// and the baseline and the steps of the running best up to seven times.
func (v *survey) valueRange() (best, worst float64, cut bool) {
	ranked := v.ranked()
	if len(ranked) == 0 {
		return 0, 1, false
	}
	best, worst = v.facts[ranked[0]].value, v.facts[ranked[len(ranked)-1]].value
	usual := math.Abs(v.facts[ranked[(len(ranked)-1)*9/10]].value - best)
	if usual == 0 || !(math.Abs(worst-best) > 3*usual) {
		return best, worst, false
	}
	shown := best
	base, _ := v.baseline()
	for _, i := range ranked {
		f := &v.facts[i]
		away := math.Abs(f.value - best)
		if told := f.value == f.best || i == base; away <= 3*usual || (told && away <= 7*usual) {
			shown = f.value
		}
	}
	return best, shown, shown != worst
}

// frame draws the grid, the axes and the strip at the bottom.
func (g *chart) frame() {
	s := g.shape()
	s.polygon(point{g.lane.left, g.lane.top}, point{g.lane.right, g.lane.top}, point{g.lane.right, g.lane.bottom},
		point{g.lane.left, g.lane.bottom})
	s.fill(paleRed)
	small := typeface(14, false)
	for _, t := range ticks(g.y.low, g.y.high, 8) {
		y := g.y.at(t.value)
		g.line(point{g.plot.left, y}, point{g.plot.right, y}, pen{color: gridLine, width: 1})
		g.text(point{g.plot.left - 10, y}, style{small, faintInk, 1}, t.label)
	}
	for _, t := range countTicks(len(g.v.ended), 12) {
		x := g.x.at(t.value)
		g.line(point{x, g.lane.bottom}, point{x, g.lane.bottom + 6}, pen{color: axisLine, width: 1})
		g.text(point{x, g.lane.bottom + 18}, style{small, faintInk, 0.5}, t.label)
	}
	g.line(point{g.plot.left, g.plot.top}, point{g.plot.left, g.lane.bottom}, pen{color: axisLine, width: 1})
	g.line(point{g.plot.left, g.lane.bottom}, point{g.plot.right, g.lane.bottom}, pen{color: axisLine, width: 1})
	g.text(point{g.plot.left - 10, g.lane.middle().y}, style{small, red, 1}, "no value")
	g.axisTitles()
}

// axisTitles says what the axes count.
func (g *chart) axisTitles() {
	medium := typeface(16, false)
	g.text(point{g.plot.middle().x, g.height - 26}, style{medium, ink, 0.5},
		"experiments in order of completion (number ended)")
	o := g.v.search.Objective
	title := fit(medium, clean(o.Metric), g.plot.height()-160) + " (" + higherOrLower(o) + " is better)"
	g.rising(point{28, g.plot.middle().y}, style{medium, ink, 0.5}, title)
}

// baseline draws the first root's value across the chart.
func (g *chart) baseline() {
	base, ok := g.v.baseline()
	if !ok || !g.y.contains(g.v.facts[base].value) {
		return
	}
	y := g.y.at(g.v.facts[base].value)
	g.line(point{g.plot.left, y}, point{g.plot.right, y}, baselinePen)
}

// baselineLabel names the baseline at its right end.
func (g *chart) baselineLabel() {
	base, ok := g.v.baseline()
	if !ok || !g.y.contains(g.v.facts[base].value) {
		return
	}
	side := -10.0
	if g.v.search.Objective.Maximize {
		side = 10
	}
	at := point{g.plot.right - 6, g.y.at(g.v.facts[base].value) + side}
	g.backed(at, style{typeface(13, false), ink, 1}, "baseline "+number(g.v.facts[base].value))
}

// shown is where a point of the chart is drawn: on its scale, or at the edge when it is off it.
func (g *chart) shown(p Point) (at point, off bool) {
	at = point{g.x.at(float64(p.Order)), g.y.at(min(max(p.Value, g.y.low), g.y.high))}
	return at, !g.y.contains(p.Value)
}

// dots draws the experiments that did not improve, and arrows at the edge for values off the scale.
func (g *chart) dots() {
	radius := g.dotRadius()
	for _, p := range g.v.points {
		at, off := g.shown(p)
		switch {
		case !finite(p.Value) || p.Improved:
		case off:
			g.arrowAt(at, min(5, radius+1.5))
		default:
			g.dot(at, radius, paleGrey)
		}
	}
}

// dotRadius grows smaller the more there are.
func (g *chart) dotRadius() float64 {
	switch n := len(g.v.points); {
	case n <= 120:
		return 4.5
	case n <= 600:
		return 3.5
	case n <= 2500:
		return 2.6
	}
	return 1.8
}

// arrowAt draws an arrow that points out of the chart at the bad edge.
func (g *chart) arrowAt(at point, size float64) {
	tip := 2 * size
	if g.v.search.Objective.Maximize {
		tip = -tip
	}
	s := g.shape()
	s.polygon(point{at.x, at.y + tip*0.1}, point{at.x - size, at.y + tip}, point{at.x + size, at.y + tip})
	s.fill(grey)
}

// runningBest draws the line of steps.
func (g *chart) runningBest() {
	s := g.shape()
	begun := false
	level := 0.0
	for _, p := range g.v.points {
		if math.IsNaN(p.Best) || (begun && p.Best == level) {
			continue
		}
		x := g.x.at(float64(p.Order))
		if begun {
			s.line(point{x, g.clamped(level)})
			s.line(point{x, g.clamped(p.Best)})
		} else {
			s.move(point{x, g.clamped(p.Best)})
		}
		begun, level = true, p.Best
	}
	if begun {
		s.line(point{g.plot.right, g.clamped(level)})
	}
	s.stroke(bestPen)
}

// clamped is the height of a value, at the edge when it is off the scale.
func (g *chart) clamped(value float64) float64 { return g.y.at(min(max(value, g.y.low), g.y.high)) }

// noValue marks in the strip what ended without a value: failures, and metrics that are no finite number.
func (g *chart) noValue() {
	radius := min(5, max(2, g.dotRadius()+0.5))
	for _, i := range g.v.ended {
		f := &g.v.facts[i]
		at := point{g.x.at(float64(f.order)), g.lane.middle().y}
		switch {
		case g.v.node(i).Status == spec.StatusFailed:
			g.cross(at, radius)
		case !finite(f.value):
			g.ring(at, radius)
		}
	}
}

// highlights draws the improvements with their labels, and the star on the best.
func (g *chart) highlights() {
	g.label.bounds = area{g.plot.left + 2, g.plot.top + 2, g.plot.right, g.plot.bottom - 2}
	steps := g.v.improvements()
	radius := max(3.5, min(6.5, g.dotRadius()+2))
	for _, step := range steps {
		at, _ := g.shown(step.Point)
		g.label.take(around(at, 2*radius, 2*radius))
	}
	g.guardLine()
	g.labelSteps(steps)
	for _, step := range g.v.improvements() {
		at, _ := g.shown(step.Point)
		g.dot(at, radius+1.3, paper)
		g.dot(at, radius, green)
	}
	if g.v.best >= 0 {
		at := point{g.x.at(float64(g.v.facts[g.v.best].order)), g.clamped(g.v.facts[g.v.best].value)}
		g.drawStar(at, 12)
	}
}
