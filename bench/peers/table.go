package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// Report is what was found.
type Report struct {
	Tasks   int      `json:"tasks"` // a round
	Payload int      `json:"payload_bytes"`
	Rounds  int      `json:"rounds"`
	Systems []*Found `json:"systems"`
	Skipped []string `json:"skipped,omitempty"` // peers that could not be measured, and why
	Machine string   `json:"machine"`
}

// Found is what was found of one system at one durability: the median over the rounds, and its extremes.
type Found struct {
	Name       string     `json:"name"`
	Durability Durability `json:"durability"`
	Settings   string     `json:"settings"`
	TasksPerS  float64    `json:"tasks_per_s"`
	MinMax     [2]float64 `json:"min_max"`
	Rates      []float64  `json:"rates"`
	// Ours is our rate at the same durability, as a multiple of this one; 1 for ours.
	Ours float64 `json:"ours_to_this"`
}

// add takes a round in.
func (f *Found) add(rate float64) {
	f.Rates = append(f.Rates, rate)
	sorted := slices.Sorted(slices.Values(f.Rates))
	last := len(sorted) - 1
	f.TasksPerS, f.MinMax = (sorted[last/2]+sorted[(last+1)/2])/2, [2]float64{sorted[0], sorted[last]}
}

// compare sets the ratios. ours are found first.
func (r *Report) compare() {
	ours := make(map[Durability]float64)
	for _, f := range r.Systems {
		if _, known := ours[f.Durability]; !known {
			ours[f.Durability] = f.TasksPerS
		}
		f.Ours = ours[f.Durability] / f.TasksPerS
	}
}

// writeText writes the report for people.
func (r *Report) writeText(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d tasks that do nothing, %d bytes each, results recorded; medians of %d rounds in turn (least to most)\n",
		r.Tasks, r.Payload, r.Rounds)
	rows := "system\tdurability\ttasks/s\tspread\tours / it\tsettings\n"
	for _, f := range r.Systems {
		rows += fmt.Sprintf("%s\t%s\t%.0f\t%.0f to %.0f\t%.2f\t%s\n", f.Name, f.Durability, f.TasksPerS, f.MinMax[0],
			f.MinMax[1], f.Ours, f.Settings)
	}
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, err := table.Write([]byte(rows))
	if err = errors.Join(err, table.Flush()); err != nil {
		return err
	}
	for _, s := range r.Skipped {
		fmt.Fprintln(&b, "skipped:", s)
	}
	fmt.Fprintln(&b, "on", r.Machine)
	_, err = w.Write(b.Bytes())
	return err
}
