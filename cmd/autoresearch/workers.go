package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"autoresearch/pkg/api"
	"autoresearch/pkg/spec"
)

func workersCommand() *cobra.Command {
	var o remote
	cmd := &cobra.Command{
		Use:   "workers [DIR]",
		Short: "List the workers, what they run, and when they were heard of",
		Example: `  autoresearch workers
  autoresearch workers runs/demo -o wide --watch`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.do(cmd, first(args), func(ctx context.Context, s *session) error {
				return s.watching(ctx, func(ctx context.Context) error {
					list, err := s.Workers(ctx, s.run)
					if err != nil {
						return err
					}
					return s.print(api.WorkerList{Workers: list}, func(w *bytes.Buffer, wide bool) { writeWorkers(w, list, wide) })
				})
			})
		},
	}
	o.add(cmd)
	o.addOutput(cmd)
	o.addWatch(cmd)
	return cmd
}

func writeWorkers(w *bytes.Buffer, workers []api.Worker, wide bool) {
	t := newTable(w, "WORKER", "HOST", "CLASS", "SLOTS", "FREE", "RUNS", "GPUS", "LABELS", "HEARD")
	for i := range workers {
		worker := &workers[i]
		for j, s := range append(worker.Slots, make([]api.Slots, max(0, 1-len(worker.Slots)))...) {
			cells := []string{"", "", name(s.Class), strconv.Itoa(s.Total), strconv.Itoa(s.Free), "", gpusOf(worker, s.Class), "", ""}
			if j == 0 {
				cells[0], cells[1], cells[5], cells[8] = name(worker.ID), name(worker.Host), loadOf(worker, wide), heard(worker)
				cells[7] = harmless(strings.Join(worker.Labels, ","), nameMax)
			}
			t.row(cells...)
		}
	}
	t.end()
	writeTroubles(w, workers)
	if wide {
		writeHoldings(w, workers)
	}
}

// loadOf says what a worker runs and for how long, the longest first.
func loadOf(worker *api.Worker, wide bool) string {
	const shown = 2
	if wide {
		return strconv.Itoa(len(worker.Running))
	}
	running := slices.SortedFunc(slices.Values(worker.Running), func(a, b api.Holding) int { return cmp.Compare(b.Seconds, a.Seconds) })
	var list []string
	for _, h := range running[:min(shown, len(running))] {
		list = append(list, name(h.Task)+" "+lasting(h))
	}
	if more := len(running) - shown; more > 0 {
		list = append(list, fmt.Sprintf("%d more", more))
	}
	if worker.Others > 0 {
		list = append(list, fmt.Sprintf("%d of other runs", worker.Others))
	}
	return strings.Join(list, ", ")
}

func lasting(h api.Holding) string { return duration(time.Duration(h.Seconds * float64(time.Second))) }

// gpusOf says what GPUs a worker has for a class.
func gpusOf(worker *api.Worker, class string) string {
	model, count, unfit := "", 0, 0
	for _, g := range worker.GPUs {
		if g.Class != class {
			continue
		}
		model = g.Model
		count++
		if g.State == spec.GPUQuarantined {
			unfit++
		}
	}
	switch {
	case count == 0:
		return ""
	case unfit > 0:
		return fmt.Sprintf("%d x %s, %d quarantined", count, name(model), unfit)
	}
	return fmt.Sprintf("%d x %s", count, name(model))
}

// writeTroubles says why workers offer less than they have.
func writeTroubles(w *bytes.Buffer, workers []api.Worker) {
	for i := range workers {
		worker := &workers[i]
		if worker.Breaker != "" {
			fmt.Fprintf(w, "\n%s takes nothing: %s\n", name(worker.ID), harmless(worker.Breaker, 500))
		}
		for _, g := range worker.GPUs {
			if g.State == spec.GPUQuarantined {
				fmt.Fprintf(w, "\n%s on %s is quarantined: %s\n", name(g.UUID), name(worker.Host), harmless(g.Reason, 500))
			}
		}
	}
}

// writeHoldings lists what all of them run.
func writeHoldings(w *bytes.Buffer, workers []api.Worker) {
	fmt.Fprintln(w)
	t := newTable(w, "TASK", "ATTEMPT", "TIME", "WORKER", "PROGRESS", "METRICS")
	for i := range workers {
		for _, h := range workers[i].Running {
			t.row(name(h.Task), number(h.Attempt), lasting(h), name(workers[i].ID), harmless(h.Progress, nameMax), metrics(h.Metrics))
		}
	}
	t.end()
}

func heard(w *api.Worker) string {
	text := ago(&w.HeardAt)
	switch {
	case w.Silent:
		text += ", silent"
	case w.Leaving:
		text += ", leaving"
	}
	return text
}
