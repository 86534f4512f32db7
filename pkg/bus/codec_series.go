package bus

import (
	"math"

	"autoresearch/pkg/spec"
)

// EncodeSeries returns series as a blob of the output store holds them: v version, r series.
func EncodeSeries(all []spec.Series) []byte {
	w := wire{out: make([]byte, 0, 64+16*spec.PointCount(all))}
	mark := w.openMap()
	fieldInt(&w, "v", ResultVersion)
	fieldList(&w, "r", all, (*wire).series)
	w.closeMap(mark)
	return w.out
}

// DecodeSeries reads what EncodeSeries wrote; the bytes may come from anywhere.
func DecodeSeries(data []byte) (all []spec.Series, err error) {
	c := newCursor("series", data)
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "v":
			c.uint(math.MaxInt32)
		case "r":
			all = listOf(c, spec.SeriesMax, c.series)
		default:
			return false
		}
		return true
	})
	if c.err != nil {
		return nil, c.err
	}
	return all, nil
}

// series: n name, s how many points there were, x their steps, y their values.
func (w *wire) series(s *spec.Series) {
	mark := w.openMap()
	fieldText(w, "n", s.Name)
	fieldInt(w, "s", s.Seen)
	w.fieldPoints("x", s.Points, func(p spec.Point) float64 { return p.Step })
	w.fieldPoints("y", s.Points, func(p spec.Point) float64 { return p.Value })
	w.closeMap(mark)
}

func (w *wire) fieldPoints(key string, points []spec.Point, of func(spec.Point) float64) {
	if len(points) == 0 {
		return
	}
	w.key(key)
	w.arrayLen(len(points))
	for _, p := range points {
		w.shortFloat(of(p))
	}
}

// shortFloat writes a whole number, as most steps are, in as few bytes as it takes.
func (w *wire) shortFloat(f float64) {
	if f == math.Trunc(f) && f >= 1 && f < 1<<53 {
		w.uint(uint64(f))
		return
	}
	w.float(f)
}

func (c *cursor) series() (s spec.Series) {
	var steps, values []float64
	c.fields(nil, func(key []byte) bool {
		switch string(key) {
		case "n":
			s.Name = c.text()
		case "s":
			s.Seen = int(c.uint(math.MaxInt32))
		case "x":
			steps = listOf(c, spec.SeriesPointsMax, c.float)
		case "y":
			values = listOf(c, spec.SeriesPointsMax, c.float)
		default:
			return false
		}
		return true
	})
	if len(steps) != len(values) || s.Seen < len(steps) {
		c.fail("a series of %d steps and %d values, of %d points", len(steps), len(values), s.Seen)
	}
	if c.err != nil || len(steps) == 0 {
		return s
	}
	s.Points = make([]spec.Point, len(steps))
	for i := range steps {
		s.Points[i] = spec.Point{Step: steps[i], Value: values[i]}
	}
	return s
}
