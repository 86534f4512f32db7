package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v4"
	"golang.org/x/term"

	"autoresearch/internal/cli"
	"autoresearch/pkg/api"
)

// The formats of output: tables for people, JSON and YAML as the API has it for programs.
const (
	outputTable = "table"
	outputWide  = "wide"
	outputJSON  = "json"
	outputYAML  = "yaml"
)

var outputs = []string{outputTable, outputWide, outputJSON, outputYAML}

func checkOutput(format string) error {
	if format == "" || slices.Contains(outputs, format) {
		return nil
	}
	return cli.Exit(cli.ExitUsage, fmt.Errorf("--output %q: it must be one of %s", format, strings.Join(outputs, ", ")))
}

// print writes a value in the format that was asked for; people is how it reads as a table.
func (s *session) print(v any, people func(w *bytes.Buffer, wide bool)) error {
	switch s.o.output {
	case outputJSON:
		text, err := toJSON(v, "  ")
		if err != nil {
			return err
		}
		_, err = s.out.Write(text)
		return err
	case outputYAML:
		text, err := toYAML(v)
		if err != nil {
			return err
		}
		_, err = s.out.Write(text)
		return err
	}
	var b bytes.Buffer
	people(&b, s.o.output == outputWide)
	_, err := s.out.Write(b.Bytes())
	return err
}

// toJSON writes a value and a newline, for programs and people: "<" stays what it is, as no browser reads it.
func toJSON(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", indent)
	err := encoder.Encode(v)
	return b.Bytes(), err
}

// toYAML writes a value as the API's JSON has it, keys in the same order.
func toYAML(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var node yaml.Node
	if err := yaml.Unmarshal(text, &node); err != nil { // JSON is YAML
		return nil, err
	}
	blocks(&node)
	return yaml.Marshal(&node)
}

// blocks makes a node read like YAML.
func blocks(n *yaml.Node) {
	n.Style &^= yaml.FlowStyle | yaml.DoubleQuotedStyle
	for _, below := range n.Content {
		blocks(below)
	}
}

// watching calls show once, or with --watch again and again, each time on a clean screen if there is one.
func (s *session) watching(ctx context.Context, show func(ctx context.Context) error) error {
	if !s.o.watch {
		return show(ctx)
	}
	ctx, signals := cli.NotifySignals(ctx)
	defer signals.Stop()
	out, buffer := s.out, &bytes.Buffer{}
	s.out = buffer
	for {
		buffer.Reset()
		err := show(ctx)
		if ctx.Err() != nil {
			return cli.Exit(signals.Code(), nil)
		}
		if err = passing(buffer, err); err != nil {
			return err
		}
		if isTerminal(out) {
			put(out, "\x1b[H\x1b[2J")
		}
		if _, err := out.Write(buffer.Bytes()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return cli.Exit(signals.Code(), nil)
		case <-time.After(s.o.interval):
		}
	}
}

// passing shows an error that may pass, as when the leader changes, and returns any other.
func passing(out *bytes.Buffer, err error) error {
	if p := exitOf(err); err != nil && cli.ExitCode(p) == exitUnreachable {
		fmt.Fprintln(out, harmless(err.Error(), 1000))
		return nil
	}
	return err
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// table writes rows in columns. The last row written ends the table.
type table struct{ w *tabwriter.Writer }

func newTable(out io.Writer, header ...string) *table {
	t := &table{w: tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	_, _ = fmt.Fprintln(t.w, strings.Join(header, "\t")) // a buffer takes everything
	return t
}

func (t *table) row(cells ...string) {
	for i := range cells {
		if cells[i] == "" {
			cells[i] = "-"
		}
	}
	_, _ = fmt.Fprintln(t.w, strings.Join(cells, "\t")) // a buffer takes everything
}

func (t *table) end() { _ = t.w.Flush() } // a buffer takes everything

// nameMax is how much of an id or a message a table shows.
const nameMax = 60

// name is an id as people see it.
func name[T ~string](id T) string { return harmless(string(id), nameMax) }

// ago is how long ago a time was.
func ago(t *time.Time) string {
	if t == nil {
		return ""
	}
	return duration(time.Since(*t)) + " ago"
}

// duration is a time span as people read it.
func duration(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < 24*time.Hour:
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%.1fd", d.Hours()/24)
}

// took is how long something took, or has taken so far.
func took(from, to *time.Time) string {
	switch {
	case from == nil:
		return ""
	case to == nil:
		return duration(time.Since(*from))
	}
	return duration(to.Sub(*from))
}

// value is a number as people read it; "" for none.
func value(n *api.Number) string {
	if n == nil {
		return ""
	}
	return fmt.Sprintf("%.6g", float64(*n))
}

// number is a count, "" for none.
func number[T ~int | ~uint32 | ~uint64](n T) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
