package report

import (
	"fmt"
	"slices"
)

// Sizes of the tree picture, in pixels.
const (
	treeWidthLeast  = 1400
	treeHeightLeast = 520
	treeHeader      = 150
	treeMargin      = 44
)

// The letters of the tree.
var (
	boxTitle = typeface(14, true)
	boxState = typeface(13, false)
	pillText = typeface(13, false)
	dotText  = typeface(12, false)
)

// treeDrawing draws a plan.
type treeDrawing struct {
	*canvas
	*hypotheses
	plan  *plan
	shift point // the corner of the tree on the canvas
	label labeller
}

// open makes a canvas of the right size and puts the tree in its middle.
func (d *treeDrawing) open() {
	width := max(treeWidthLeast, d.plan.width+2*treeMargin)
	height := max(treeHeightLeast, d.plan.height+treeHeader+2*treeMargin)
	d.canvas = newCanvas(width, height)
	middle := d.middleOfTree()
	d.shift = point{middle.x - d.plan.width/2, middle.y - d.plan.height/2}
}

func (d *treeDrawing) middleOfTree() point { return point{d.width / 2, (treeHeader + d.height) / 2} }

// areaOf is where a cell is drawn on the canvas.
func (d *treeDrawing) areaOf(c *cell) area {
	a := d.plan.areaOf(c)
	return area{a.left + d.shift.x, a.top + d.shift.y, a.right + d.shift.x, a.bottom + d.shift.y}
}

// header writes the title, a line of facts and the legend.
func (d *treeDrawing) header() {
	title := "Hypothesis tree"
	if name := d.v.pictureName(); name != "" {
		title += ": " + name
	}
	bold, small := typeface(24, true), typeface(15, false)
	d.text(point{36, 36}, style{bold, ink, 0}, fit(bold, title, d.width-72))
	d.text(point{36, 68}, style{small, faintInk, 0}, fit(small, d.v.factsLine(), d.width-72))
	d.legend(point{36, 102})
	d.text(point{36, 132}, style{typeface(14, true), red, 0}, d.note())
}

// legend explains the colours.
func (d *treeDrawing) legend(at point) {
	lettering := style{typeface(14, false), ink, 0}
	entry := func(draw func(middle point), text string) {
		draw(point{at.x + 11, at.y})
		d.text(point{at.x + 30, at.y}, lettering, text)
		at.x += 30 + textWidth(lettering.face, text) + 26
	}
	count := map[standing]int{}
	for i := range d.v.facts {
		count[d.v.standingOf(i)]++
	}
	for s := improved; s <= queued; s++ {
		name := s.String()
		if s == notImproved && d.v.search.Objective.Metric == "" {
			name = "completed"
		}
		entry(func(p point) { d.swatch(p, s) }, fmt.Sprintf("%s (%d)", name, count[s]))
	}
	if d.v.best >= 0 {
		entry(func(p point) { d.line(point{p.x - 12, p.y}, point{p.x + 12, p.y}, pathPen) }, "way to the best")
		entry(func(p point) { d.drawStar(p, 9) }, "best")
	}
}

func (d *treeDrawing) swatch(middle point, s standing) {
	box := d.shape()
	box.box(around(middle, 22, 15), 5)
	box.fill(s.fill())
	box.stroke(s.border())
}

var (
	pathPen = pen{color: darkGreen, width: 3}
	edgePen = pen{color: edgeLine, width: 1.3}
)

// edges draws the lines from parents to children, the way to the best on top.
func (d *treeDrawing) edges() {
	plain, path := d.shape(), d.shape()
	d.plan.top.each(func(c *cell) {
		switch {
		case c.level == 0:
		case len(c.members) == 1 && d.onPath[c.members[0]]:
			d.edge(path, c)
		default:
			d.edge(plain, c)
		}
	})
	plain.stroke(edgePen)
	path.stroke(pathPen)
}

// edge draws on s the line from a cell's parent to it: straight to the end of the parent's level, past its larger
// neighbours, and from there in a bend.
func (d *treeDrawing) edge(s *shape, c *cell) {
	up, down, end := d.areaOf(c.parent), d.areaOf(c), d.plan.levelEnd(c.parent.level)
	if d.plan.downwards {
		from, to := point{up.middle().x, d.shift.y + end}, point{down.middle().x, down.top}
		bend := (to.y - from.y) / 2
		s.move(point{from.x, up.bottom})
		s.line(from)
		s.curve(point{from.x, from.y + bend}, point{to.x, to.y - bend}, to)
		return
	}
	from, to := point{d.shift.x + end, up.middle().y}, point{down.left, down.middle().y}
	bend := (to.x - from.x) / 2
	s.move(point{up.right, from.y})
	s.line(from)
	s.curve(point{from.x + bend, from.y}, point{to.x - bend, to.y}, to)
}

