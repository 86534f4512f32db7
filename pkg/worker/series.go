package worker

import (
	"cmp"
	"math"
	"slices"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// stepWord is the metric that says at which step a progress line's other metrics are.
const stepWord = "step"

// inlinePoints is how many points of all series together stand in a result itself: the leader holds every result in memory.
// More lie in the run's output store.
const inlinePoints = 128

// curves collect the metrics of an attempt as they go. A lock of its owner guards them.
type curves struct {
	order  []string
	byName map[string]*curve
}

// curve collects one metric in bounded memory: each time it is full, every second point goes, and from then on only every
// second of those that would have stayed is kept.
type curve struct {
	points []spec.Point
	last   spec.Point
	seen   int
	stride int
}

// reading is one metric of one progress line.
type reading struct {
	name  string
	value float64
}

// take adds the metrics of one progress line. Without a step they are counted.
func (c *curves) take(line []reading) {
	step := math.NaN()
	for _, r := range line {
		if r.name == stepWord {
			step = r.value
		}
	}
	counted := math.IsNaN(step) || math.IsInf(step, 0)
	for _, r := range line {
		if r.name == stepWord {
			continue
		}
		if one := c.of(r.name); one != nil {
			at := step
			if counted {
				at = float64(one.seen + 1)
			}
			one.add(spec.Point{Step: at, Value: r.value})
		}
	}
}

// of returns the curve of a metric; nil when there are too many already.
func (c *curves) of(name string) *curve {
	one := c.byName[name]
	if one != nil || len(c.order) >= spec.SeriesMax || len(name) > metricNameMax {
		return one
	}
	if c.byName == nil {
		c.byName = map[string]*curve{}
	}
	one = &curve{stride: 1}
	c.byName[name] = one
	c.order = append(c.order, name)
	return one
}

func (c *curve) add(p spec.Point) {
	if c.seen%c.stride == 0 {
		if len(c.points) == spec.SeriesPointsMax-1 { // the last one needs room too
			c.halve()
		}
		if c.seen%c.stride == 0 {
			c.points = append(c.points, p)
		}
	}
	c.seen++
	c.last = p
}

// halve keeps the points whose numbers are multiples of twice the stride.
func (c *curve) halve() {
	kept := c.points[:0]
	for i := 0; i < len(c.points); i += 2 {
		kept = append(kept, c.points[i])
	}
	c.points = kept
	c.stride *= 2
}

// all returns the series in the order in which their metrics came first.
func (c *curves) all() []spec.Series {
	if len(c.order) == 0 {
		return nil
	}
	series := make([]spec.Series, 0, len(c.order))
	for _, name := range c.order {
		one := c.byName[name]
		points := append(make([]spec.Point, 0, len(one.points)+1), one.points...)
		if (one.seen-1)%one.stride != 0 {
			points = append(points, one.last)
		}
		series = append(series, spec.Series{Name: name, Seen: one.seen, Points: points})
	}
	return series
}

// inlineSeries is what of series stands in a result itself: all of few points, else an even selection.
func inlineSeries(all []spec.Series) []spec.Series {
	if spec.PointCount(all) <= inlinePoints {
		return all
	}
	most := inlinePoints / len(all)
	thin := make([]spec.Series, len(all))
	for i, s := range all {
		thin[i] = s.Thin(most)
	}
	return thin
}

// storeSeries puts series that do not stand in the result as a whole into the run's output store.
func (w *worker) storeSeries(k *keeping) {
	all := k.attempt.news.series()
	if spec.PointCount(all) <= inlinePoints {
		return
	}
	stored, err := k.put(bus.EncodeSeries(all))
	if err != nil {
		w.log.Warn("the series of metrics could not be stored: the result has a selection", "run", k.attempt.ref.Run,
			"task", k.attempt.ref.Task, "error", err)
		return
	}
	k.kept.series = stored
}

// series returns what progress told of metrics, as they went.
func (n *news) series() []spec.Series {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.curves.all()
}

// large reports whether the series do not stand in the result as a whole.
func (n *news) large() bool { return spec.PointCount(n.series()) > inlinePoints }

// record adds the metrics of one call of Attempt.Progress, under the lock.
func (n *news) record(metrics map[string]float64) {
	if len(metrics) == 0 {
		return
	}
	line := make([]reading, 0, len(metrics))
	for name, value := range metrics {
		line = append(line, reading{name, value})
	}
	slices.SortFunc(line, func(a, b reading) int { return cmp.Compare(a.name, b.name) })
	n.curves.take(line)
}
