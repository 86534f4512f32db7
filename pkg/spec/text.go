package spec

import (
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// quoted is a checked string of a JSON text: what stands between its quotes.
type quoted struct {
	raw []byte
	// plain says that raw is printable ASCII without escapes, and so its own meaning and its own ASCII form.
	plain bool
}

// plainByte marks what may stand in a string as it is, in every form of it: printable ASCII but quote and backslash.
var plainByte = func() (table [256]bool) {
	for c := byte(' '); c < 0x7f; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()

// plainPrefix returns how many bytes at the beginning of text plainByte marks. Long strings are most of what a run's texts
// are made of, so it looks at eight at once.
func plainPrefix(text []byte) (size int) {
	for len(text)-size >= 8 && allPlain(binary.LittleEndian.Uint64(text[size:])) {
		size += 8
	}
	for size < len(text) && plainByte[text[size]] {
		size++
	}
	return size
}

// allPlain reports whether plainByte marks each byte of a word. A byte that is not ASCII has its high bit set, and another that
// is not plain gets it in one of the sums; none of them carries or borrows where all bytes are plain.
func allPlain(word uint64) bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	control, rubout := word-ones*' ', word+ones
	quote, escape := word^ones*'"'-ones, word^ones*'\\'-ones
	return (word|control|rubout|quote|escape)&highs == 0
}

const hexDigits = "0123456789abcdef"

// text returns what the string means, in WTF-8: a lone surrogate becomes its three-byte form.
func (q quoted) text() string { return string(q.meaning()) }

// meaning is text as bytes; they may be those of the JSON text itself.
func (q quoted) meaning() []byte {
	if q.plain {
		return q.raw
	}
	return appendMeaning(make([]byte, 0, len(q.raw)), q.raw)
}

// appendMeaning appends the meaning of a checked raw string in WTF-8. It is never longer than raw.
func appendMeaning(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			i++
			continue
		}
		r, size := unescape(raw[i:])
		if utf16.IsSurrogate(r) {
			dst = append(dst, 0xed, 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f)
		} else {
			dst = utf8.AppendRune(dst, r)
		}
		i += size
	}
	return dst
}

// escapeSize returns the size of the escape that text begins with, 0 when it is not a valid one.
func escapeSize(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hexRune(text); ok {
			return 6
		}
	}
	return 0
}

// unescape returns the character of the valid escape that raw begins with, and the size: two escapes that are a
// surrogate pair are one character.
func unescape(raw []byte) (rune, int) {
	switch c := raw[1]; c {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		high, _ := hexRune(raw)
		if low, ok := hexRune(raw[6:]); ok {
			if pair := utf16.DecodeRune(high, low); pair != utf8.RuneError {
				return pair, 12
			}
		}
		return high, 6
	default:
		return rune(c), 2
	}
}

// hexRune reads the escape \uXXXX that text begins with.
func hexRune(text []byte) (r rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:6] {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// appendQuoted appends text as a JSON string of ASCII characters only, escaped as the original does. WTF-8 surrogates
// become \udXXX; a byte that is neither UTF-8 nor WTF-8 becomes \ufffd.
func appendQuoted[T ~string | ~[]byte](dst []byte, text T) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(text); {
		from := i
		for i < len(text) && plainByte[text[i]] {
			i++
		}
		dst = append(dst, text[from:i]...)
		if i < len(text) {
			r, size := decodeWTF8(text[i:])
			dst = appendEscape(dst, r)
			i += size
		}
	}
	return append(dst, '"')
}

// appendASCII appends a checked raw string in quotes: escapes stay as they are written, other characters beyond
// printable ASCII become escapes.
func appendASCII(dst, raw []byte) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(raw); {
		if c := raw[i]; c < 0x7f {
			dst = append(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(raw[i:])
		dst = appendEscape(dst, r)
		i += size
	}
	return append(dst, '"')
}

// appendEscape appends the escape of one character, a pair of them beyond 16 bits.
func appendEscape(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	if r > 0xffff {
		high, low := utf16.EncodeRune(r)
		return appendEscape(appendEscape(dst, high), low)
	}
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// decodeWTF8 returns the first character of text, which may be a lone surrogate, and its size; utf8.RuneError and 1 for
// a byte that is neither UTF-8 nor WTF-8.
func decodeWTF8[T ~string | ~[]byte](text T) (rune, int) {
	r, size := utf8.DecodeRuneInString(string(text[:min(len(text), utf8.UTFMax)]))
	surrogate := r == utf8.RuneError && size == 1 && len(text) >= 3 &&
		text[0] == 0xed && text[1]&0xe0 == 0xa0 && text[2]&0xc0 == 0x80
	if surrogate {
		return 0xd000 | rune(text[1]&0x3f)<<6 | rune(text[2]&0x3f), 3
	}
	return r, size
}

// validWTF8 reports whether text is UTF-8 but for lone surrogates in their three-byte form.
func validWTF8(text string) bool {
	if utf8.ValidString(text) {
		return true
	}
	for len(text) > 0 {
		r, size := decodeWTF8(text)
		if r == utf8.RuneError && size == 1 {
			return false
		}
		text = text[size:]
	}
	return true
}
