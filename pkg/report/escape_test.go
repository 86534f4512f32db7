package report

import (
	"encoding/csv"
	"strings"
	"testing"
	"unicode"
)

// FuzzEscapes: other people's text stays in its cell, line and table, and makes no HTML and no link.
func FuzzEscapes(f *testing.F) {
	for _, text := range []string{
		"", "a\tb\nc\r", "<script>alert(1)</script>", "[x](javascript:alert(1))", "![x](http://x)", "|a|b|", "`code`", "a\\|b", "&lt;", "\x1b[2J",
		"\u202egpj.exe", "\u2028", "\xff\xfe", "# no heading\n- no list", "~~x~~", "$x$", "\"quoted\"",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		line := escaped(text)
		if strings.IndexFunc(line, func(r rune) bool { return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) }) >= 0 || strings.ContainsAny(line, "<>\n\t") {
			t.Errorf("%q in Markdown is %q", text, line)
		}
		if plain := unescaped(line); strings.ContainsAny(plain, "\\`*|[]~$") || strings.Contains(strings.ReplaceAll(plain, "&", ""), "<") {
			t.Errorf("%q in Markdown is %q: marks %q stand", text, line, plain)
		}
		cell := tableCell(text)
		if strings.IndexFunc(cell, unicode.IsControl) >= 0 || strings.ContainsAny(cell, "\u2028\u2029") {
			t.Errorf("%q in a table is %q", text, cell)
		}
		row := csv.NewReader(strings.NewReader("id\t" + cell + "\tend\n"))
		row.Comma, row.LazyQuotes = '\t', true
		if fields, err := row.Read(); strings.Count(cell, `"`) == 0 && (err != nil || len(fields) != 3) {
			t.Errorf("%q in a table is %q: %d fields, %v", text, cell, len(fields), err)
		}
	})
}

// unescaped takes out what is escaped.
func unescaped(line string) string {
	var out strings.Builder
	for i := 0; i < len(line); i++ {
		if line[i] == '\\' {
			i++
			continue
		}
		out.WriteByte(line[i])
	}
	return out.String()
}
