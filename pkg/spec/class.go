package spec

import (
	"maps"
	"slices"
	"strings"
)

// ClassRequiring names the class of tasks that run in a class's slots on workers with certain labels only: gpu with zone=a
// required is gpu[zone=a]. A worker of the class whose labels match serves it with the same slots. Without requirements it
// is the class itself.
func ClassRequiring(class string, requires map[string]string) string {
	if len(requires) == 0 {
		return class
	}
	labels := make([]string, 0, len(requires))
	for _, name := range slices.Sorted(maps.Keys(requires)) {
		labels = append(labels, name+"="+requires[name])
	}
	return class + "[" + strings.Join(labels, ",") + "]"
}

// BaseClass returns the class whose slots a class uses: itself, unless it requires labels.
func BaseClass(class string) string {
	base, _ := splitClass(class)
	return base
}

// ClassMatches reports whether a worker with these labels has all that the class requires.
func ClassMatches(class string, labels []string) bool {
	_, required := splitClass(class)
	for _, label := range required {
		if !slices.Contains(labels, label) {
			return false
		}
	}
	return true
}

func splitClass(class string) (base string, required []string) {
	base, list, found := strings.Cut(class, "[")
	list, closed := strings.CutSuffix(list, "]")
	if !found || !closed || base == "" || list == "" {
		return class, nil
	}
	return base, strings.Split(list, ",")
}

// LabelValid reports whether NAME=VALUE can be a worker's label, and required.
func LabelValid(label string) bool {
	name, value, found := strings.Cut(label, "=")
	return found && name != "" && value != "" && !strings.ContainsAny(label, "[], \t\r\n\x00")
}
