package workflow

import (
	"cmp"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"

	"autoresearch/pkg/spec"
)

// Space is what the built-in proposer searches: the dimensions, in file order, with distinct names. A point is a
// payload in which each dimension has a value; other keys of the payload are fixed.
type Space []Dimension

// Dimension is one parameter of a space.
type Dimension struct {
	Name string
	// Scale says which of the other fields counts.
	Scale Scale
	// Min and Max bound a ScaleInt, ScaleFloat or ScaleLogFloat, both included. Those of a ScaleInt are whole numbers
	// of at most 2^53.
	Min, Max float64
	// Choices are the values of a ScaleChoice as JSON text: in ascending order when all are numbers, else in file
	// order. They are distinct.
	Choices []json.RawMessage
	// Ordered says that all choices are numbers.
	Ordered bool
}

// Scale is how the values of a dimension are spread; it is the key of the file.
type Scale string

// The scales.
const (
	ScaleInt      Scale = "int"
	ScaleFloat    Scale = "float"
	ScaleLogFloat Scale = "log_float"
	ScaleChoice   Scale = "choice"
)

// The constants of a mutation, in units of a dimension's width (of the logarithms' for a log_float): the standard
// deviation of a step is drawn between the two, evenly on a logarithmic scale, so that some children look next to their
// parent and some far away at any time of a search.
const (
	stepMin = 0.01
	stepMax = 0.3
	// neighbourChance is how often an ordered choice goes to a neighbour, and not to any other value.
	neighbourChance = 0.75
)

// wholeMax bounds the whole numbers of a space: beyond it float64 has gaps.
const wholeMax = 1 << 53

// points returns how many values the dimension has; +Inf for floats. Rounding makes floats countable, but nobody
// searches one to its end.
func (d *Dimension) points() float64 {
	switch {
	case d.Scale == ScaleChoice:
		return float64(len(d.Choices))
	case d.Scale == ScaleInt:
		return d.Max - d.Min + 1
	case d.Min == d.Max:
		return 1
	}
	return math.Inf(1)
}

// point returns the value of the given number, below points; only for a dimension of finitely many.
func (d *Dimension) point(index uint64) json.RawMessage {
	if d.Scale == ScaleChoice {
		return d.Choices[index]
	}
	return d.value(d.Min + float64(index))
}

// sample returns a value drawn evenly, on the dimension's scale.
func (d *Dimension) sample(random *rand.Rand) json.RawMessage {
	switch d.Scale {
	case ScaleChoice:
		return d.Choices[random.IntN(len(d.Choices))]
	case ScaleInt:
		return d.value(d.Min + float64(random.Uint64N(uint64(d.Max-d.Min)+1)))
	}
	return d.value(d.fromUnit(random.Float64()))
}

// step returns another value near from. A value that is none of the dimension's is replaced by a sample.
func (d *Dimension) step(random *rand.Rand, from json.RawMessage) json.RawMessage {
	if d.Scale == ScaleChoice {
		return d.stepChoice(random, from)
	}
	x, ok := d.number(from)
	if !ok {
		return d.sample(random)
	}
	size := stepMin * math.Pow(stepMax/stepMin, random.Float64())
	jump := size * random.NormFloat64()
	if d.Scale == ScaleInt {
		return d.value(d.stepInt(x, jump*(d.Max-d.Min)))
	}
	return d.value(d.fromUnit(reflected(d.unit(x) + jump)))
}

// stepInt moves x by about jump, by one at least, and turns back at the bounds; it never stays.
func (d *Dimension) stepInt(x, jump float64) float64 {
	target := x + math.Copysign(max(1, math.Round(math.Abs(jump))), jump)
	if target < d.Min {
		target = 2*d.Min - target
	} else if target > d.Max {
		target = 2*d.Max - target
	}
	target = min(max(target, d.Min), d.Max)
	switch {
	case target != x:
		return target
	case x > d.Min:
		return x - 1
	}
	return x + 1
}

