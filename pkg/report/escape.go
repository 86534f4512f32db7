package report

import (
	"strings"
	"unicode"
)

// Ids, payloads and messages are other people's text. Each output takes out what would break it: a picture cannot draw
// control characters, Markdown would read marks into it, and a table has tabs and line ends of its own.

// clean returns text as one line of printable characters: white space becomes one space, control and invisible
// formatting characters go, and what is not valid UTF-8 becomes U+FFFD.
func clean(text string) string {
	line := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.In(r, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp):
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	return strings.Join(strings.Fields(line), " ")
}

// shorten cuts the middle out of text that is longer than most characters: ends tell ids apart.
func shorten(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	head := (most + 1) / 2
	return string(runes[:head]) + "…" + string(runes[len(runes)-(most-1-head):])
}

// cutShort cuts the end off text that is longer than most characters.
func cutShort(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}

// escaped returns text as one line that Markdown shows as it is, in a table too.
func escaped(text string) string {
	runes := []rune(clean(text))
	var out strings.Builder
	for i, r := range runes {
		switch {
		case r == '&':
			out.WriteString("&amp;")
		case r == '<':
			out.WriteString("&lt;")
		case r == '>':
			out.WriteString("&gt;")
		case strings.ContainsRune("\\`*|[]~$", r), r == '_' && !insideWord(runes, i):
			out.WriteByte('\\')
			out.WriteRune(r)
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}

// insideWord reports whether the characters on both sides of i are letters or digits: such an underscore marks nothing.
func insideWord(runes []rune, i int) bool {
	return i > 0 && i < len(runes)-1 && wordRune(runes[i-1]) && wordRune(runes[i+1])
}

func wordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

var tableEscapes = strings.NewReplacer("\\", `\\`, "\t", `\t`, "\n", `\n`, "\r", `\r`)

// tableCell returns text as one cell of a tab-separated table: backslash, tab and line ends are escaped, other control
// characters become spaces.
func tableCell(text string) string {
	line := tableEscapes.Replace(strings.ToValidUTF8(text, "\uFFFD"))
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, line)
}
