package report

import (
	"math"
	"strconv"
)

// axis maps values to pixels, linearly.
type axis struct {
	low, high float64 // values; low < high
	from, to  float64 // their pixels
}

func (a axis) at(value float64) float64 { return a.from + (value-a.low)/(a.high-a.low)*(a.to-a.from) }

// contains reports whether a value lies on the axis.
func (a axis) contains(value float64) bool { return value >= a.low && value <= a.high }

// valueLimit bounds what is drawn, so that differences of values stay finite.
const valueLimit = 1e300

// widen makes room between two bounds that are, or nearly are, equal.
func widen(low, high float64) (float64, float64) {
	low, high = max(low, -valueLimit), min(high, valueLimit)
	if room := max(math.Abs(low), math.Abs(high)); high-low < room*1e-9 || high-low < 1e-290 {
		half := room * 0.05
		if half < 1e-280 {
			half = 1
		}
		middle := low + (high-low)/2
		return middle - half, middle + half
	}
	return low, high
}

// tick is a labelled place on an axis.
type tick struct {
	value float64
	label string
}

// ticks returns round values between low and high, about as many as wished.
func ticks(low, high float64, wished int) []tick {
	step := roundStep((high - low) / float64(max(wished, 1)))
	var out []tick
	first := math.Ceil(low / step)
	for i := range 4 * (wished + 1) {
		value := (first + float64(i)) * step
		if value > high {
			break
		}
		out = append(out, tick{value, tickLabel(value, step)})
	}
	return out
}

// roundStep returns the next larger 1, 2 or 5 times a power of ten.
func roundStep(x float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, digit := range []float64{1, 2, 5} {
		if digit*power >= x*0.999999 {
			return digit * power
		}
	}
	return 10 * power
}

// tickLabel writes a tick with as many decimals as its step has.
func tickLabel(value, step float64) string {
	if math.Abs(value) < step/2 {
		return "0"
	}
	if math.Abs(value) >= 1e7 || step < 1e-6 {
		digits := int(math.Ceil(math.Log10(math.Abs(value)/step))) + 1
		return strconv.FormatFloat(value, 'g', min(max(digits, 2), 12), 64)
	}
	return strconv.FormatFloat(value, 'f', max(0, -int(math.Floor(math.Log10(step)+1e-9))), 64)
}

// countTicks returns round whole numbers from 1 to n.
func countTicks(n, wished int) []tick {
	step := max(1, int(roundStep(float64(n)/float64(max(wished, 1)))))
	out := []tick{{1, "1"}}
	for k := step; k <= n; k += step {
		if k > 1 && (k > step/2 || step == 1) {
			out = append(out, tick{float64(k), strconv.Itoa(k)})
		}
	}
	return out
}
