package workflow

import (
	"math/big"
	"regexp"
	"strings"

	"autoresearch/pkg/spec"
)

// JSON text of YAML values. Numbers keep their digits: an integer of any size and the text of a float go over as they
// were written, .nan and .inf become the bare words NaN and Infinity of the files, and what JSON has no type for
// (a timestamp, binary data, a tag of one's own) becomes a string of its characters.

// appendJSON appends the JSON text of n to text. field is the path for messages.
func (r *reader) appendJSON(text []byte, n *node, field string) []byte {
	switch n.shape {
	case listShape:
		text = append(text, '[')
		for i, item := range n.items {
			text = r.appendJSON(comma(text, i), item, at(field, i))
		}
		return append(text, ']')
	case objectShape:
		text = append(text, '{')
		for i, f := range n.fields {
			text = append(append(comma(text, i), quoted(f.name)...), ':')
			text = r.appendJSON(text, f.value, under(field, f.name))
		}
		return append(text, '}')
	}
	return append(text, r.scalarJSON(n, field)...)
}

func comma(text []byte, index int) []byte {
	if index > 0 {
		return append(text, ',')
	}
	return text
}

// scalarJSON returns the JSON text of a scalar.
func (r *reader) scalarJSON(n *node, field string) string {
	switch {
	case n.null():
		return "null"
	case n.tag == "!!bool":
		return strings.ToLower(n.text)
	case n.tag == "!!int", n.tag == "!!float", n.plain && decimal.MatchString(n.text):
		number, complaint := numberText(n.text)
		if complaint != "" {
			r.refuse(n.at, field, "%q %s", shortened(n.text), complaint)
			return "null"
		}
		return number
	}
	return quoted(n.text)
}

// quoted returns text as a JSON string.
func quoted(text string) string {
	encoded, err := spec.EncodeValue(text)
	if err != nil {
		panic("workflow: a string that JSON cannot hold: " + err.Error()) // every string has a JSON form
	}
	return string(encoded)
}

var (
	decimal = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
	octal   = regexp.MustCompile(`^[-+]?0[0-9]+$`)
	words   = map[string]string{".nan": "NaN", ".inf": "Infinity", "+.inf": "Infinity", "-.inf": "-Infinity"}
)

// numberText returns the JSON text of a YAML number, or what is wrong with it, to be said behind the number.
func numberText(yamlText string) (number, complaint string) {
	text := strings.ReplaceAll(yamlText, "_", "")
	if word, ok := words[strings.ToLower(text)]; ok {
		return word, ""
	}
	if octal.MatchString(text) {
		return "", "is octal to some readers of YAML and decimal to others; write 0o for octal, drop the zeros, or quote it"
	}
	if decimal.MatchString(text) {
		return jsonDecimal(text), ""
	}
	const base16Max = 4096 // digits; conversion is quadratic
	if integer, ok := new(big.Int).SetString(text[:min(len(text), base16Max)], 0); ok {
		return integer.String(), ""
	}
	return "", "is not a number"
}

// jsonDecimal rewrites the forms of a decimal number that JSON does not know: "+1", ".5", "1." and "01.5".
func jsonDecimal(text string) string {
	sign, digits := "", strings.TrimPrefix(text, "+")
	if rest, negative := strings.CutPrefix(digits, "-"); negative {
		sign, digits = "-", rest
	}
	whole, tail := digits, ""
	if i := strings.IndexAny(digits, ".eE"); i >= 0 {
		whole, tail = digits[:i], digits[i:]
	}
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if tail == "." || strings.HasPrefix(tail, ".e") || strings.HasPrefix(tail, ".E") {
		tail = ".0" + tail[1:]
	}
	return sign + whole + tail
}
