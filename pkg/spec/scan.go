package spec

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// DepthMax is how deep the values of a file (payloads, results, unknown keys) may nest objects and lists. It is counted
// from the value itself, so that what was accepted alone is accepted inside a queue too.
const DepthMax = 512

// DecodeError says what is wrong in a JSON text, and where. Its text is short, however large the input.
type DecodeError struct {
	// Field is the path of the value from the top of the text ("queued[3].priority"); "" when the text as a whole is
	// meant.
	Field string
	// Offset counts bytes from the start of the text. Line and Column (in bytes) count from 1.
	Offset, Line, Column int
	// Problem is the reason, in words.
	Problem string
}

// Error returns the path, the reason and the place.
func (e *DecodeError) Error() string {
	place := fmt.Sprintf("%s (line %d, column %d, byte %d)", e.Problem, e.Line, e.Column, e.Offset)
	if e.Field == "" {
		return place
	}
	return e.Field + ": " + place
}

// inField puts the path element in front of the path of an error from the value it names.
func inField(element string, err error) error {
	var inner *DecodeError
	if !errors.As(err, &inner) {
		return err
	}
	outer := *inner
	switch {
	case inner.Field == "":
		outer.Field = element
	case inner.Field[0] == '[':
		outer.Field = element + inner.Field
	default:
		outer.Field = element + "." + inner.Field
	}
	return &outer
}

// inItem is inField for an element of a list.
func inItem(index int, err error) error { return inField(fmt.Sprintf("[%d]", index), err) }

// inKey is inField for the value of a key; it leaves nil.
func inKey(key quoted, err error) error {
	if err == nil {
		return nil
	}
	return inField(clip(key.text()), err)
}

// clip shortens text for an error message.
func clip[T ~string | ~[]byte](text T) string {
	const limit = 48
	if len(text) <= limit {
		return string(text)
	}
	return string(text[:limit]) + "..."
}

// scanner reads one text of the original's JSON dialect: JSON and the bare words NaN, Infinity and -Infinity; lone
// surrogates may stand in escapes. It reads from a text it never changes, so several scanners may share one.
type scanner struct {
	text    []byte
	pos     int
	scratch []byte // for copyValue
}

// at returns a scanner of the same text at another place: a second look at a value already passed.
func (s *scanner) at(pos int) *scanner { return &scanner{text: s.text, pos: pos} }

// fail makes the error for a place in the text.
func (s *scanner) fail(pos int, format string, args ...any) error {
	before := s.text[:min(pos, len(s.text))]
	return &DecodeError{
		Offset:  pos,
		Line:    bytes.Count(before, []byte{'\n'}) + 1,
		Column:  len(before) - bytes.LastIndexByte(before, '\n'),
		Problem: fmt.Sprintf(format, args...),
	}
}

// begin returns a scanner at the one value of a text, whose end is for the caller to check. It is small enough to be inlined,
// which keeps the scanner off the heap.
func begin(text []byte) (*scanner, error) {
	s := &scanner{text: text}
	return s, s.start()
}

// start skips the white space before the one value of a text, and refuses a text with none.
func (s *scanner) start() error {
	if bytes.HasPrefix(s.text, []byte("\xef\xbb\xbf")) {
		return s.fail(0, "the text begins with a byte order mark; save it as UTF-8 without one")
	}
	s.space()
	if s.pos == len(s.text) {
		return s.fail(s.pos, "the text is empty")
	}
	return nil
}

// end refuses anything but white space after the one value of a text.
func (s *scanner) end() error {
	s.space()
	if s.pos != len(s.text) {
		return s.fail(s.pos, "unexpected text after the end: %q", clip(s.text[s.pos:]))
	}
	return nil
}

// whole reads a text that holds exactly one value, by read.
func whole(text []byte, read func(s *scanner) error) error {
	s, err := begin(text)
	if err != nil {
		return err
	}
	if err := read(s); err != nil {
		return err
	}
	return s.end()
}

// space skips white space.
func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

// take consumes the next byte if it is c.
func (s *scanner) take(c byte) bool {
	if s.peek() != c || s.pos == len(s.text) {
		return false
	}
	s.pos++
	return true
}

// typeName names the type of the value ahead, for error messages.
func (s *scanner) typeName() string {
	switch s.peek() {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'N', 'I':
		return "a number"
	}
	return "something else"
}

// expect refuses a value ahead that does not begin with the bracket of an object or a list.
func (s *scanner) expect(bracket byte) error {
	if s.peek() == bracket {
		return nil
	}
	want := "an object"
	if bracket == '[' {
		want = "a list"
	}
	if s.pos == len(s.text) {
		return s.fail(s.pos, "must be %s, but the text ends", want)
	}
	return s.fail(s.pos, "must be %s, not %s", want, s.typeName())
}

