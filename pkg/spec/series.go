package spec

// Point is the value of a metric at a step.
type Point struct{ Step, Value float64 }

// Series is how one metric went over an attempt.
type Series struct {
	Name string
	// Seen is how many points the metric had. Points are all of them, or a selection in their order that begins with the
	// first and ends with the last.
	Seen   int
	Points []Point
}

// The most series of an attempt, and the most points of each, that are kept.
const (
	SeriesMax       = 64
	SeriesPointsMax = 512
)

// Thin returns the series with at most most points, spread evenly; at least two where there are as many.
func (s Series) Thin(most int) Series {
	most = max(2, most)
	if len(s.Points) <= most {
		return s
	}
	points := make([]Point, most)
	for i := range points {
		points[i] = s.Points[i*(len(s.Points)-1)/(most-1)]
	}
	s.Points = points
	return s
}

// PointCount is how many points there are in all.
func PointCount(all []Series) (n int) {
	for i := range all {
		n += len(all[i].Points)
	}
	return n
}
