package worker

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// ProgressPrefix begins a line of standard output that is progress of an experiment. What follows is text for people;
// words of the form name=number in it are metrics.
const ProgressPrefix = "[autoresearch]"

const (
	// metricNameMax is the longest name of a metric, in bytes; metricsMax is how many different ones an attempt may have.
	metricNameMax = 200
	metricsMax    = 1000
	// progressTextMax is how much of a progress line is kept, in bytes.
	progressTextMax = 1024
)

// parseProgress reads one line. ok says that it is a progress line; text is what follows the prefix. metric is called for
// each name=number of the line, in order. Words are separated by white space, commas and semicolons; a number is decimal
// with an optional exponent, or nan, inf or infinity in any case with an optional sign. A number too large for a float64
// is infinite.
func parseProgress(line []byte, metric func(name string, value float64)) (text string, ok bool) {
	rest, ok := bytes.CutPrefix(line, []byte(ProgressPrefix))
	if !ok {
		return "", false
	}
	text = strings.TrimSpace(strings.ToValidUTF8(string(rest), "\uFFFD"))
	for word := range strings.FieldsFuncSeq(text, endsWord) {
		name, number, found := strings.Cut(word, "=")
		if !found || name == "" || len(name) > metricNameMax {
			continue
		}
		if value, ok := parseNumber(number); ok {
			metric(name, value)
		}
	}
	return clipText(text, progressTextMax), true
}

func endsWord(r rune) bool {
	switch r {
	case ' ', '\t', '\r', '\v', '\f', ',', ';':
		return true
	}
	return false
}

// parseNumber reads a decimal number, nan or inf.
func parseNumber(s string) (float64, bool) {
	if strings.ContainsAny(s, "_xX") {
		return 0, false // Go's own notations
	}
	value, err := strconv.ParseFloat(s, 64)
	return value, err == nil || errors.Is(err, strconv.ErrRange)
}

// clipText returns at most limit bytes of s, cut between characters.
func clipText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "")
}