// cells draws the nodes.
func (d *treeDrawing) cells() {
	var best *cell
	d.plan.top.each(func(c *cell) {
		if len(c.members) > 1 {
			d.block(c)
			return
		}
		d.node(c)
		if c.members[0] == d.v.best {
			best = c
		}
	})
	if best != nil {
		a := d.areaOf(best)
		d.drawStar(point{a.right + 1, a.top - 1}, 10)
	}
}

// block draws a block of dots, row by row in order of arrival.
func (d *treeDrawing) block(c *cell) {
	a := d.areaOf(c)
	back := d.shape()
	back.box(a, 6)
	back.fill(panel)
	back.stroke(pen{color: panelLine, width: 1})
	columns, rows := d.plan.blockShape(len(c.members))
	across := a.width() / (float64(columns) + 2*blockPadding/dotPitch)
	down := a.height() / (float64(rows) + 2*blockPadding/dotPitch)
	corner := point{a.middle().x - across*float64(columns-1)/2, a.middle().y - down*float64(rows-1)/2}
	for k, i := range c.members {
		d.dot(point{corner.x + across*float64(k%columns), corner.y + down*float64(k/columns)}, i)
	}
}

// node draws one node in the form that the plan gives it.
func (d *treeDrawing) node(c *cell) {
	i, a := c.members[0], d.areaOf(c)
	s := d.v.standingOf(i)
	f := d.plan.formOf(i)
	if f == dotForm {
		d.dot(a.middle(), i)
		return
	}
	outline := d.shape()
	outline.box(a, min(a.height()/2, 9))
	outline.fill(s.fill())
	outline.stroke(s.border())
	if d.onPath[i] {
		outline.stroke(pathPen)
	}
	if f == pillForm {
		d.text(a.middle(), style{pillText, s.lettering(), 0.5}, d.hypotheses.label(i))
		return
	}
	middle := a.middle()
	d.text(point{middle.x, middle.y - 8}, style{boxTitle, s.lettering(), 0.5}, d.title(i))
	d.text(point{middle.x, middle.y + 10}, style{boxState, s.lettering(), 0.5}, d.state(i))
}

// dot draws one node as a dot.
func (d *treeDrawing) dot(middle point, i int) {
	s := d.v.standingOf(i)
	radius := max(1.2, dotSize/2*min(d.plan.scaleX, d.plan.scaleY, 1))
	circle := d.shape()
	circle.circle(middle, radius)
	circle.fill(s.fill())
	switch {
	case s == queued:
		circle.stroke(pen{queueLine, 1.2, []float64{2.5, 2}})
	case d.onPath[i]:
		circle.stroke(pen{color: darkGreen, width: radius / 3})
	}
}

// floatingLabels writes beside their dots the labels of marked nodes that are drawn as dots, while there is room.
func (d *treeDrawing) floatingLabels() {
	if d.plan.detail.marked != dotForm {
		return
	}
	d.label.bounds = area{4, treeHeader, d.width - 4, d.height - 4}
	var marked []*cell
	d.plan.top.each(func(c *cell) {
		d.label.take(d.areaOf(c))
		if len(c.members) == 1 && d.marked[c.members[0]] {
			marked = append(marked, c)
		}
	})
	for _, c := range d.byImportance(marked) {
		d.floatingLabel(c)
	}
}

// floatingLabel writes a label to the right of a dot, to the left, above or below, or not at all.
func (d *treeDrawing) floatingLabel(c *cell) {
	middle, text := d.areaOf(c).middle(), d.hypotheses.label(c.members[0])
	letters := d.v.standingOf(c.members[0]).onPaper()
	wishes := []struct {
		at     point
		anchor float64
	}{{point{middle.x + 9, middle.y}, 0}, {point{middle.x - 9, middle.y}, 1}, {point{middle.x, middle.y - 15}, 0.5},
		{point{middle.x, middle.y + 15}, 0.5}}
	for _, wish := range wishes {
		look := style{dotText, letters, wish.anchor}
		if covered := textArea(wish.at, look, text); d.label.free(covered) {
			d.label.take(covered)
			d.backed(wish.at, look, text)
			return
		}
	}
}

// byImportance puts the best first, then the improvements with the newest first, then the rest.
func (d *treeDrawing) byImportance(cells []*cell) []*cell {
	rank := func(c *cell) int {
		switch i := c.members[0]; {
		case i == d.v.best:
			return 0
		case d.v.facts[i].improved:
			return len(d.v.facts) + 1 - d.v.facts[i].order
		}
		return len(d.v.facts) + 1
	}
	slices.SortStableFunc(cells, func(a, b *cell) int { return rank(a) - rank(b) })
	return cells
}
