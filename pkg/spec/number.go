package spec

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"
)

// appendFloat appends a number as the original's Python prints it: the shortest digits that read back as the same
// number, always with a point or an exponent; NaN, Infinity and -Infinity as bare words.
func appendFloat(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	if size := math.Abs(f); size != 0 && (size < 1e-4 || size >= 1e16) {
		return strconv.AppendFloat(dst, f, 'e', -1, 64)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'f', -1, 64)
	if bytes.IndexByte(dst[start:], '.') < 0 {
		dst = append(dst, ".0"...)
	}
	return dst
}

// isInteger reports whether a number of a JSON text is an integer to Python: no point, no exponent, no word.
func isInteger(token []byte) bool { return !bytes.ContainsAny(token, ".eENI") }

// float reads the number ahead as a float64. A number with a point or an exponent may overflow to an infinity, as in
// Python; an integer may not.
func (s *scanner) float() (float64, error) {
	start := s.pos
	token, err := s.scalar()
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(string(token), 64)
	if errors.Is(err, strconv.ErrRange) && isInteger(token) {
		return 0, s.fail(start, "the integer %s is too large for a number", clip(token))
	}
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, s.fail(start, "%s is not a number", clip(token))
	}
	return f, nil
}

// lenientFloat reads the value ahead as the original's float() does: a number, a numeric string or a boolean.
func (s *scanner) lenientFloat() (float64, error) {
	switch start := s.pos; s.peek() {
	case 't', 'f':
		word, err := s.scalar()
		if err != nil || string(word) == "false" {
			return 0, err
		}
		return 1, nil
	case '"':
		token, err := s.str()
		if err != nil {
			return 0, err
		}
		f, ok := parsePythonFloat(token.text())
		if !ok {
			return 0, s.fail(start, "the string %q is not a number", clip(token.text()))
		}
		return f, nil
	case '{', '[', 'n':
		return 0, s.fail(start, "must be a number, not %s", s.typeName())
	default:
		return s.float()
	}
}

// priority reads the value ahead as a priority: a lenientFloat that is not NaN.
func (s *scanner) priority() (float64, error) {
	start := s.pos
	f, err := s.lenientFloat()
	if err == nil && math.IsNaN(f) {
		return 0, s.fail(start, "NaN is not a priority: it has no place in an order")
	}
	return f, err
}

// parsePythonFloat reads text by the rules of Python's float(), but for digits beyond ASCII.
func parsePythonFloat(text string) (float64, bool) {
	text = strings.TrimSpace(text)
	if strings.ContainsAny(text, "xXpP") {
		return 0, false
	}
	plain := make([]byte, 0, len(text))
	for i := range len(text) {
		if text[i] != '_' {
			plain = append(plain, text[i])
			continue
		}
		if i == 0 || i == len(text)-1 || !isDigit(text[i-1]) || !isDigit(text[i+1]) {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(string(plain), 64)
	return f, err == nil || errors.Is(err, strconv.ErrRange)
}

// truth reads the value ahead as a boolean: true, false, null (false) or a number (false when zero).
func (s *scanner) truth() (bool, error) {
	switch start := s.pos; s.peek() {
	case '"', '{', '[':
		return false, s.fail(start, "must be true or false, not %s", s.typeName())
	case 'n', 't', 'f':
		word, err := s.scalar()
		return string(word) == "true", err
	default:
		f, err := s.float()
		return f != 0, err
	}
}
