package report

import (
	"fmt"
	"strconv"
	"strings"

	"autoresearch/pkg/spec"
)

// statusTable counts the experiments.
func (p *page) statusTable(v *survey) {
	var rows [][]string
	for _, c := range v.counts() {
		share := 100 * float64(c.n) / float64(len(v.search.Nodes))
		rows = append(rows, []string{escaped(c.status), strconv.Itoa(c.n), fmt.Sprintf("%.0f %%", share)})
	}
	if len(rows) == 0 {
		p.paragraph("No experiments yet.")
		return
	}
	rows = append(rows, []string{"**all**", strconv.Itoa(len(v.search.Nodes)), ""})
	p.table([]string{"status", "experiments", "share"}, "lrr", rows)
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
		rows = append(rows, []string{escaped(cutShort(key, valueLength)), escaped(cutShort(values[key], valueLength))})
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
		lines = append(lines, "Name: "+escaped(cutShort(n.Name, messageLength)))
	}
	if n.Duration != nil {
		lines = append(lines, "Duration: "+duration(*n.Duration))
	}
	if n.Commit != "" {
		lines = append(lines, "Commit: "+escaped(cutShort(n.Commit, idLength)))
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
	p.table([]string{"order", "experiment", escaped(v.search.Objective.Metric), "better by", "against the baseline"},
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
	p.table([]string{"rank", "experiment", escaped(v.search.Objective.Metric), "against the baseline", "duration",
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
	p.table([]string{"step", "experiment", escaped(v.search.Objective.Metric), "what changed"}, "rlrl",
		rows[max(0, len(rows)-lineageRows):])
}

// changesText writes changes as one cell.
func changesText(list []change) string {
	if len(list) == 0 {
		return "nothing in its parameters"
	}
	var parts []string
	for _, c := range list[:min(len(list), changesInCell)] {
		parts = append(parts, fmt.Sprintf("%s: %s → %s", escaped(shorten(c.key, textInChange)),
			escaped(shorten(c.before, textInChange)), escaped(shorten(c.after, textInChange))))
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
		rows = append(rows, []string{escaped(g.kind), escaped(orUnknown(g.cause)), strconv.Itoa(len(g.nodes)),
			escaped(orUnknown(cutShort(g.message(v), messageLength))), v.names(g.nodes, failureIDs)})
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
		rows = append(rows, []string{v.called(n), number(n.Priority), escaped(orUnknown(v.facts[i].kind)), v.parentOf(i)})
	}
	p.table([]string{"experiment", "priority", "kind", "parent"}, "lrll", rows)
	p.leftOut(len(queued)-queueRows, "experiment")
}
