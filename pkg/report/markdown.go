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
	var lines []string
	for _, step := range steps[max(0, len(steps)-summarySteps):] {
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
	return "Search: " + markdown(name)
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
	line := "Status: **" + markdown(string(status)) + "**"
	if v.search.StopReason != "" {
		line += ", because: " + markdown(cutShort(strings.TrimRight(v.search.StopReason, ". \n"), messageLength))
	}
	return line + "."
}

// outline lists what was searched and what it cost.
func (v *survey) outline() []string {
	var lines []string
	if v.search.Run != "" {
		lines = append(lines, "Run: "+markdown(v.search.Run))
	}
	if o := v.search.Objective; o.Metric != "" {
		lines = append(lines, fmt.Sprintf("Objective: %s, %s is better", markdown(o.Metric), higherOrLower(o)))
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
	parts := []string{count(len(v.search.Nodes), "experiment")}
	for _, c := range v.counts() {
		parts = append(parts, fmt.Sprintf("%d %s", c.n, markdown(c.status)))
	}
	return strings.Join(parts, ", ")
}

// statusTable counts the experiments.
func (p *page) statusTable(v *survey) {
	var rows [][]string
	for _, c := range v.counts() {
		share := 100 * float64(c.n) / float64(len(v.search.Nodes))
		rows = append(rows, []string{markdown(c.status), strconv.Itoa(c.n), fmt.Sprintf("%.0f %%", share)})
	}
	if len(rows) == 0 {
		p.paragraph("No experiments yet.")
		return
	}
	rows = append(rows, []string{"**all**", strconv.Itoa(len(v.search.Nodes)), ""})
	p.table([]string{"status", "experiments", "share"}, "lrr", rows)
}

// bestLine says in one sentence what the best experiment is.
func (v *survey) bestLine() string {
	switch {
	case v.search.Objective.Metric == "":
		return "No objective is declared, so no experiment is the best."
	case v.best < 0:
		return "No experiment has completed with a finite " + markdown(v.search.Objective.Metric) + " yet."
	}
	f := v.facts[v.best]
	line := fmt.Sprintf("%s with %s = **%s**, the %s of %d to end", v.called(v.node(v.best)),
		markdown(v.search.Objective.Metric), number(f.value), ordinal(f.order), len(v.ended))
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

// bestSection tells the best experiment and its parameters.
func (p *page) bestSection(v *survey) {
	p.paragraph(v.bestLine())
	if v.best < 0 {
		return
	}
	n := v.node(v.best)
	p.list(v.particulars(n))
	values := valuesOf(n.Spec)
	var rows [][]string
	for _, key := range keysOf(values, nil) {
		rows = append(rows, []string{markdown(cutShort(key, valueLength)), markdown(cutShort(values[key], valueLength))})
	}
	if len(rows) == 0 {
		p.paragraph("It has no parameters.")
		return
	}
	p.table([]string{"parameter", "value"}, "ll", rows[:min(len(rows), parameterRows)])
	p.leftOut(len(rows)-parameterRows, "parameter")
}

// particulars lists what is known of an experiment besides its value.
func (v *survey) particulars(n *spec.HypothesisNode) []string {
	var lines []string
	if n.Name != "" && n.Name != n.NodeID {
		lines = append(lines, "Name: "+markdown(cutShort(n.Name, messageLength)))
	}
	if n.Duration != nil {
		lines = append(lines, "Duration: "+duration(*n.Duration))
	}
	if n.Commit != "" {
		lines = append(lines, "Commit: "+markdown(cutShort(n.Commit, idLength)))
	}
	return lines
}

// improvementTable lists the steps of the running best.
func (p *page) improvementTable(v *survey) {
	steps := v.improvements()
	if len(steps) == 0 {
		p.paragraph("None yet.")
		return
	}
	p.leftOutBefore(len(steps)-stepRows, "earlier improvement")
	base, ok := v.baseline()
	var rows [][]string
	for _, s := range steps[max(0, len(steps)-stepRows):] {
		total := unknownInTable
		if ok {
			total = versus(s.Value, v.facts[base].value)
		}
		rows = append(rows, []string{strconv.Itoa(s.Order), v.called(s.Node), number(s.Value), number(s.Gain), total})
	}
	p.table([]string{"order", "experiment", markdown(v.search.Objective.Metric), "better by", "against the baseline"},
		"rlrrr", rows)
}

// topTable lists the best experiments.
func (p *page) topTable(v *survey) {
	ranked := v.ranked()
	if len(ranked) == 0 {
		p.paragraph("Nothing to rank yet.")
		return
	}
	base, ok := v.baseline()
	var rows [][]string
	for rank, i := range ranked[:min(len(ranked), topRows)] {
		row := []string{strconv.Itoa(rank + 1), v.called(v.node(i)), number(v.facts[i].value), unknownInTable,
			unknownInTable, v.parentOf(i)}
		switch {
		case ok && i == base:
			row[3] = "the baseline"
		case ok:
			row[3] = versus(v.facts[i].value, v.facts[base].value)
		}
		if d := v.node(i).Duration; d != nil {
			row[4] = duration(*d)
		}
		rows = append(rows, row)
	}
	p.table([]string{"rank", "experiment", markdown(v.search.Objective.Metric), "against the baseline", "duration",
		"parent"}, "rlrrrl", rows)
}

// lineageTable tells step by step what changed from the root to the best.
func (p *page) lineageTable(v *survey) {
	if v.best < 0 {
		p.paragraph("There is no best experiment yet.")
		return
	}
	path := v.tree.path(v.best)
	var rows [][]string
	for depth, i := range path {
		value, what := unknownInTable, "the root"
		if _, has := v.facts[i].metrics[v.search.Objective.Metric]; has {
			value = number(v.facts[i].value)
		}
		if depth > 0 {
			what = changesText(changes(v.node(path[depth-1]).Spec, v.node(i).Spec))
		}
		rows = append(rows, []string{strconv.Itoa(depth), v.called(v.node(i)), value, what})
	}
	p.leftOutBefore(len(rows)-lineageRows, "earlier step")
	p.table([]string{"step", "experiment", markdown(v.search.Objective.Metric), "what changed"}, "rlrl",
		rows[max(0, len(rows)-lineageRows):])
}

// changesText writes changes as one cell.
func changesText(list []change) string {
	if len(list) == 0 {
		return "nothing in its parameters"
	}
	var parts []string
	for _, c := range list[:min(len(list), changesInCell)] {
		parts = append(parts, fmt.Sprintf("%s: %s → %s", markdown(shorten(c.key, textInChange)),
			markdown(shorten(c.before, textInChange)), markdown(shorten(c.after, textInChange))))
	}
	if more := len(list) - changesInCell; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}

// failureTable groups the failures by what went wrong.
func (p *page) failureTable(v *survey) {
	groups := v.failures()
	if len(groups) == 0 {
		p.paragraph("None.")
		return
	}
	var rows [][]string
	for _, g := range groups[:min(len(groups), failureGroups)] {
		rows = append(rows, []string{markdown(g.kind), markdown(orUnknown(g.cause)), strconv.Itoa(len(g.nodes)),
			markdown(orUnknown(cutShort(g.message(v), messageLength))), v.names(g.nodes, failureIDs)})
	}
	p.table([]string{"kind", "cause", "failed", "for example", "experiments"}, "llrll", rows)
	p.leftOut(len(groups)-failureGroups, "group")
}

// queueSection says what runs and what waits.
func (p *page) queueSection(v *survey) {
	running, queued := v.running(), v.queued()
	if len(running)+len(queued) == 0 {
		p.paragraph("Nothing.")
		return
	}
	if len(running) > 0 {
		p.paragraph(fmt.Sprintf("Running: %d: %s.", len(running), v.names(running, queueRows)))
	}
	if len(queued) == 0 {
		return
	}
	p.paragraph(fmt.Sprintf("Queued: %d, in the order they will run (the lower priority number first):", len(queued)))
	var rows [][]string
	for _, i := range queued[:min(len(queued), queueRows)] {
		n := v.node(i)
		rows = append(rows, []string{v.called(n), number(n.Priority), markdown(orUnknown(v.facts[i].kind)), v.parentOf(i)})
	}
	p.table([]string{"experiment", "priority", "kind", "parent"}, "lrll", rows)
	p.leftOut(len(queued)-queueRows, "experiment")
}

// called is an experiment's id as the report writes it.
func (v *survey) called(n *spec.HypothesisNode) string { return markdown(shorten(n.NodeID, idLength)) }

// parentOf is the id of the parent as the node has it, or a dash for a root.
func (v *survey) parentOf(i int) string {
	return markdown(orUnknown(shorten(v.node(i).ParentID, idLength)))
}

// names lists the ids of nodes, most of them at the most.
func (v *survey) names(nodes []int, most int) string {
	var ids []string
	for _, i := range nodes[:min(len(nodes), most)] {
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
