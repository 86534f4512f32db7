package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode"
)

// FuzzLogLine: whatever a task is called and an error says, a line of the log is one line, and no control character of it
// reaches a terminal.
func FuzzLogLine(f *testing.F) {
	for _, text := range []string{"", "a", "a\nlevel=ERROR msg=forged", "\x1b[2J", "\r", "\u2028", "\u202e", "\xff", "\x7f", "\u009b2J", `"`, "a=b c=d"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range []string{"text", "json"} {
			var out bytes.Buffer
			flags := LogFlags{Level: "debug", Format: format}
			log, err := flags.Logger(&out)
			if err != nil {
				t.Fatal(err)
			}
			log.Info("message", "task", text, "err", errors.New(text))
			line, rest, _ := strings.Cut(out.String(), "\n")
			if rest != "" || strings.IndexFunc(line, unicode.IsControl) >= 0 {
				t.Errorf("%s: %q is logged as %q", format, text, out.String())
			}
		}
	})
}
