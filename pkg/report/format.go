package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// number writes a value with six significant digits.
func number(x float64) string {
	switch {
	case math.IsNaN(x):
		return "NaN"
	case math.IsInf(x, 1):
		return "Infinity"
	case math.IsInf(x, -1):
		return "-Infinity"
	case x != 0 && (math.Abs(x) >= 1e9 || math.Abs(x) < 1e-4):
		return strconv.FormatFloat(x, 'g', 6, 64)
	}
	return trimZeros(strconv.FormatFloat(x, 'f', decimals(x), 64))
}

// decimals is how many decimals show six significant digits of x.
func decimals(x float64) int {
	if x == 0 {
		return 0
	}
	return max(0, 5-int(math.Floor(math.Log10(math.Abs(x)))))
}

// trimZeros takes the zeros off the end of the decimals of a number.
func trimZeros(text string) string {
	if !strings.Contains(text, ".") {
		return text
	}
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

// signed writes a difference with its sign.
func signed(x float64) string {
	if x > 0 {
		return "+" + number(x)
	}
	return number(x)
}

// versus writes how far value is from base, in absolute numbers and in percent: "-0.0123 (-1.30 %)". There is no
// percentage of nothing, and none that is out of all proportion.
func versus(value, base float64) string {
	difference := value - base
	share := difference / math.Abs(base)
	if base == 0 || !(math.Abs(share) < 1e4) {
		return signed(difference)
	}
	return fmt.Sprintf("%s (%+.2f %%)", signed(difference), 100*share)
}

// duration writes seconds for people: "0.25 s", "3m 20s", "2h 05m", "3d 04h".
func duration(seconds float64) string {
	if !finite(seconds) || seconds < 0 || seconds >= 1e11 {
		return "unknown"
	}
	if seconds < 59.95 {
		return strconv.FormatFloat(seconds, 'g', 3, 64) + " s"
	}
	whole := int64(math.Round(seconds))
	switch {
	case whole < 3600:
		return fmt.Sprintf("%dm %02ds", whole/60, whole%60)
	case whole < 48*3600:
		return fmt.Sprintf("%dh %02dm", whole/3600, whole%3600/60)
	}
	return fmt.Sprintf("%dd %02dh", whole/86400, whole%86400/3600)
}

// instant writes Unix seconds as a UTC time, "" when unknown or out of any calendar.
func instant(seconds *float64) string {
	if seconds == nil || !finite(*seconds) || math.Abs(*seconds) > 1e11 {
		return ""
	}
	whole, fraction := math.Modf(*seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)).UTC().Truncate(time.Millisecond).Format(time.RFC3339Nano)
}

// count writes a number of things: "1 experiment", "2 experiments".
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}
