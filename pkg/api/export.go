package api

import (
	"bufio"
	"net/http"
	"time"

	"autoresearch/pkg/report"
	"autoresearch/pkg/spec"
)

// snapshot answers with engine_state.json, in the dialect of the file: it is meant to be one.
func (c *call) snapshot() error {
	if _, err := c.query(); err != nil {
		return err
	}
	text := c.view.State().AppendIndented(nil)
	c.w.Header().Set("Content-Type", "application/octet-stream")
	c.w.Header().Set("Content-Disposition", `attachment; filename="engine_state.json"`)
	_, _ = c.w.Write(text) // a client that has gone needs no answer
	return nil
}

// The formats of an export.
const (
	FormatCSV   = "csv"
	FormatJSONL = "jsonl"
)

// export answers with one row for each experiment.
func (c *call) export() error {
	values, err := c.query("format")
	if err != nil {
		return err
	}
	switch values.Get("format") {
	case FormatCSV:
		c.w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		_ = report.WriteCSV(c.w, searchOf(c.view)) // a client that has gone needs no answer
	case FormatJSONL, "":
		c.w.Header().Set("Content-Type", "application/jsonl")
		c.lines()
	default:
		return problem(CodeInvalid, "parameter format: it must be %s or %s", FormatCSV, FormatJSONL)
	}
	return nil
}

// lines writes each experiment as one line of strict JSON. It ends early with a client that has gone.
func (c *call) lines() {
	out := bufio.NewWriterSize(c.w, 64<<10)
	control := http.NewResponseController(c.w)
	written := 0
	for node := range c.view.Nodes() {
		if written%1000 == 0 {
			_ = control.SetWriteDeadline(time.Now().Add(streamWrite)) // not every writer can
		}
		if err := WriteNode(out, node); err != nil {
			return
		}
		written++
	}
	_ = out.Flush() // likewise
}

// WriteNode writes a node as one line of strict JSON.
func WriteNode(out *bufio.Writer, n spec.HypothesisNode) error {
	text, err := n.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = out.Write(append(text, '\n'))
	return err
}
