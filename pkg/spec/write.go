package spec

import "math"

// writer appends JSON in one of the forms this package writes. The zero value writes the original's dialect, compact.
// Strings are ASCII, as the original writes them.
type writer struct {
	out []byte
	// indent is the number of spaces a level; 0 is compact.
	indent int
	// strict makes the bare words NaN, Infinity and -Infinity strings.
	strict bool
	// verbatim copies the strings of a text as they are, without making them ASCII.
	verbatim bool

	level int
	begun bool // the open object or list has an element
}

// open begins an object or a list.
func (w *writer) open(bracket byte) {
	w.out = append(w.out, bracket)
	w.level++
	w.begun = false
}

// close ends an object or a list.
func (w *writer) close(bracket byte) {
	w.level--
	if w.begun {
		w.newline()
	}
	w.out = append(w.out, bracket)
	w.begun = true
}

// next begins an element of a list.
func (w *writer) next() {
	if w.begun {
		w.out = append(w.out, ',')
	}
	w.begun = true
	w.newline()
}

// key begins a member of an object.
func (w *writer) key(name string) {
	w.next()
	w.out = appendQuoted(w.out, name)
	w.colon()
}

// rawKey begins a member with a key of a text.
func (w *writer) rawKey(key quoted) {
	w.next()
	w.quoted(key)
	w.colon()
}

func (w *writer) colon() {
	w.out = append(w.out, ':')
	if w.indent > 0 {
		w.out = append(w.out, ' ')
	}
}

func (w *writer) newline() {
	if w.indent == 0 {
		return
	}
	const spaces = "                                                                "
	w.out = append(w.out, '\n')
	n := w.indent * w.level
	for ; n > len(spaces); n -= len(spaces) {
		w.out = append(w.out, spaces...)
	}
	w.out = append(w.out, spaces[:n]...)
}

func (w *writer) text(s string) { w.out = appendQuoted(w.out, s) }

func (w *writer) word(s string) { w.out = append(w.out, s...) }

func (w *writer) bool(b bool) {
	if b {
		w.word("true")
		return
	}
	w.word("false")
}

// textOrNull writes "" as null.
func (w *writer) textOrNull(s string) {
	if s == "" {
		w.word("null")
		return
	}
	w.text(s)
}

func (w *writer) float(f float64) {
	quote := w.strict && (math.IsNaN(f) || math.IsInf(f, 0))
	if quote {
		w.out = append(w.out, '"')
	}
	w.out = appendFloat(w.out, f)
	if quote {
		w.out = append(w.out, '"')
	}
}

// floatOrNull writes nil as null.
func (w *writer) floatOrNull(f *float64) {
	if f == nil {
		w.word("null")
		return
	}
	w.float(*f)
}

// quoted writes a string of a text.
func (w *writer) quoted(q quoted) {
	if !q.plain && !w.verbatim {
		w.out = appendASCII(w.out, q.raw)
		return
	}
	w.out = append(w.out, '"')
	w.out = append(w.out, q.raw...)
	w.out = append(w.out, '"')
}

// scalar writes a number or a word of a text.
func (w *writer) scalar(token []byte) {
	switch c := token[len(token)-1]; {
	case w.strict && (c == 'N' || c == 'y'): // NaN, Infinity, -Infinity
		w.out = append(w.out, '"')
		w.out = append(w.out, token...)
		w.out = append(w.out, '"')
	default:
		w.out = append(w.out, token...)
	}
}

// transcribe writes the value ahead of s in w's form, keeping its tokens. depth is 1 for a value that stands alone.
func (w *writer) transcribe(s *scanner, depth int) error {
	switch s.peek() {
	case '{':
		w.open('{')
		err := s.object(depth, func(key quoted) error {
			w.rawKey(key)
			return w.transcribe(s, depth+1)
		})
		w.close('}')
		return err
	case '[':
		w.open('[')
		err := s.array(depth, func(int) error {
			w.next()
			return w.transcribe(s, depth+1)
		})
		w.close(']')
		return err
	case '"':
		token, err := s.str()
		w.quoted(token)
		return err
	}
	token, err := s.scalar()
	if err == nil {
		w.scalar(token)
	}
	return err
}

// raw writes one value given as text. A text that is not one value is replaced by instead, so that a file stays whole
// whatever a caller put into one of its values.
func (w *writer) raw(text []byte, instead string) {
	mark, level := len(w.out), w.level
	err := whole(text, func(s *scanner) error { return w.transcribe(s, 1) })
	if err != nil {
		w.out, w.level = append(w.out[:mark], instead...), level
	}
	w.begun = true
}

// object writes one object given as text; "" and what is not an object become {}.
func (w *writer) object(text []byte) {
	if len(text) == 0 || (&scanner{text: text}).firstByte() != '{' {
		w.word("{}")
		return
	}
	w.raw(text, "{}")
}

// firstByte returns the first byte of the text that is not white space, 0 when there is none.
func (s *scanner) firstByte() byte {
	s.space()
	return s.peek()
}

// extra writes kept unknown keys, but for those that known says are written already.
func (w *writer) extra(fields []Field, known func(name string) bool) {
	for _, field := range fields {
		if known != nil && known(field.Name) {
			continue
		}
		w.key(field.Name)
		w.raw(field.Value, "null")
	}
}
