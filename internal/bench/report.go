package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Report is what was found, and on which machine.
type Report struct {
	Rows        []Row
	Environment Environment
}

// Row is one benchmark's result.
type Row struct {
	Name   string
	Result Result
}

// Result is what a row found. It is encoded as a JSON object and shown to people as a few lines.
type Result interface {
	lines(name string) []string
}

// MarshalJSON returns an object with a key for each row, in their order, and "environment".
func (r *Report) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for _, row := range r.Rows {
		if err := appendMember(&b, row.Name, row.Result); err != nil {
			return nil, err
		}
		b.WriteByte(',')
	}
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
		for _, line := range row.Result.lines(row.Name) {
			b.WriteString(line + "\n")
		}
		b.WriteByte('\n')
	}
	e := r.Environment
	fmt.Fprintf(&b, "on %s, %d cores, %s; %s, nats-server %s, nats.go %s, autoresearch %s; files in %s\n",
		e.CPU, e.Cores, e.OS, e.Go, e.NATSServer, e.NATSClient, e.Version, e.Dir)
	_, err := w.Write(b.Bytes())
	return err
}

// Versus is the comparison of the engine with raw JetStream: medians over the rounds, and their extremes.
type Versus struct {
	TasksPerS float64 `json:"tasks_per_s"`
	RawPerS   float64 `json:"raw_per_s"`
	Ratio     float64 `json:"ratio"`
	TasksCPU  CPU     `json:"tasks_cpu_us"`
	RawCPU    CPU     `json:"raw_cpu_us"`
	MinMax    MinMax  `json:"min_max"`
	Rounds    []Round `json:"rounds"`

	Tasks        int    `json:"tasks"`
	PayloadBytes int    `json:"payload_bytes"`
	InFlight     int    `json:"in_flight"`
	Durability   string `json:"durability"`
}

// CPU is the CPU time that one task costs, in microseconds: in this process, with both ends of the work, and in the
// server's. It suffers less from a busy machine than the rates do.
type CPU struct {
	Clients float64 `json:"clients"`
	Server  float64 `json:"server"`
}

// MinMax holds the least and the most of each number over the rounds.
type MinMax struct {
	TasksPerS [2]float64 `json:"tasks_per_s"`
	RawPerS   [2]float64 `json:"raw_per_s"`
	Ratio     [2]float64 `json:"ratio"`
}

// Round is one measurement of both sides.
type Round struct {
	TasksPerS float64 `json:"tasks_per_s"`
	RawPerS   float64 `json:"raw_per_s"`
	Ratio     float64 `json:"ratio"`
	TasksCPU  CPU     `json:"tasks_cpu_us"`
	RawCPU    CPU     `json:"raw_cpu_us"`
}

// add takes a round in and brings the medians up to date.
func (v *Versus) add(engine, raw sample) {
	v.Rounds = append(v.Rounds, Round{
		TasksPerS: engine.perSecond(), RawPerS: raw.perSecond(), Ratio: engine.perSecond() / raw.perSecond(),
		TasksCPU: engine.cpu(), RawCPU: raw.cpu(),
	})
	v.TasksPerS, v.MinMax.TasksPerS = v.over(func(r Round) float64 { return r.TasksPerS })
	v.RawPerS, v.MinMax.RawPerS = v.over(func(r Round) float64 { return r.RawPerS })
	v.Ratio, v.MinMax.Ratio = v.over(func(r Round) float64 { return r.Ratio })
	v.TasksCPU.Clients, _ = v.over(func(r Round) float64 { return r.TasksCPU.Clients })
	v.TasksCPU.Server, _ = v.over(func(r Round) float64 { return r.TasksCPU.Server })
	v.RawCPU.Clients, _ = v.over(func(r Round) float64 { return r.RawCPU.Clients })
	v.RawCPU.Server, _ = v.over(func(r Round) float64 { return r.RawCPU.Server })
}

// over returns the median of one number over the rounds, and its extremes.
func (v *Versus) over(of func(Round) float64) (median float64, minMax [2]float64) {
	values := make([]float64, len(v.Rounds))
	for i, r := range v.Rounds {
		values[i] = of(r)
	}
	slices.Sort(values)
	last := len(values) - 1
	return (values[last/2] + values[(last+1)/2]) / 2, [2]float64{values[0], values[last]}
}

func (v *Versus) lines(name string) []string {
	side := func(what string, rate float64, m [2]float64, c CPU) string {
		return fmt.Sprintf("  %-6s %8.0f tasks/s  (%.0f to %.0f), CPU a task: %.0f us clients, %.0f us server",
			what, rate, m[0], m[1], c.Clients, c.Server)
	}
	return []string{
		fmt.Sprintf("%s: %d tasks of %d bytes, %d in flight, medians of %d rounds (least to most)",
			name, v.Tasks, v.PayloadBytes, v.InFlight, len(v.Rounds)),
		side("engine", v.TasksPerS, v.MinMax.TasksPerS, v.TasksCPU),
		side("raw", v.RawPerS, v.MinMax.RawPerS, v.RawCPU),
		fmt.Sprintf("  %-6s %8.3f          (%.3f to %.3f)", "ratio", v.Ratio, v.MinMax.Ratio[0], v.MinMax.Ratio[1]),
		"  " + v.Durability,
	}
}
