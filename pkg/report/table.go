package report

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"autoresearch/pkg/spec"
)

// The fixed columns of the master table.
var tableHeader = []string{
	"id", "parent", "status", "kind", "priority", "metric", "best_so_far", "improved", "duration_s", "attempts", "started",
	"worker", "failure_kind", "cause", "message",
}

// Prefixes of the columns that the experiments bring along, so that they never meet a fixed column.
const (
	payloadPrefix = "payload."
	metricPrefix  = "metric."
)

// tableKeys bounds the columns of each prefix. The most common keys have a column each; the others of a row stand
// together in one last column as a JSON object.
const tableKeys = 200

// restColumn is the last column of a prefix when there are more keys than tableKeys.
const restColumn = "(others)"

// MasterTable returns master_table.tsv: a header and one row for each experiment in order of arrival. Tabs, line ends
// and backslashes in a cell are escaped (\t, \n, \r, \\); what is unknown is an empty cell. After the fixed columns
// comes one column for each key of a payload and for each metric besides the objective. Numbers have all their digits.
func MasterTable(s Search) []byte {
	var out bytes.Buffer
	_ = eachTableRow(s, func(cells []string) error { // a buffer takes everything
		writeRow(&out, cells)
		return nil
	})
	return out.Bytes()
}

// WriteCSV writes the cells of MasterTable as comma-separated values (RFC 4180).
func WriteCSV(w io.Writer, s Search) error {
	out := csv.NewWriter(w)
	if err := eachTableRow(s, out.Write); err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// eachTableRow calls f with the header and the row of each experiment, until f fails.
func eachTableRow(s Search, f func(cells []string) error) error {
	v := look(s)
	payloads := make([]map[string]string, len(s.Nodes))
	metrics := make([]map[string]string, len(s.Nodes))
	for i := range s.Nodes {
		payloads[i] = valuesOf(s.Nodes[i].Spec)
		metrics[i] = v.otherMetrics(i)
	}
	payloadColumns, metricColumns := columnsOf(payloads), columnsOf(metrics)
	header := slices.Concat(tableHeader, payloadColumns.header(payloadPrefix), metricColumns.header(metricPrefix))
	err := f(header)
	for i := 0; i < len(s.Nodes) && err == nil; i++ {
		err = f(slices.Concat(v.fixedCells(i), payloadColumns.cells(payloads[i]), metricColumns.cells(metrics[i])))
	}
	return err
}

func writeRow(out *bytes.Buffer, cells []string) {
	for i, cell := range cells {
		if i > 0 {
			out.WriteByte('\t')
		}
		out.WriteString(tableCell(cell))
	}
	out.WriteByte('\n')
}

// fixedCells returns the cells of a node under tableHeader.
func (v *survey) fixedCells(i int) []string {
	n, f := v.node(i), &v.facts[i]
	cells := []string{n.NodeID, n.ParentID, n.Status, f.kind, exact(n.Priority), "", "", "", exactOrNone(n.Duration), "",
		instant(n.LaunchedAt), f.worker, "", f.cause, ""}
	if _, has := f.metrics[v.search.Objective.Metric]; has {
		cells[5] = exact(f.value)
	}
	if f.order > 0 && !math.IsNaN(f.best) {
		cells[6] = exact(f.best)
	}
	if n.Status == spec.StatusCompleted {
		cells[7] = strconv.FormatBool(f.improved)
	}
	if f.attempt > 0 {
		cells[9] = strconv.Itoa(f.attempt)
	}
	if n.Failure != nil {
		cells[12], cells[14] = string(n.Failure.Kind), strings.Join(strings.Fields(n.Failure.Message), " ")
	}
	return cells
}

// otherMetrics returns the metrics of a node besides the objective as text.
func (v *survey) otherMetrics(i int) map[string]string {
	others := map[string]string{}
	for name, value := range v.facts[i].metrics {
		if name != v.search.Objective.Metric {
			others[name] = exact(value)
		}
	}
	return others
}

// exact writes a number so that it reads back the same.
func exact(x float64) string {
	if math.IsInf(x, 0) {
		return number(x)
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

func exactOrNone(x *float64) string {
	if x == nil {
		return ""
	}
	return exact(*x)
}

// columns are the keys that have a column of their own, sorted, and whether others exist.
type columns struct {
	keys []string
	more bool
}

// columnsOf picks the columns for the rows: all keys, or the tableKeys most common.
func columnsOf(rows []map[string]string) columns {
	uses := map[string]int{}
	for _, row := range rows {
		for key := range row {
			uses[key]++
		}
	}
	keys := make([]string, 0, len(uses))
	for key := range uses {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(uses[b]-uses[a], strings.Compare(a, b)) })
	more := len(keys) > tableKeys
	keys = keys[:min(len(keys), tableKeys)]
	slices.Sort(keys)
	return columns{keys, more}
}

func (c columns) header(prefix string) []string {
	var names []string
	for _, key := range c.keys {
		names = append(names, prefix+key)
	}
	if c.more {
		names = append(names, prefix+restColumn)
	}
	return names
}

// cells returns a row's values under the columns, and the values that have none in the last.
func (c columns) cells(row map[string]string) []string {
	cells := make([]string, 0, len(c.keys)+1)
	for _, key := range c.keys {
		cells = append(cells, row[key])
	}
	if c.more {
		cells = append(cells, c.rest(row))
	}
	return cells
}

// rest returns the values that have no column as a JSON object, "" when there are none.
func (c columns) rest(row map[string]string) string {
	others := map[string]string{}
	for key, value := range row {
		if _, has := slices.BinarySearch(c.keys, key); !has {
			others[key] = value
		}
	}
	if len(others) == 0 {
		return ""
	}
	text, err := json.Marshal(others)
	if err != nil {
		return "" // a map of texts always encodes
	}
	return string(text)
}
