package bench

import "fmt"

// Versus is the comparison of the engine with raw JetStream: medians over the rounds, and their extremes.
type Versus struct {
	TasksPerS float64      `json:"tasks_per_s"`
	RawPerS   float64      `json:"raw_per_s"`
	Ratio     float64      `json:"ratio"`
	TasksCPU  CPU          `json:"tasks_cpu_us"`
	RawCPU    CPU          `json:"raw_cpu_us"`
	MinMax    VersusMinMax `json:"min_max"`
	Rounds    []Round      `json:"rounds"`

	Tasks        int `json:"tasks"`
	PayloadBytes int `json:"payload_bytes"`
	InFlight     int `json:"in_flight"`

	met []Target
}

// CPU is the CPU time that one task costs, in microseconds: in the processes of both ends of the work, and in the
// server's. It suffers less from a busy machine than the rates do.
type CPU struct {
	Clients float64 `json:"clients"`
	Server  float64 `json:"server"`
}

// VersusMinMax holds the least and the most of each number over the rounds.
type VersusMinMax struct {
	TasksPerS MinMax `json:"tasks_per_s"`
	RawPerS   MinMax `json:"raw_per_s"`
	Ratio     MinMax `json:"ratio"`
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
	v.TasksPerS, v.MinMax.TasksPerS = median(v.Rounds, func(r Round) float64 { return r.TasksPerS })
	v.RawPerS, v.MinMax.RawPerS = median(v.Rounds, func(r Round) float64 { return r.RawPerS })
	v.Ratio, v.MinMax.Ratio = median(v.Rounds, func(r Round) float64 { return r.Ratio })
	v.TasksCPU.Clients, _ = median(v.Rounds, func(r Round) float64 { return r.TasksCPU.Clients })
	v.TasksCPU.Server, _ = median(v.Rounds, func(r Round) float64 { return r.TasksCPU.Server })
	v.RawCPU.Clients, _ = median(v.Rounds, func(r Round) float64 { return r.RawCPU.Clients })
	v.RawCPU.Server, _ = median(v.Rounds, func(r Round) float64 { return r.RawCPU.Server })
}

func (v *Versus) targets() []Target { return v.met }

func (v *Versus) lines(name string) []string {
	side := func(what string, rate float64, m MinMax, c CPU) string {
		return fmt.Sprintf("  %-6s %8.0f tasks/s  (%.0f to %.0f), CPU a task: %.0f us clients, %.0f us server",
			what, rate, m[0], m[1], c.Clients, c.Server)
	}
	return []string{
		fmt.Sprintf("%s: %d tasks of %d bytes, %d in flight, medians of %d rounds (least to most)",
			name, v.Tasks, v.PayloadBytes, v.InFlight, len(v.Rounds)),
		side("engine", v.TasksPerS, v.MinMax.TasksPerS, v.TasksCPU),
		side("raw", v.RawPerS, v.MinMax.RawPerS, v.RawCPU),
		fmt.Sprintf("  %-6s %8.3f          (%.3f to %.3f)", "ratio", v.Ratio, v.MinMax.Ratio[0], v.MinMax.Ratio[1]),
	}
}
