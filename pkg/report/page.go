package report

import (
	"fmt"
	"strings"
)

// page gathers a Markdown text. All text it is given is Markdown already.
type page struct{ out strings.Builder }

func (p *page) text() string { return p.out.String() }

// block writes text with an empty line before it.
func (p *page) block(text string) {
	if p.out.Len() > 0 {
		p.out.WriteByte('\n')
	}
	p.out.WriteString(text)
	p.out.WriteByte('\n')
}

func (p *page) heading(level int, text string) { p.block(strings.Repeat("#", level) + " " + text) }

func (p *page) paragraph(text string) { p.block(text) }

func (p *page) list(lines []string) {
	if len(lines) > 0 {
		p.block("- " + strings.Join(lines, "\n- "))
	}
}

// table writes a table; align holds one letter a column, l or r.
func (p *page) table(header []string, align string, rows [][]string) {
	rule := make([]string, len(header))
	for i, a := range align {
		rule[i] = "---"
		if a == 'r' {
			rule[i] = "---:"
		}
	}
	lines := append(make([]string, 0, 2+len(rows)), row(header), row(rule))
	for _, cells := range rows {
		lines = append(lines, row(cells))
	}
	p.block(strings.Join(lines, "\n"))
}

func row(cells []string) string { return "| " + strings.Join(cells, " | ") + " |" }

// leftOut says how many things a list above it does not show; leftOutBefore is for the list below it.
func (p *page) leftOut(n int, thing string) {
	if n > 0 {
		p.paragraph(fmt.Sprintf("And %s more.", count(n, thing)))
	}
}

func (p *page) leftOutBefore(n int, thing string) {
	if n > 0 {
		p.paragraph(fmt.Sprintf("Not shown: %s.", count(n, thing)))
	}
}
