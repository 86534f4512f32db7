package workflow

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// dimensions draws a dimension of any scale.
func dimensions() *rapid.Generator[Dimension] {
	return rapid.Custom(func(t *rapid.T) Dimension {
		d := Dimension{Name: "x", Scale: rapid.SampledFrom([]Scale{ScaleInt, ScaleFloat, ScaleLogFloat, ScaleChoice}).Draw(t, "scale")}
		switch d.Scale {
		case ScaleInt:
			d.Min = float64(rapid.Int64Range(-wholeMax, wholeMax-1).Draw(t, "min"))
			d.Max = float64(rapid.Int64Range(int64(d.Min)+1, wholeMax).Draw(t, "max"))
		case ScaleFloat:
			d.Min = rapid.Float64Range(-math.MaxFloat64, 1e300).Draw(t, "min")
			d.Max = rapid.Float64Range(math.Nextafter(d.Min, math.Inf(1)), math.MaxFloat64).Draw(t, "max")
		case ScaleLogFloat:
			d.Min = rapid.Float64Range(math.SmallestNonzeroFloat64, 1e300).Draw(t, "min")
			d.Max = rapid.Float64Range(math.Nextafter(d.Min, math.Inf(1)), math.MaxFloat64).Draw(t, "max")
		case ScaleChoice:
			for _, choice := range rapid.SliceOfNDistinct(rapid.IntRange(-5, 5), 1, 5, rapid.ID).Draw(t, "choices") {
				d.Choices = append(d.Choices, json.RawMessage(strconv.Itoa(choice)))
			}
			d.Ordered = sortChoices(d.Choices)
		}
		return d
	})
}

// holds reports whether a value is one of the dimension's.
func (d *Dimension) holds(value json.RawMessage) bool {
	if d.Scale == ScaleChoice {
		for _, choice := range d.Choices {
			if sameValue(choice, value) {
				return true
			}
		}
		return false
	}
	x, ok := d.number(value)
	return ok && (d.Scale != ScaleInt || x == math.Trunc(x))
}

// TestDimensionProperties holds samples and steps of any dimension to its bounds.
func TestDimensionProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := dimensions().Draw(t, "dimension")
		random := randomFor(rapid.Int().Draw(t, "seed"), 1, 0)
		value := d.sample(random)
		for range 20 {
			if !d.holds(value) {
				t.Fatalf("%s is not in %+v", value, d)
			}
			next := d.step(random, value)
			if d.Scale == ScaleInt && string(next) == string(value) {
				t.Fatalf("a step of an int stays at %s", value)
			}
			if d.Scale == ScaleChoice && len(d.Choices) > 1 && sameValue(next, value) {
				t.Fatalf("a step of a choice stays at %s", value)
			}
			value = next
		}
	})
}

// TestStepFromElsewhere steps from values that are none of the dimension's: it samples.
func TestStepFromElsewhere(t *testing.T) {
	t.Parallel()
	all := Space{
		{Scale: ScaleInt, Min: 1, Max: 4}, {Scale: ScaleFloat, Min: 0, Max: 1}, {Scale: ScaleLogFloat, Min: 0.1, Max: 1},
		{Scale: ScaleChoice, Choices: []json.RawMessage{json.RawMessage(`"a"`), json.RawMessage(`{"b":1}`)}},
	}
	for i := range all {
		d := &all[i]
		for _, from := range []string{"99", "-1", `"x"`, "null", "[]", "NaN", "Infinity", "true", "1.5", "1e999"} {
			if got := d.step(randomFor(1, 1, 0), json.RawMessage(from)); !d.holds(got) {
				t.Errorf("%s from %s: %s", d.Scale, from, got)
			}
		}
	}
}

func TestRounded(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ x, width, want float64 }{
		{0.0312345, 1, 0.03123}, {123456, 1e6, 123500}, {0, 1, 0}, {-0.99999, 2, -1},
		{1000000.123456, 1, 1000000.123}, {1e-300, 1, 1e-300}, {0.5, 0, 0.5},
	} {
		if got := rounded(c.x, c.width); got != c.want {
			t.Errorf("rounded(%v, %v) = %v, want %v", c.x, c.width, got, c.want)
		}
	}
}

// TestLogFloatIsEven counts samples by decade.
func TestLogFloatIsEven(t *testing.T) {
	t.Parallel()
	d := Dimension{Scale: ScaleLogFloat, Min: 1e-4, Max: 1}
	random := randomFor(1, 1, 0)
	var decades [4]int
	for range 4000 {
		x, err := strconv.ParseFloat(string(d.sample(random)), 64)
		if err != nil {
			t.Fatal(err)
		}
		decades[min(3, int(math.Log10(x)+4))]++
	}
	for i, count := range decades {
		if count < 850 || count > 1150 {
			t.Errorf("decade %d has %d of 4000", i, count)
		}
	}
}

func TestPoints(t *testing.T) {
	t.Parallel()
	f := mustParse(t, "{kinds: {default: {command: [x]}}, space: {a: {int: [1, 3]}, b: {choice: [x, y]}}}")
	if got := f.Space.points(); got != 6 {
		t.Errorf("%v points, want 6", got)
	}
	f = mustParse(t, "{kinds: {default: {command: [x]}}, space: {a: {int: [1, 3]}, b: {float: [0, 1]}}}")
	if got := f.Space.points(); !math.IsInf(got, 1) {
		t.Errorf("%v points, want infinitely many", got)
	}
}
