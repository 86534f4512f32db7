package workflow

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// The bounds of a file. They are far above what a person writes, and keep a file of aliases that name aliases from
// filling the memory.
const (
	fileBytesMax = 1 << 20
	nodesMax     = 250_000
	depthMax     = 100
)

// position is where a value was written: a place in the file, or an override of the command line.
type position struct {
	line, column int
	override     string
}

type shape uint8

const (
	scalarShape shape = iota
	listShape
	objectShape
)

// node is one value of a file, with aliases and merge keys followed and keys made text.
type node struct {
	shape shape
	at    position
	// tag and text are a scalar's YAML type ("!!int") and its characters; plain says that it was not quoted.
	tag   string
	text  string
	plain bool
	// items are a list's entries, fields an object's keys in file order.
	items  []*node
	fields []field
}

type field struct {
	name  string
	at    position
	value *node
}

// null reports whether the value was written as null or not at all.
func (n *node) null() bool { return n.shape == scalarShape && n.tag == "!!null" }

// get returns the value of a key, nil when the object has none.
func (n *node) get(name string) *node {
	for i := range n.fields {
		if n.fields[i].name == name {
			return n.fields[i].value
		}
	}
	return nil
}

// what names the value in a message.
func (n *node) what() string {
	switch {
	case n.shape == listShape:
		return "a list"
	case n.shape == objectShape:
		return "a mapping"
	case n.null():
		return "nothing"
	}
	return fmt.Sprintf("%q", shortened(n.text))
}

// shortened cuts a value that is quoted in a message.
func shortened(text string) string {
	const shown = 60
	if len(text) <= shown {
		return text
	}
	return strings.ToValidUTF8(text[:shown], "") + "..."
}

// parseTree reads one YAML document. It returns nil with the problems when it is not one. The positions of an override
// are the override itself.
func parseTree(data []byte, file, override string) (*node, Problems) {
	refuse := func(line, column int, message string) (*node, Problems) {
		return nil, Problems{{File: file, Line: line, Column: column, Override: override, Message: message}}
	}
	if len(data) > fileBytesMax {
		return refuse(0, 0, fmt.Sprintf("the file has %d bytes; a workflow has at most %d", len(data), fileBytesMax))
	}
	var documents []yaml.Node
	if err := yaml.Load(data, &documents, yaml.WithAllDocuments()); err != nil {
		return refuse(syntaxError(err))
	}
	switch {
	case len(documents) == 0 || len(documents[0].Content) == 0:
		return refuse(0, 0, nothingThere(override))
	case len(documents) > 1:
		return refuse(documents[1].Line, documents[1].Column, "a second document begins here; a workflow is one document")
	}
	b := builder{file: file, override: override, open: map[*yaml.Node]bool{}}
	root := b.build(documents[0].Content[0], 0)
	if len(b.problems) > 0 {
		return nil, b.problems
	}
	return root, nil
}

func nothingThere(override string) string {
	if override != "" {
		return "there is no value"
	}
	return "the file is empty"
}

// syntaxError takes a YAML error apart.
func syntaxError(err error) (line, column int, message string) {
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		return 0, 0, "not YAML: " + err.Error()
	}
	message = "not YAML: " + strings.TrimPrefix(load.Message, "yaml: ")
	if load.ContextMsg != "" {
		message += " (" + load.ContextMsg + ")"
	}
	return load.Mark.Line, load.Mark.Column, message
}

// builder turns YAML nodes into nodes. After the first problem of size it goes on with empty values.
type builder struct {
	file, override string
	problems       Problems
	count          int
	full           bool
	// open holds the nodes being built, to find an alias that holds itself.
	open map[*yaml.Node]bool
}

func (b *builder) refuse(n *yaml.Node, format string, args ...any) {
	b.problems = append(b.problems, Problem{
		File: b.file, Line: n.Line, Column: n.Column, Override: b.override, Message: fmt.Sprintf(format, args...),
	})
}

func (b *builder) position(n *yaml.Node) position {
	return position{line: n.Line, column: n.Column, override: b.override}
}

// build follows aliases and converts n and what it holds.
func (b *builder) build(n *yaml.Node, depth int) *node {
	built := &node{at: b.position(n), tag: "!!null"}
	if !b.room(n, depth) {
		return built
	}
	if n.Kind == yaml.AliasNode {
		target := b.build(n.Alias, depth+1)
		aliased := *target
		aliased.at = built.at
		return &aliased
	}
	b.open[n] = true
	defer delete(b.open, n)
	switch n.Kind {
	case yaml.SequenceNode:
		built.shape, built.tag = listShape, ""
		for _, item := range n.Content {
			built.items = append(built.items, b.build(item, depth+1))
		}
	case yaml.MappingNode:
		built.shape, built.tag = objectShape, ""
		b.object(built, n, depth)
	default:
		built.tag, built.text, built.plain = n.ShortTag(), n.Value, n.Style == 0
	}
	return built
}

// room reports whether n may still be built: the file is not too big or too deep, and n does not hold itself.
func (b *builder) room(n *yaml.Node, depth int) bool {
	b.count++
	switch {
	case b.full:
	case b.count > nodesMax:
		b.full = true
		b.refuse(n, "more than %d values once the aliases are followed", nodesMax)
	case depth > depthMax:
		b.full = true
		b.refuse(n, "nested deeper than %d levels", depthMax)
	case b.open[n]:
		b.full = true
		b.refuse(n, "the alias of %q holds itself", n.Anchor)
	}
	return !b.full
}

// object fills built with the keys of n. A key given twice is refused; the keys of a merge ("<<") fill what n does not
// set itself, an earlier mapping before a later one.
func (b *builder) object(built *node, n *yaml.Node, depth int) {
	first := map[string]int{}
	var merges []*node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.ShortTag() == "!!merge" {
			merges = append(merges, b.mergeSources(value, depth)...)
			continue
		}
		name, ok := b.key(key)
		if !ok {
			continue
		}
		if line, twice := first[name]; twice {
			b.refuse(key, "the key %q is given twice, first in line %d", shortened(name), line)
			continue
		}
		first[name] = key.Line
		built.fields = append(built.fields, field{name: name, at: b.position(key), value: b.build(value, depth+1)})
	}
	for _, source := range merges {
		for _, f := range source.fields {
			if _, set := first[f.name]; !set {
				first[f.name] = f.at.line
				built.fields = append(built.fields, f)
			}
		}
	}
}

// key returns a key as text, whatever its type.
func (b *builder) key(key *yaml.Node) (name string, ok bool) {
	for range depthMax {
		if key.Kind != yaml.AliasNode {
			break
		}
		key = key.Alias
	}
	if key.Kind != yaml.ScalarNode {
		b.refuse(key, "a key must be text, not a list or a mapping; quote a value that begins with {{")
		return "", false
	}
	return key.Value, true
}

// mergeSources returns the mappings that a merge key names.
func (b *builder) mergeSources(value *yaml.Node, depth int) []*node {
	source := b.build(value, depth+1)
	sources := []*node{source}
	if source.shape == listShape {
		sources = source.items
	}
	if slices.ContainsFunc(sources, func(n *node) bool { return n.shape != objectShape }) && !b.full {
		b.refuse(value, "a merge (<<) takes a mapping or a list of mappings")
		return nil
	}
	return sources
}
