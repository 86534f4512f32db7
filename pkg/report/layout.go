package report

import "math"

// The layout places the cells of a tree the way Buchheim, Jünger and Leipert describe (Walker's algorithm in linear
// time): cells of one level never overlap, a parent stands over the middle of its children, and the same subtree looks
// the same wherever it hangs. Cells may differ in size.
//
// One axis runs along siblings ("along"), the other from parent to child ("deep"); the picture decides which of them
// is x.

// cell is one thing to place: an experiment, or a bundle of sibling leaves drawn as a block.
type cell struct {
	// along and deep are the cell's size on the two axes.
	along, deep float64
	children    []*cell
	// members are the nodes the cell stands for; the layout does not look at them.
	members []int

	// pos is the middle of the cell along its siblings, from 0; level is its depth, from 0. Both are set by tidy.
	pos   float64
	level int

	parent   *cell
	number   int // place among the siblings
	prelim   float64
	mod      float64 // what to add to the positions of all descendants
	shift    float64 // spreading of subtrees between two that were pushed apart: see spread
	change   float64
	thread   *cell // the next cell of the contour where there is no child
	ancestor *cell
}

// tidy places all the cells below top, which is no cell itself but holds the roots as its children, gap apart at the
// least, and returns how far they reach along: every cell lies between 0 and extent.
func tidy(top *cell, gap float64) (extent float64) {
	top.prepare(-1)
	top.placeSubtree(gap)
	top.settle(0)
	low, high := math.Inf(1), math.Inf(-1)
	top.each(func(c *cell) { low, high = min(low, c.pos-c.along/2), max(high, c.pos+c.along/2) })
	top.each(func(c *cell) { c.pos -= low })
	return max(high-low, 0)
}

// prepare links and numbers the cells below c, whose level is given.
func (c *cell) prepare(level int) {
	c.level, c.ancestor, c.thread = level, c, nil
	c.prelim, c.mod, c.shift, c.change = 0, 0, 0, 0
	for i, child := range c.children {
		child.parent, child.number = c, i
		child.prepare(level + 1)
	}
}

// placeSubtree sets prelim and mod of c and of all below it: children first, each pushed right until it is clear of
// the ones before it, then c over their middle.
func (c *cell) placeSubtree(gap float64) {
	defaultAncestor := c.firstChild()
	for i, child := range c.children {
		child.placeSubtree(gap)
		if i > 0 {
			child.placeAfter(c.children[i-1], gap)
			defaultAncestor = child.clear(defaultAncestor, gap)
		}
	}
	c.spread()
	if len(c.children) > 0 {
		c.prelim = (c.firstChild().prelim + c.lastChild().prelim) / 2
	}
}

// placeAfter puts c next to the sibling before it, keeping its own children under it.
func (c *cell) placeAfter(before *cell, gap float64) {
	middle := c.prelim
	c.prelim = before.prelim + distance(before, c, gap)
	c.mod = c.prelim - middle
}

// distance is how far the middles of two neighbours of one level stand apart at the least.
func distance(left, right *cell, gap float64) float64 { return (left.along+right.along)/2 + gap }

// contour walks down one side of a subtree, level by level. above is the mod of all the cells passed: the position of
// at is at.prelim + above.
type contour struct {
	at    *cell
	above float64
}

func (k *contour) down(next *cell) {
	k.above += k.at.mod
	k.at = next
}

// below is what the positions of the next cell of the contour start from.
func (k *contour) below() float64 { return k.above + k.at.mod }

// clear pushes the subtree of c right until its left contour is clear of the right contour of all the siblings before
// it. It returns the default ancestor for the next sibling: the subtree that ends the contour there.
func (c *cell) clear(defaultAncestor *cell, gap float64) *cell {
	before, first := c.parent.children[c.number-1], c.parent.children[0]
	inRight, outRight := contour{at: c}, contour{at: c}
	inLeft, outLeft := contour{at: before}, contour{at: first}
	for inLeft.at.nextRight() != nil && inRight.at.nextLeft() != nil {
		inLeft.down(inLeft.at.nextRight())
		inRight.down(inRight.at.nextLeft())
		outLeft.down(outLeft.at.nextLeft())
		outRight.down(outRight.at.nextRight())
		outRight.at.ancestor = c
		push := inLeft.at.prelim + inLeft.above + distance(inLeft.at, inRight.at, gap) - inRight.at.prelim - inRight.above
		if push > 0 {
			c.pushFrom(c.siblingAbove(inLeft.at, defaultAncestor), push)
			inRight.above += push
			outRight.above += push
		}
	}
	return c.threadContours(inLeft, outLeft, inRight, outRight, defaultAncestor)
}

// threadContours joins the contours where one of the two sides is deeper than the other.
func (c *cell) threadContours(inLeft, outLeft, inRight, outRight contour, defaultAncestor *cell) *cell {
	if next := inLeft.at.nextRight(); next != nil && outRight.at.nextRight() == nil {
		outRight.at.thread = next
		outRight.at.mod += inLeft.below() - outRight.below()
	}
	if next := inRight.at.nextLeft(); next != nil && outLeft.at.nextLeft() == nil {
		outLeft.at.thread = next
		outLeft.at.mod += inRight.below() - outLeft.below()
		return c
	}
	return defaultAncestor
}

// siblingAbove returns the sibling of c in whose subtree deeper stands.
func (c *cell) siblingAbove(deeper, defaultAncestor *cell) *cell {
	if deeper.ancestor.parent == c.parent {
		return deeper.ancestor
	}
	return defaultAncestor
}

// pushFrom moves the subtree of c right, and notes that the siblings between left and c share in it.
func (c *cell) pushFrom(left *cell, push float64) {
	share := push / float64(c.number-left.number)
	c.change -= share
	c.shift += push
	left.change += share
	c.prelim += push
	c.mod += push
}

// spread moves the children of c by their shares of the pushes that pushFrom noted.
func (c *cell) spread() {
	shift, change := 0.0, 0.0
	for i := len(c.children) - 1; i >= 0; i-- {
		child := c.children[i]
		child.prelim += shift
		child.mod += shift
		change += child.change
		shift += child.shift + change
	}
}

func (c *cell) firstChild() *cell {
	if len(c.children) == 0 {
		return nil
	}
	return c.children[0]
}

func (c *cell) lastChild() *cell {
	if len(c.children) == 0 {
		return nil
	}
	return c.children[len(c.children)-1]
}

func (c *cell) nextLeft() *cell {
	if child := c.firstChild(); child != nil {
		return child
	}
	return c.thread
}

func (c *cell) nextRight() *cell {
	if child := c.lastChild(); child != nil {
		return child
	}
	return c.thread
}

// each visits the cells below c, parents first.
func (c *cell) each(visit func(*cell)) {
	for _, child := range c.children {
		visit(child)
		child.each(visit)
	}
}

// settle turns prelim and mod into the positions of the cells below c; sum is the mod of all above.
func (c *cell) settle(sum float64) {
	for _, child := range c.children {
		child.pos = child.prelim + sum
		child.settle(sum + child.mod)
	}
}
