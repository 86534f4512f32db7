package report

import (
	"bufio"
	"fmt"
	"image/color"
	"image/png"
	"io"
	"math"
	"sort"
	"strings"
	"sync"
	"unicode/utf8"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"
)

// canvas is a picture in the making. Lengths are pixels and y grows downwards: at 72 dots an inch a point is a pixel.
type canvas struct {
	img           *vgimg.Canvas
	width, height float64
}

func newCanvas(width, height float64) *canvas {
	width, height = math.Ceil(width), math.Ceil(height)
	img := vgimg.NewWith(vgimg.UseWH(vg.Length(width), vg.Length(height)), vgimg.UseDPI(72))
	return &canvas{img: img, width: width, height: height}
}

// encode writes the picture as a PNG.
func (c *canvas) encode(w io.Writer) error {
	out := bufio.NewWriter(w)
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(out, c.img.Image()); err != nil {
		return fmt.Errorf("encode picture: %w", err)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("write picture: %w", err)
	}
	return nil
}

// point is a place on a canvas.
type point struct{ x, y float64 }

// area is an upright rectangle.
type area struct{ left, top, right, bottom float64 }

// around is the area of a size round a middle.
func around(middle point, width, height float64) area {
	return area{middle.x - width/2, middle.y - height/2, middle.x + width/2, middle.y + height/2}
}

func (a area) width() float64  { return a.right - a.left }
func (a area) height() float64 { return a.bottom - a.top }
func (a area) middle() point   { return point{(a.left + a.right) / 2, (a.top + a.bottom) / 2} }

// grown is the area with a margin on each side.
func (a area) grown(by float64) area {
	return area{a.left - by, a.top - by, a.right + by, a.bottom + by}
}

func (a area) overlaps(b area) bool {
	return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
}

// within reports whether a lies in b whole.
func (a area) within(b area) bool {
	return a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom
}

// pen is how a line looks.
type pen struct {
	color  color.Color
	width  float64
	dashes []float64
}

// shape is an outline under construction on a canvas.
type shape struct {
	c    *canvas
	path vg.Path
}

func (c *canvas) shape() *shape { return &shape{c: c} }

func (c *canvas) at(p point) vg.Point {
	return vg.Point{X: vg.Length(p.x), Y: vg.Length(c.height - p.y)}
}

func (s *shape) move(p point) { s.path.Move(s.c.at(p)) }
func (s *shape) line(p point) { s.path.Line(s.c.at(p)) }

// curve draws on to p; a and b pull it.
func (s *shape) curve(a, b, p point) { s.path.CubeTo(s.c.at(a), s.c.at(b), s.c.at(p)) }

func (s *shape) polygon(points ...point) {
	for i, p := range points {
		if i == 0 {
			s.move(p)
		} else {
			s.line(p)
		}
	}
	s.path.Close()
}

func (s *shape) circle(middle point, radius float64) {
	s.move(point{middle.x + radius, middle.y})
	s.path.Arc(s.c.at(middle), vg.Length(radius), 0, 2*math.Pi)
	s.path.Close()
}

// box draws a rectangle with round corners.
func (s *shape) box(a area, radius float64) {
	r := min(radius, a.width()/2, a.height()/2)
	k := r * 0.45 // where the pull of a quarter circle's curve stands, from the corner
	s.move(point{a.left + r, a.top})
	s.line(point{a.right - r, a.top})
	s.curve(point{a.right - k, a.top}, point{a.right, a.top + k}, point{a.right, a.top + r})
	s.line(point{a.right, a.bottom - r})
	s.curve(point{a.right, a.bottom - k}, point{a.right - k, a.bottom}, point{a.right - r, a.bottom})
	s.line(point{a.left + r, a.bottom})
	s.curve(point{a.left + k, a.bottom}, point{a.left, a.bottom - k}, point{a.left, a.bottom - r})
	s.line(point{a.left, a.top + r})
	s.curve(point{a.left, a.top + k}, point{a.left + k, a.top}, point{a.left + r, a.top})
	s.path.Close()
}

// star draws a five-pointed star.
func (s *shape) star(middle point, radius float64) {
	corners := make([]point, 0, 10)
	for i := range 10 {
		r := radius
		if i%2 == 1 {
			r *= 0.45
		}
		sin, cos := math.Sincos(math.Pi * float64(i) / 5)
		corners = append(corners, point{middle.x + r*sin, middle.y - r*cos})
	}
	s.polygon(corners...)
}

