package main

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzHarmless: other people's text is shown as printable characters of one line, and no longer than it may be.
func FuzzHarmless(f *testing.F) {
	for _, text := range []string{"", "a b", "a\nb\tc", "\x1b]0;title\x07", "\u202egpj.exe", "\xff\xfe", strings.Repeat("\x00", 100)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		shown := harmless(text, 20)
		if !utf8.ValidString(shown) || strings.IndexFunc(shown, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
			t.Errorf("%q is shown as %q", text, shown)
		}
		if utf8.RuneCountInString(shown) > 20*len(`\U0001f600`)+len("...") {
			t.Errorf("%q is shown with %d letters", text, utf8.RuneCountInString(shown))
		}
	})
}
