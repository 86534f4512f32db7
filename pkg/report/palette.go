package report

import (
	"image/color"

	"autoresearch/pkg/spec"
)

// The colours of both pictures.
var (
	paper     = color.RGBA{255, 255, 255, 255}
	ink       = color.RGBA{33, 40, 48, 255}
	faintInk  = color.RGBA{95, 106, 118, 255}
	gridLine  = color.RGBA{230, 234, 238, 255}
	axisLine  = color.RGBA{150, 160, 170, 255}
	edgeLine  = color.RGBA{172, 181, 190, 255}
	panel     = color.RGBA{245, 247, 249, 255}
	panelLine = color.RGBA{222, 227, 232, 255}

	green     = color.RGBA{38, 148, 82, 255}
	darkGreen = color.RGBA{18, 98, 52, 255}
	grey      = color.RGBA{110, 121, 133, 255}
	paleGrey  = color.RGBA{176, 185, 194, 255}
	red       = color.RGBA{208, 58, 58, 255}
	paleRed   = color.RGBA{253, 240, 240, 255}
	blue      = color.RGBA{44, 113, 204, 255}
	queueLine = color.RGBA{120, 130, 142, 255}
	gold      = color.RGBA{246, 183, 22, 255}
	goldLine  = color.RGBA{150, 100, 0, 255}
)

// standing is how an experiment is shown.
type standing int

const (
	improved standing = iota
	notImproved
	failed
	running
	queued
)

// standingOf says how a node is shown; a status that is not known counts as queued.
func (v *survey) standingOf(i int) standing {
	switch v.node(i).Status {
	case spec.StatusCompleted:
		if v.facts[i].improved {
			return improved
		}
		return notImproved
	case spec.StatusFailed:
		return failed
	case spec.StatusNodeRuns:
		return running
	}
	return queued
}

// fill and border are a standing's colours; queued ones are dashed outlines.
func (s standing) fill() color.RGBA {
	return [...]color.RGBA{green, grey, red, blue, paper}[s]
}

func (s standing) border() pen {
	if s == queued {
		return pen{queueLine, 1.4, []float64{4, 3}}
	}
	return pen{color: s.fill(), width: 1}
}

// lettering is the colour of text on a standing's fill.
func (s standing) lettering() color.RGBA {
	if s == queued {
		return ink
	}
	return paper
}

// onPaper is the colour of text beside a mark of a standing.
func (s standing) onPaper() color.RGBA {
	return [...]color.RGBA{darkGreen, ink, red, blue, ink}[s]
}

func (s standing) String() string {
	return [...]string{"improved", "not improved", "failed", "running", "queued"}[s]
}

// drawStar marks the best experiment.
func (c *canvas) drawStar(middle point, radius float64) {
	s := c.shape()
	s.star(middle, radius)
	s.fill(gold)
	s.stroke(pen{color: goldLine, width: 1})
}
