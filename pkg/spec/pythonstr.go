package spec

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// asText reads the value ahead as text, by the rule of the original's str(): a string is itself, 5 is "5", true is
// "True", null is "None", a list or an object its Python literal.
func (s *scanner) asText() (string, error) {
	if s.peek() == '"' {
		token, err := s.str()
		return token.text(), err
	}
	literal, err := s.appendLiteral(nil, 1)
	return string(literal), err
}

// textOrNull is asText with null read as "".
func (s *scanner) textOrNull() (string, error) {
	if s.peek() == 'n' {
		return "", s.skip(1)
	}
	return s.asText()
}

// appendLiteral appends the value ahead as the Python literal that repr() gives.
func (s *scanner) appendLiteral(dst []byte, depth int) ([]byte, error) {
	switch s.peek() {
	case '{':
		return s.appendDictLiteral(dst, depth)
	case '[':
		return s.appendListLiteral(dst, depth)
	case '"':
		token, err := s.str()
		return appendStringLiteral(dst, token.text()), err
	}
	token, err := s.scalar()
	return append(dst, scalarLiteral(token)...), err
}

func (s *scanner) appendDictLiteral(dst []byte, depth int) ([]byte, error) {
	dst = append(dst, '{')
	start := len(dst)
	err := s.object(depth, func(key quoted) (err error) {
		if len(dst) > start {
			dst = append(dst, ", "...)
		}
		dst = append(appendStringLiteral(dst, key.text()), ": "...)
		dst, err = s.appendLiteral(dst, depth+1)
		return err
	})
	return append(dst, '}'), err
}

func (s *scanner) appendListLiteral(dst []byte, depth int) ([]byte, error) {
	dst = append(dst, '[')
	err := s.array(depth, func(index int) (err error) {
		if index > 0 {
			dst = append(dst, ", "...)
		}
		dst, err = s.appendLiteral(dst, depth+1)
		return err
	})
	return append(dst, ']'), err
}

// scalarLiteral returns the Python literal of a number or a word.
func scalarLiteral(token []byte) string {
	switch text := string(token); text {
	case "true":
		return "True"
	case "false":
		return "False"
	case "null":
		return "None"
	default:
		return strings.NewReplacer("NaN", "nan", "Infinity", "inf").Replace(string(appendNumberMeaning(nil, token)))
	}
}

// appendNumberMeaning appends a number as Python would write it after reading it: integers exactly, others as the
// nearest float64.
func appendNumberMeaning(dst, token []byte) []byte {
	if isInteger(token) {
		if string(token) == "-0" {
			token = token[1:]
		}
		return append(dst, token...)
	}
	// The token was checked, so the only error left is a range that overflows to an infinity, which is its meaning.
	f, _ := strconv.ParseFloat(string(token), 64)
	return appendFloat(dst, f)
}

// appendStringLiteral appends text in Python's quotes.
func appendStringLiteral(dst []byte, text string) []byte {
	quote := byte('\'')
	if strings.Contains(text, "'") && !strings.Contains(text, `"`) {
		quote = '"'
	}
	dst = append(dst, quote)
	for len(text) > 0 {
		r, size := decodeWTF8(text)
		dst = appendLiteralRune(dst, r, rune(quote))
		text = text[size:]
	}
	return append(dst, quote)
}

func appendLiteralRune(dst []byte, r, quote rune) []byte {
	switch {
	case r == quote || r == '\\':
		return append(dst, '\\', byte(r))
	case r == '\n':
		return append(dst, `\n`...)
	case r == '\r':
		return append(dst, `\r`...)
	case r == '\t':
		return append(dst, `\t`...)
	case unicode.IsPrint(r):
		return utf8.AppendRune(dst, r)
	case r < 0x100:
		return fmt.Appendf(dst, `\x%02x`, r)
	case r < 0x10000:
		return fmt.Appendf(dst, `\u%04x`, r)
	}
	return fmt.Appendf(dst, `\U%08x`, r)
}