// stepChoice returns a neighbour of an ordered choice, or any other one.
func (d *Dimension) stepChoice(random *rand.Rand, from json.RawMessage) json.RawMessage {
	count := len(d.Choices)
	current := slices.IndexFunc(d.Choices, func(choice json.RawMessage) bool { return sameValue(choice, from) })
	if current < 0 || count == 1 {
		return d.sample(random)
	}
	if d.Ordered && random.Float64() < neighbourChance {
		next := current + 1 - 2*random.IntN(2)
		if next < 0 || next >= count {
			next = 2*current - next
		}
		return d.Choices[next]
	}
	other := random.IntN(count - 1)
	if other >= current {
		other++
	}
	return d.Choices[other]
}

// number returns a JSON value as a number within the bounds.
func (d *Dimension) number(value json.RawMessage) (x float64, ok bool) {
	x, err := strconv.ParseFloat(string(value), 64)
	return x, err == nil && x >= d.Min && x <= d.Max
}

// unit maps the bounds to 0 and 1 on the dimension's scale; fromUnit is its inverse.
func (d *Dimension) unit(x float64) float64 {
	low, high := d.ends()
	if low == high {
		return 0
	}
	if d.Scale == ScaleLogFloat {
		x = math.Log(x)
	}
	return (x/2 - low/2) / (high/2 - low/2) // halves: the width of all floats is more than a float holds
}

func (d *Dimension) fromUnit(u float64) float64 {
	low, high := d.ends()
	x := low*(1-u) + high*u
	if d.Scale == ScaleLogFloat {
		x = math.Exp(x)
	}
	return x
}

func (d *Dimension) ends() (low, high float64) {
	if d.Scale == ScaleLogFloat {
		return math.Log(d.Min), math.Log(d.Max)
	}
	return d.Min, d.Max
}

// reflected mirrors u at 0 and 1, so that a step beyond a bound turns back.
func reflected(u float64) float64 {
	u = math.Abs(u)
	if u > 1 {
		u = 2 - u
	}
	return min(max(u, 0), 1)
}

// value returns x as JSON text: rounded, and within the bounds.
func (d *Dimension) value(x float64) json.RawMessage {
	if d.Scale == ScaleInt {
		return strconv.AppendFloat(nil, x, 'f', 0, 64)
	}
	x = min(max(rounded(x, d.Max-d.Min), d.Min), d.Max)
	text, err := spec.EncodeValue(x)
	if err != nil {
		panic("workflow: a number without JSON form: " + err.Error()) // every float has one
	}
	return text
}

// rounded returns x to 4 significant digits, or to so many that a thousandth of width can be told apart.
func rounded(x, width float64) float64 {
	for digits := 4; digits < 17; digits++ {
		text := strconv.FormatFloat(x, 'e', digits-1, 64)
		near, err := strconv.ParseFloat(text, 64)
		unit := math.Pow(10, math.Floor(math.Log10(math.Abs(x)))+1-float64(digits))
		if err == nil && (x == 0 || unit <= width/1000) {
			return near
		}
	}
	return x
}

// sameValue reports whether two JSON values mean the same.
func sameValue(a, b json.RawMessage) bool {
	return string(a) == string(b) || content(a) == content(b)
}

// content returns a hash of a JSON value that is the same for the same meaning.
func content(value json.RawMessage) uint64 {
	payload := append(append([]byte(`{"v":`), value...), '}')
	return spec.TaskSpec{Payload: payload}.ContentHash()
}

// sortChoices puts choices in ascending order when all are numbers, and reports whether they are.
func sortChoices(choices []json.RawMessage) bool {
	values := make(map[string]float64, len(choices))
	for _, choice := range choices {
		x, err := strconv.ParseFloat(string(choice), 64)
		if err != nil || math.IsNaN(x) {
			return false
		}
		values[string(choice)] = x
	}
	slices.SortStableFunc(choices, func(a, b json.RawMessage) int {
		return cmp.Compare(values[string(a)], values[string(b)])
	})
	return true
}
