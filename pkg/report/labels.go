package report

import (
	"image/color"
	"math"
	"slices"
)

// labeller finds room for labels: a label is placed only where it covers nothing that was placed before.
type labeller struct {
	bounds area
	// taken holds what is covered by bands of bandHeight, in each band that it reaches into.
	taken map[int][]area
}

const bandHeight = 32

// bands returns the first and the last band of an area.
func bands(a area) (first, last int) {
	return int(math.Floor(a.top / bandHeight)), int(math.Floor(a.bottom / bandHeight))
}

// take marks an area as covered.
func (l *labeller) take(a area) {
	if l.taken == nil {
		l.taken = map[int][]area{}
	}
	first, last := bands(a)
	for band := first; band <= last; band++ {
		l.taken[band] = append(l.taken[band], a)
	}
}

// free reports whether an area lies within the bounds and covers nothing.
func (l *labeller) free(a area) bool {
	if !a.within(l.bounds) {
		return false
	}
	first, last := bands(a)
	for band := first; band <= last; band++ {
		for _, other := range l.taken[band] {
			if a.overlaps(other) {
				return false
			}
		}
	}
	return true
}

// copied returns a labeller with the same areas taken.
func (l *labeller) copied() labeller {
	twin := labeller{bounds: l.bounds, taken: map[int][]area{}}
	for band, areas := range l.taken {
		twin.taken[band] = slices.Clone(areas)
	}
	return twin
}

// textArea is what text covers.
func textArea(at point, s style, text string) area {
	width, height := textWidth(s.face, text), float64(s.face.Font.Size)*1.2
	left := at.x - s.anchor*width
	return area{left, at.y - height/2, left + width, at.y + height/2}
}

// backed draws text on a patch of paper, to be readable on top of lines.
func (c *canvas) backed(at point, s style, text string) {
	patch := c.shape()
	patch.box(textArea(at, s, text).grown(1), 3)
	patch.fill(color.NRGBA{255, 255, 255, 225})
	c.text(at, s, text)
}