// cross draws the two strokes of an x, to be stroked.
func (s *shape) cross(middle point, radius float64) {
	s.move(point{middle.x - radius, middle.y - radius})
	s.line(point{middle.x + radius, middle.y + radius})
	s.move(point{middle.x - radius, middle.y + radius})
	s.line(point{middle.x + radius, middle.y - radius})
}

func (s *shape) fill(with color.Color) {
	if len(s.path) == 0 {
		return
	}
	s.c.img.SetColor(with)
	s.c.img.Fill(s.path)
}

func (s *shape) stroke(with pen) {
	if len(s.path) == 0 {
		return
	}
	dashes := make([]vg.Length, len(with.dashes))
	for i, d := range with.dashes {
		dashes[i] = vg.Length(d)
	}
	s.c.img.SetColor(with.color)
	s.c.img.SetLineWidth(vg.Length(with.width))
	s.c.img.SetLineDash(dashes, 0)
	s.c.img.Stroke(s.path)
}

// line draws one straight line, an upright or level one on the middles of pixels, so that thin ones are sharp.
func (c *canvas) line(from, to point, with pen) {
	if from.x == to.x {
		from.x = math.Floor(from.x) + 0.5
		to.x = from.x
	}
	if from.y == to.y {
		from.y = math.Floor(from.y) + 0.5
		to.y = from.y
	}
	s := c.shape()
	s.move(from)
	s.line(to)
	s.stroke(with)
}

// fonts holds the typefaces, parsed once.
var fonts = sync.OnceValue(func() *font.Cache { return font.NewCache(liberation.Collection()) })

// typeface returns the sans-serif face of a size in pixels.
func typeface(size float64, bold bool) font.Face {
	f := font.Font{Typeface: "Liberation", Variant: "Sans"}
	if bold {
		f.Weight = xfont.WeightBold
	}
	return fonts().Lookup(f, vg.Length(size))
}

// style is how text looks; anchor says which part of it stands at its point: 0 the left end, 0.5 the middle, 1 the
// right end.
type style struct {
	face   font.Face
	color  color.Color
	anchor float64
}

// text draws one line of cleaned text whose middle is at the height of p.
func (c *canvas) text(p point, s style, text string) {
	x := p.x - s.anchor*textWidth(s.face, text)
	base := p.y + baseBelowMiddle*float64(s.face.Font.Size)
	c.img.SetColor(s.color)
	for _, part := range unkerned(text) {
		c.img.FillString(s.face, c.at(point{x, base}), part)
		x += textWidth(s.face, part)
	}
}

// baseBelowMiddle is how far below the middle of its capitals a text's base line is, as a share of its size.
const baseBelowMiddle = 0.35

// rising draws text as text does, turned a quarter to the left.
func (c *canvas) rising(p point, s style, text string) {
	c.img.Push()
	c.img.Translate(c.at(p))
	c.img.Rotate(math.Pi / 2)
	x := -s.anchor * textWidth(s.face, text)
	c.img.SetColor(s.color)
	c.img.FillString(s.face, vg.Point{X: vg.Length(x), Y: vg.Length(-baseBelowMiddle * float64(s.face.Font.Size))}, text)
	c.img.Pop()
}

// unkerned splits text between two ones: the typeface pulls them together, which looks wrong in numbers.
func unkerned(text string) []string {
	var parts []string
	for {
		i := strings.Index(text, "11")
		if i < 0 {
			return append(parts, text)
		}
		parts, text = append(parts, text[:i+1]), text[i+1:]
	}
}

func textWidth(face font.Face, text string) float64 {
	width := 0.0
	for _, part := range unkerned(text) {
		width += float64(face.Width(part))
	}
	return width
}

// fit shortens text in its middle as much as needed to be no wider than width.
func fit(face font.Face, text string, width float64) string {
	if textWidth(face, text) <= width {
		return text
	}
	tooLong := sort.Search(utf8.RuneCountInString(text), func(most int) bool {
		return textWidth(face, shorten(text, most+2)) > width
	})
	return shorten(text, tooLong+1)
}