// object passes the object ahead, calling member with each key and the scanner before its value; member must pass the
// value. depth is the object's own, from 1.
func (s *scanner) object(depth int, member func(key quoted) error) error {
	if depth > DepthMax {
		return s.fail(s.pos, "nested deeper than %d", DepthMax)
	}
	s.pos++
	s.space()
	if s.take('}') {
		return nil
	}
	for {
		key, err := s.key()
		if err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
		s.space()
		if s.take('}') {
			return nil
		}
		if !s.take(',') {
			return s.fail(s.pos, "expected ',' or '}' after a member of an object")
		}
		s.space()
	}
}

// key passes one key of an object, its colon and the white space up to its value.
func (s *scanner) key() (quoted, error) {
	if s.peek() != '"' {
		return quoted{}, s.fail(s.pos, "expected a key in double quotes")
	}
	key, err := s.str()
	if err != nil {
		return quoted{}, err
	}
	s.space()
	if !s.take(':') {
		return quoted{}, s.fail(s.pos, "expected ':' after the key %q", clip(key.raw))
	}
	s.space()
	return key, nil
}

// array passes the list ahead, calling item before each element; item must pass it. depth is the list's own, from 1.
func (s *scanner) array(depth int, item func(index int) error) error {
	if depth > DepthMax {
		return s.fail(s.pos, "nested deeper than %d", DepthMax)
	}
	s.pos++
	s.space()
	if s.take(']') {
		return nil
	}
	for index := 0; ; index++ {
		if err := item(index); err != nil {
			return err
		}
		s.space()
		if s.take(']') {
			return nil
		}
		if !s.take(',') {
			return s.fail(s.pos, "expected ',' or ']' after an element of a list")
		}
		s.space()
	}
}

// skip passes the value ahead and checks it. depth is 1 for a value that stands alone.
func (s *scanner) skip(depth int) error {
	switch s.peek() {
	case '{':
		return s.object(depth, func(quoted) error { return s.skip(depth + 1) })
	case '[':
		return s.array(depth, func(int) error { return s.skip(depth + 1) })
	case '"':
		_, err := s.str()
		return err
	}
	_, err := s.scalar()
	return err
}

// place passes the value ahead and checks it, and returns where it begins, for a second look.
func (s *scanner) place() (int, error) {
	start := s.pos
	return start, s.skip(1)
}

// scalar passes a number or a word: true, false, null, NaN, Infinity or -Infinity.
func (s *scanner) scalar() ([]byte, error) {
	start := s.pos
	if c := s.peek(); c == '-' || isDigit(c) {
		if bytes.HasPrefix(s.text[start:], []byte("-Infinity")) {
			s.pos += len("-Infinity")
			return s.text[start:s.pos], nil
		}
		return s.number()
	}
	for _, word := range [...]string{"true", "false", "null", "NaN", "Infinity"} {
		if rest := s.text[start:]; len(rest) >= len(word) && string(rest[:len(word)]) == word {
			s.pos += len(word)
			return s.text[start:s.pos], nil
		}
	}
	if start == len(s.text) {
		return nil, s.fail(start, "the text ends where a value should be")
	}
	return nil, s.fail(start, "expected a value, found %q", clip(s.text[start:min(len(s.text), start+12)]))
}

// number passes a number by JSON's grammar.
func (s *scanner) number() ([]byte, error) {
	start := s.pos
	s.take('-')
	if !s.take('0') && !s.digits() {
		return nil, s.fail(start, "a '-' without a number")
	}
	if mark := s.pos; s.take('.') && !s.digits() {
		return nil, s.fail(mark, "a number without digits after its point")
	}
	if mark := s.pos; s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		if !s.digits() {
			return nil, s.fail(mark, "a number without digits in its exponent")
		}
	}
	return s.text[start:s.pos], nil
}

// digits passes digits and reports whether there was one.
func (s *scanner) digits() bool {
	start := s.pos
	for isDigit(s.peek()) {
		s.pos++
	}
	return s.pos > start
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// str passes the string ahead and checks it: no control characters, valid escapes, valid UTF-8.
func (s *scanner) str() (quoted, error) {
	start, plain := s.pos, true
	i := start + 1
	for {
		if i += plainPrefix(s.text[i:]); i >= len(s.text) {
			return quoted{}, s.fail(start, "a string without its closing quote")
		}
		if s.text[i] == '"' {
			s.pos = i + 1
			return quoted{raw: s.text[start+1 : i], plain: plain}, nil
		}
		plain = false
		size, err := s.unusual(i)
		if err != nil {
			return quoted{}, err
		}
		i += size
	}
}

// unusual returns the size of the escape or the character at i of a string.
func (s *scanner) unusual(i int) (int, error) {
	switch c := s.text[i]; {
	case c == '\\':
		if size := escapeSize(s.text[i:]); size > 0 {
			return size, nil
		}
		return 0, s.fail(i, "an invalid escape in a string: %q", s.text[i:min(len(s.text), i+6)])
	case c < 0x20:
		return 0, s.fail(i, "the control character %#02x in a string must be written as an escape", c)
	case c < utf8.RuneSelf:
		return 1, nil
	}
	r, size := utf8.DecodeRune(s.text[i:])
	if r == utf8.RuneError && size == 1 {
		return 0, s.fail(i, "the byte %#02x in a string is not UTF-8", s.text[i])
	}
	return size, nil
}
