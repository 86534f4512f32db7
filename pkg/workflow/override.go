package workflow

import (
	"fmt"
	"strconv"
	"strings"
)

// override changes the tree by key=value arguments, in order, and returns what cannot be done. Whether the file knows
// the keys is found out when it is read.
func override(tree *node, file string, overrides []string) Problems {
	var problems Problems
	for _, argument := range overrides {
		refuse := func(format string, args ...any) {
			problems = append(problems, Problem{File: file, Override: argument, Message: fmt.Sprintf(format, args...)})
		}
		path, text, ok := strings.Cut(argument, "=")
		if !ok || path == "" {
			refuse("write it as key=value, like stop.patience=30")
			continue
		}
		value := &node{tag: "!!null", at: position{override: argument}}
		if strings.TrimSpace(text) != "" {
			parsed, wrong := parseTree([]byte(text), file, argument)
			if problems = append(problems, wrong...); len(wrong) > 0 {
				continue
			}
			value = parsed
		}
		if err := assign(tree, path, value); err != nil {
			refuse("%s", err)
		}
	}
	return problems
}

// assign puts value at the dotted path below n. Sections that are missing on the way are made.
func assign(n *node, path string, value *node) error {
	if n.null() {
		*n = node{shape: objectShape, at: value.at}
	}
	switch n.shape {
	case listShape:
		return assignItem(n, path, value)
	case objectShape:
		return assignKey(n, path, value)
	}
	return fmt.Errorf("%s has no key %s", n.what(), path)
}

func assignItem(n *node, path string, value *node) error {
	index, rest, deeper := strings.Cut(path, ".")
	i, err := strconv.Atoi(index)
	if err != nil || i < 0 || i >= len(n.items) {
		return fmt.Errorf("there is no entry %q; the list has %d, counted from 0", index, len(n.items))
	}
	if deeper {
		return assign(n.items[i], rest, value)
	}
	n.items[i] = value
	return nil
}

func assignKey(n *node, path string, value *node) error {
	name, rest := splitKey(n, path)
	for i := range n.fields {
		if n.fields[i].name != name {
			continue
		}
		if rest != "" {
			return assign(n.fields[i].value, rest, value)
		}
		n.fields[i].value = value
		return nil
	}
	if rest != "" {
		section := &node{shape: objectShape, at: value.at}
		if err := assign(section, rest, value); err != nil {
			return err
		}
		value = section
	}
	n.fields = append(n.fields, field{name: name, at: value.at, value: value})
	return nil
}

// splitKey cuts the first key off a path: the longest one the object has, since a key may hold dots itself, else what
// stands before the first dot.
func splitKey(n *node, path string) (name, rest string) {
	for i := range n.fields {
		candidate := n.fields[i].name
		if len(candidate) > len(name) && (path == candidate || strings.HasPrefix(path, candidate+".")) {
			name = candidate
		}
	}
	if name == "" {
		name, rest, _ = strings.Cut(path, ".")
		return name, rest
	}
	return name, strings.TrimPrefix(path[len(name):], ".")
}
