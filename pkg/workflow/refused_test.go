package workflow

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/refused.txt anew")

// refusal is one case of testdata/refused.txt.
type refusal struct {
	name, text string
	overrides  []string
	want       []string
}

func readRefusals(t *testing.T) (introduction string, cases []refusal) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "refused.txt"))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(data), "\n=== ")
	for _, part := range parts[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		c := refusal{name: name}
		var lines []string
		for line := range strings.Lines(rest) {
			if override, ok := strings.CutPrefix(line, "+++ "); ok {
				c.overrides = append(c.overrides, strings.TrimSuffix(override, "\n"))
			} else if want, ok := strings.CutPrefix(line, ">>> "); ok {
				c.want = append(c.want, strings.TrimSuffix(want, "\n"))
			} else {
				lines = append(lines, line)
			}
		}
		c.text = strings.TrimRight(strings.Join(lines, ""), "\n")
		cases = append(cases, c)
	}
	return parts[0], cases
}

func (c *refusal) print() string {
	var text strings.Builder
	text.WriteString("\n=== " + c.name + "\n")
	if c.text != "" {
		text.WriteString(c.text + "\n")
	}
	for _, override := range c.overrides {
		text.WriteString("+++ " + override + "\n")
	}
	for _, want := range c.want {
		text.WriteString(">>> " + want + "\n")
	}
	return text.String()
}

// TestRefused holds the messages of everything that is wrong with a file to testdata/refused.txt.
func TestRefused(t *testing.T) {
	t.Parallel()
	introduction, cases := readRefusals(t)
	written := introduction
	for _, c := range cases {
		_, err := Parse("f.yaml", []byte(c.text+"\n"), c.overrides)
		if err == nil {
			t.Errorf("%s: not refused", c.name)
			continue
		}
		if got := strings.Split(err.Error(), "\n"); *update {
			c.want = got
		} else if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s:\ngot\n\t%s\nwant\n\t%s", c.name, strings.Join(got, "\n\t"), strings.Join(c.want, "\n\t"))
		}
		written += c.print()
	}
	if *update {
		if err := os.WriteFile(filepath.Join("testdata", "refused.txt"), []byte(written), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}
