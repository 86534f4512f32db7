package main

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"autoresearch/pkg/api"
)

// metrics lists values by name.
func metrics(values map[string]api.Number) string {
	var words []string
	for _, key := range slices.Sorted(maps.Keys(values)) {
		number := values[key]
		words = append(words, harmless(key, 40)+"="+value(&number))
	}
	return strings.Join(words, " ")
}

var (
	ofPattern      = regexp.MustCompile(`(\d+(?:\.\d+)?)\s*(?:/|of)\s*(\d+(?:\.\d+)?)`)
	percentPattern = regexp.MustCompile(`(\d+(?:\.\d+)?)\s*%`)
)

// share reads how far a progress line says that it is: "step 30/100", "3 of 10", "42 %". ok is false when it says nothing.
func share(progress string) (done float64, ok bool) {
	if m := ofPattern.FindStringSubmatch(progress); m != nil {
		part, err1 := strconv.ParseFloat(m[1], 64)
		whole, err2 := strconv.ParseFloat(m[2], 64)
		if err1 == nil && err2 == nil && whole > 0 {
			return min(1, part/whole), true
		}
	}
	if m := percentPattern.FindStringSubmatch(progress); m != nil {
		if part, err := strconv.ParseFloat(m[1], 64); err == nil {
			return min(1, part/100), true
		}
	}
	return 0, false
}

// bar draws a share as a bar of a width.
func bar(done float64, width int) string {
	full := int(done*float64(width) + 0.5)
	return "[" + strings.Repeat("#", full) + strings.Repeat("-", width-full) + "]"
}
