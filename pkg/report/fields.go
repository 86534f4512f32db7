package report

import (
	"math"
	"strconv"
	"strings"

	"autoresearch/pkg/spec"
)

// objectFields returns the top keys of a JSON object in order, values as written; nil for what is no object.
func objectFields(text []byte) []spec.Field {
	fields, err := spec.DecodeFields(text)
	if err != nil {
		return nil // a report shows what it can read
	}
	return fields
}

// textOf returns a JSON value as text for people: a string's content, anything else as written.
func textOf(value []byte) string {
	if len(value) > 0 && value[0] == '"' {
		if text, err := decodeAs[string](value); err == nil {
			return text
		}
	}
	return strings.Join(strings.Fields(string(value)), " ")
}

// numberOf reads a number: a JSON number, or one of the words for what JSON has no number for, bare or quoted.
func numberOf(value []byte) (number float64, ok bool) {
	text := strings.TrimSpace(string(value))
	switch strings.Trim(text, `"`) {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	if text == "" || !strings.ContainsRune("-0123456789", rune(text[0])) {
		return 0, false
	}
	number, err := strconv.ParseFloat(text, 64)
	return number, err == nil || math.IsInf(number, 0) // a number out of range is infinite
}

// metricsOf returns the metrics of a node's result. What is not a number is left out.
func metricsOf(n *spec.HypothesisNode) map[string]float64 {
	metrics := map[string]float64{}
	for _, part := range objectFields(n.Result) {
		if part.Name != "metrics" {
			continue
		}
		for _, field := range objectFields(part.Value) {
			if value, ok := numberOf(field.Value); ok {
				metrics[field.Name] = value
			}
		}
	}
	return metrics
}
