package report

import (
	"fmt"
	"strconv"
	"strings"

	"autoresearch/pkg/spec"
)

// The sizes of the report's lists; what is left out is always counted.
const (
	topRows        = 10
	lineageRows    = 40
	queueRows      = 10
	parameterRows  = 40
	failureIDs     = 12
	summarySteps   = 5
	valueLength    = 80
	idLength       = 60
	messageLength  = 240
	changesInCell  = 8
	stepRows       = 100
	failureGroups  = 30
	textInChange   = 40
	unknownInTable = "–"
)

// Markdown returns the text of report.md.
func Markdown(s Search) string {
	v := look(s)
	var p page
	p.heading(1, v.title())
	p.paragraph(v.statusLine())
	p.list(v.outline())
	p.heading(2, "Experiments by status")
	p.statusTable(v)
	p.heading(2, "Best experiment")
	p.bestSection(v)
	p.heading(2, "Progress")
	p.paragraph("![Value of each experiment in order of completion](progress.png)")
	p.heading(2, "Improvements")
	p.improvementTable(v)
	p.heading(2, fmt.Sprintf("Top %d", topRows))
	p.topTable(v)
	p.heading(2, "How the best came about")
	p.lineageTable(v)
	p.heading(2, "Failures")
	p.failureTable(v)
	p.heading(2, "Still to do")
	p.queueSection(v)
	p.heading(2, "Hypothesis tree")
	p.paragraph("![Hypothesis tree](hypothesis_tree.png)")
	p.paragraph("One row for each experiment: [master_table.tsv](master_table.tsv)")
	return p.text()
}

// summary returns the text of summary.md: the report in a dozen lines.
func (v *survey) summary() string {
	var p page
	p.heading(1, v.title())
	p.paragraph(v.statusLine())
	p.list(append(v.outline(), v.countsLine()))
	p.heading(2, "Best")
	p.paragraph(v.bestLine())
	steps := v.improvements()
	p.heading(2, "Last improvements")
	if len(steps) == 0 {
		p.paragraph("None yet.")
	}
	steps = steps[max(0, len(steps)-summarySteps):]
	lines := make([]string, 0, len(steps))
	for _, step := range steps {
		lines = append(lines, fmt.Sprintf("%s: %s (%s better), the %s to end", v.called(step.Node),
			number(step.Value), number(step.Gain), ordinal(step.Order)))
	}
	p.list(lines)
	return p.text()
}

// title names the search.
func (v *survey) title() string {
	name := v.search.Name
	if name == "" {
		name = v.search.Run
	}
	if name == "" {
		return "Search"
	}
	return "Search: " + escaped(name)
}

// statusLine says where the run stands and why.
func (v *survey) statusLine() string {
	status := v.search.Status
	switch {
	case len(v.search.Nodes) == 0 && status == "":
		return "No experiments yet."
	case status == "":
		status = "unknown"
	}
	line := "Status: **" + escaped(string(status)) + "**"
	if v.search.StopReason != "" {
		line += ", because: " + escaped(cutShort(strings.TrimRight(v.search.StopReason, ". \n"), messageLength))
	}
	return line + "."
}

// outline lists what was searched and what it cost.
func (v *survey) outline() []string {
	var lines []string
	if v.search.Run != "" {
		lines = append(lines, "Run: "+escaped(v.search.Run))
	}
	if o := v.search.Objective; o.Metric != "" {
		lines = append(lines, fmt.Sprintf("Objective: %s, %s is better", escaped(o.Metric), higherOrLower(o)))
	} else {
		lines = append(lines, "Objective: none declared")
	}
	if v.search.MaxConcurrency > 0 {
		lines = append(lines, fmt.Sprintf("Budget: %d at once", v.search.MaxConcurrency))
	}
	return append(lines, v.costLines()...)
}

// higherOrLower says which end of the objective is the good one.
func higherOrLower(o spec.Objective) string {
	if o.Maximize {
		return "higher"
	}
	return "lower"
}

// costLines says how long the search took, where it is known.
func (v *survey) costLines() []string {
	wall, busy := v.cost()
	var lines []string
	if wall >= 0 {
		lines = append(lines, "Wall clock, first start to last end: "+duration(wall))
	}
	if busy > 0 {
		lines = append(lines, fmt.Sprintf("Experiment time: %s (%s slot-seconds)", duration(busy),
			strconv.FormatFloat(busy, 'f', 0, 64)))
	}
	return lines
}

// countsLine is the table of statuses as one line.
func (v *survey) countsLine() string {
	line := count(len(v.search.Nodes), "experiment")
	for _, c := range v.counts() {
		line += fmt.Sprintf(", %d %s", c.n, escaped(c.status))
	}
	return line
}

// bestLine says in one sentence what the best experiment is.
func (v *survey) bestLine() string {
	switch {
	case v.search.Objective.Metric == "":
		return "No objective is declared, so no experiment is the best."
	case v.best < 0:
		return "No experiment has completed with a finite " + escaped(v.search.Objective.Metric) + " yet."
	}
	f := v.facts[v.best]
	line := fmt.Sprintf("%s with %s = **%s**, the %s of %d to end", v.called(v.node(v.best)),
		escaped(v.search.Objective.Metric), number(f.value), ordinal(f.order), len(v.ended))
	return line + "; " + v.againstBaseline(v.best) + "."
}

// againstBaseline compares an experiment with the first root.
func (v *survey) againstBaseline(i int) string {
	base, ok := v.baseline()
	switch {
	case base == i:
		return "it is the baseline"
	case !ok:
		return "the baseline " + v.called(v.node(base)) + " has no value to compare with"
	}
	return fmt.Sprintf("%s against the baseline %s with %s", versus(v.facts[i].value, v.facts[base].value),
		v.called(v.node(base)), number(v.facts[base].value))
}

// called is an experiment's id as the report writes it.
func (v *survey) called(n *spec.HypothesisNode) string { return escaped(shorten(n.NodeID, idLength)) }

// parentOf is the id of the parent as the node has it, or a dash for a root.
func (v *survey) parentOf(i int) string {
	return escaped(orUnknown(shorten(v.node(i).ParentID, idLength)))
}

// names lists the ids of nodes, most of them at the most.
func (v *survey) names(nodes []int, most int) string {
	shown := nodes[:min(len(nodes), most)]
	ids := make([]string, 0, len(shown))
	for _, i := range shown {
		ids = append(ids, v.called(v.node(i)))
	}
	text := strings.Join(ids, ", ")
	if more := len(nodes) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func orUnknown(text string) string {
	if text == "" {
		return unknownInTable
	}
	return text
}

// ordinal writes 1st, 2nd, 3rd, 4th.
func ordinal(n int) string {
	suffix := "th"
	if tens := n / 10 % 10; tens != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return strconv.Itoa(n) + suffix
}
