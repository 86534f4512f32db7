package report

import "math"

// form is how a node is drawn.
type form int

const (
	dotForm  form = iota // a dot; sibling leaves stand together in a block
	pillForm             // one line: id and metric
	boxForm              // two lines
)

// detail is how large nodes are drawn. The picture takes the first detail whose tree fits.
type detail struct {
	marked, others form
	// nodes is how many nodes the detail is tried for at the most.
	nodes int
	// width and height bound the tree, in pixels.
	width, height float64
	// gap is the distance between siblings, down from parent to child when the tree grows downwards, across when it
	// grows to the right.
	gap, down, across float64
	// stretch makes the blocks of leaves so many times longer along the siblings than they would be as squares: deep
	// trees need short levels.
	stretch float64
}

// details from the finest on. The last fits always, because its places are scaled.
var details = []detail{
	{boxForm, boxForm, 150, 2000, 1100, 16, 48, 60, 1},
	{pillForm, pillForm, 500, 2600, 2000, 8, 42, 52, 1},
	{pillForm, dotForm, treeNodes, 2600, 4500, 8, 38, 46, 1},
	{pillForm, dotForm, treeNodes, pictureMost, pictureMost, 7, 24, 36, 3},
	{dotForm, dotForm, treeNodes, math.Inf(1), math.Inf(1), 5, 22, 26, 3},
}

// Bounds of the tree in pixels.
const (
	pictureMost  = 7700
	pixelsMost   = 20e6
	dotSize      = 11.0
	dotPitch     = 14.0
	blockPadding = 5.0
	blockFrom    = 4 // so many sibling leaves stand together in a block
)

// plan is a tree laid out at one detail, in one direction.
type plan struct {
	h      *hypotheses
	detail detail
	// downwards says that children stand below their parent; else they stand to its right.
	downwards bool
	top       cell      // not drawn: its children are the roots
	levels    []float64 // where each level begins and where it ends
	ends      []float64
	boxWidth  float64
	// width and height are the size of the tree, scale by how much the places were squeezed to make it fit.
	width, height  float64
	scaleX, scaleY float64
}

// choosePlan takes the finest detail that fits, and the direction that makes the picture easier to look at.
func (h *hypotheses) choosePlan() *plan {
	drawn := len(h.v.facts) - h.leftOut
	for level := range details[:len(details)-1] {
		if drawn > details[level].nodes {
			continue
		}
		if p := easier(h.planFor(level, false), h.planFor(level, true)); p.fits() {
			return p
		}
	}
	last := len(details) - 1
	p := easier(h.planFor(last, false), h.planFor(last, true))
	p.squeeze()
	return p
}

// easier returns the plan that fits, or of two that do the narrower: readers show a picture as wide as the page and
// scroll down, so that width costs twice as much as height.
func easier(a, b *plan) *plan {
	if a.fits() != b.fits() {
		if a.fits() {
			return a
		}
		return b
	}
	if max(b.width, b.height/2) < max(a.width, a.height/2) {
		return b
	}
	return a
}

func (p *plan) fits() bool {
	return p.width <= p.detail.width && p.height <= p.detail.height && p.width*p.height <= pixelsMost
}

// squeeze moves the places together until the tree is within the bounds.
func (p *plan) squeeze() {
	p.scaleX, p.scaleY = min(1, pictureMost/p.width), min(1, pictureMost/p.height)
	if over := p.width * p.scaleX * p.height * p.scaleY / pixelsMost; over > 1 {
		p.scaleX, p.scaleY = p.scaleX/math.Sqrt(over), p.scaleY/math.Sqrt(over)
	}
	p.width, p.height = p.width*p.scaleX, p.height*p.scaleY
}

// planFor lays the tree out.
func (h *hypotheses) planFor(level int, downwards bool) *plan {
	p := &plan{h: h, detail: details[level], downwards: downwards, scaleX: 1, scaleY: 1}
	if p.detail.others == boxForm {
		p.boxWidth = h.widestBox()
	}
	p.top.children = p.cellsFor(h.roots)
	extent := tidy(&p.top, p.detail.gap)
	deep := p.setLevels()
	p.width, p.height = max(deep, 1), max(extent, 1)
	if downwards {
		p.width, p.height = p.height, p.width
	}
	return p
}

