package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// Report is what was found, and on which machine.
type Report struct {
	Rows        []Row
	Environment Environment
}

// Row is one benchmark's result.
type Row struct {
	Name       string
	Durability string // what is on disk before what is acknowledged
	Result     Result
}

// Result is what a row found. It is encoded as JSON and shown to people as a few lines.
type Result interface {
	lines(name string) []string
	targets() []Target // what the row is to reach
}

// Targets are those of all rows.
func (r *Report) Targets() []Target {
	targets := []Target{}
	for _, row := range r.Rows {
		for _, t := range row.Result.targets() {
			t.Row = row.Name
			targets = append(targets, t)
		}
	}
	return targets
}

// MarshalJSON returns an object with a key for each row, in their order, and "durability" (by row), "targets" and
// "environment".
func (r *Report) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	durability := make(map[string]string, len(r.Rows))
	for _, row := range r.Rows {
		durability[row.Name] = row.Durability
		if err := appendMember(&b, row.Name, row.Result); err != nil {
			return nil, err
		}
		b.WriteByte(',')
	}
	if err := appendMember(&b, "durability", durability); err != nil {
		return nil, err
	}
	b.WriteByte(',')
	if err := appendMember(&b, "targets", r.Targets()); err != nil {
		return nil, err
	}
	b.WriteByte(',')
	if err := appendMember(&b, "environment", r.Environment); err != nil {
		return nil, err
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func appendMember(b *bytes.Buffer, name string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	fmt.Fprintf(b, "%q:%s", name, data)
	return nil
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b bytes.Buffer
	for _, row := range r.Rows {
		for _, line := range append(row.Result.lines(row.Name), "  "+row.Durability) {
			b.WriteString(line + "\n")
		}
		b.WriteByte('\n')
	}
	r.Environment.sayTargets(&b)
	for _, t := range r.Targets() {
		b.WriteString(t.line() + "\n")
	}
	e := r.Environment
	fmt.Fprintf(&b, "\non %s, %d cores, %s; %s, nats-server %s, nats.go %s, autoresearch %s; files in %s\n",
		e.CPU, e.Cores, e.OS, e.Go, e.NATSServer, e.NATSClient, e.Version, e.Dir)
	_, err := w.Write(b.Bytes())
	return err
}

// sayTargets heads the list of targets.
func (e *Environment) sayTargets(b *bytes.Buffer) {
	b.WriteString("targets, of two cores with everything on one host")
	if e.Quick {
		b.WriteString(" and of full sizes: this was a quick run")
	}
	b.WriteString("\n")
}