// setLevels finds where each level begins and returns where the last one ends.
func (p *plan) setLevels() float64 {
	var deepest []float64
	p.top.each(func(c *cell) {
		for len(deepest) <= c.level {
			deepest = append(deepest, 0)
		}
		deepest[c.level] = max(deepest[c.level], c.deep)
	})
	gap := p.detail.across
	if p.downwards {
		gap = p.detail.down
	}
	at := 0.0
	for _, size := range deepest {
		p.levels, p.ends = append(p.levels, at), append(p.ends, at+size)
		at += size + gap
	}
	return at - gap
}

// cellsFor makes the cells of siblings: many dots without children become a block, or two with the others between
// them, so that a long way through the tree stays straight.
func (p *plan) cellsFor(siblings []int) []*cell {
	var dots []int
	for _, i := range siblings {
		if p.formOf(i) == dotForm && len(p.h.children[i]) == 0 {
			dots = append(dots, i)
		}
	}
	if len(dots) < blockFrom {
		dots = nil
	}
	inBlock := map[int]bool{}
	for _, i := range dots {
		inBlock[i] = true
	}
	var others []*cell
	for _, i := range siblings {
		if !inBlock[i] {
			others = append(others, p.cellFor(i))
		}
	}
	return p.withBlocks(others, dots)
}

func (p *plan) withBlocks(others []*cell, dots []int) []*cell {
	switch {
	case len(dots) == 0:
		return others
	case len(others) == 0:
		return []*cell{p.blockFor(dots)}
	}
	half := len(dots) / 2
	return append(append([]*cell{p.blockFor(dots[:half])}, others...), p.blockFor(dots[half:]))
}

// cellFor makes the cell of one node and of all below it.
func (p *plan) cellFor(i int) *cell {
	width, height := p.sizeOf(i)
	return p.sized(&cell{members: []int{i}, children: p.cellsFor(p.h.children[i])}, width, height)
}

// blockFor makes the cell of a block of dots.
func (p *plan) blockFor(dots []int) *cell {
	columns, rows := p.blockShape(len(dots))
	return p.sized(&cell{members: dots}, float64(columns)*dotPitch+2*blockPadding, float64(rows)*dotPitch+2*blockPadding)
}

// blockShape is the columns and rows of a block.
func (p *plan) blockShape(n int) (columns, rows int) {
	long := min(n, int(math.Ceil(math.Sqrt(float64(n)*p.detail.stretch))))
	short := (n + long - 1) / long
	if p.downwards {
		return long, short
	}
	return short, long
}

// sized gives a cell its width and height.
func (p *plan) sized(c *cell, width, height float64) *cell {
	c.along, c.deep = height, width
	if p.downwards {
		c.along, c.deep = width, height
	}
	return c
}

func (p *plan) formOf(i int) form {
	if p.h.marked[i] {
		return p.detail.marked
	}
	return p.detail.others
}

// sizeOf is the size of a node.
func (p *plan) sizeOf(i int) (width, height float64) {
	switch p.formOf(i) {
	case boxForm:
		return p.boxWidth, 44
	case pillForm:
		return p.h.labelWidth(i) + 20, 23
	}
	return dotSize, dotSize
}

// widestBox is how wide boxes are: all the same, for the longest text.
func (h *hypotheses) widestBox() float64 {
	width := 78.0
	for i := range h.v.facts {
		width = max(width, textWidth(boxTitle, h.title(i)), textWidth(boxState, h.state(i)))
	}
	return width + 26
}

// areaOf is where a cell is drawn, from the corner of the tree.
func (p *plan) areaOf(c *cell) area {
	low, deep := c.pos-c.along/2, p.levels[c.level]
	a := area{deep, low, deep + c.deep, low + c.along}
	if p.downwards {
		a = area{low, deep, low + c.along, deep + c.deep}
	}
	return area{a.left * p.scaleX, a.top * p.scaleY, a.right * p.scaleX, a.bottom * p.scaleY}
}

// levelEnd is how far the deepest cell of a level reaches, from the corner of the tree.
func (p *plan) levelEnd(level int) float64 {
	if p.downwards {
		return p.ends[level] * p.scaleY
	}
	return p.ends[level] * p.scaleX
}
