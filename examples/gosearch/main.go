// Command gosearch is a search written in Go: a workflow and a runner in one process. It looks for the lowest point of a
// function of two variables with many local minima (Rastrigin's), by keeping the best points and trying others near them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/report"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/worker"
)

func main() {
	workdir := flag.String("workdir", "runs/gosearch", "folder that keeps the run")
	experiments := flag.Int("experiments", 200, "experiments to run")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *workdir, *experiments)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gosearch:", err)
		os.Exit(1)
	}
}

// run brings up a NATS server, a coordinator and a worker, and waits for the search to stop.
func run(ctx context.Context, workdir string, experiments int) (err error) {
	store := filepath.Join(workdir, "engine", "nats")
	server, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: store, Port: -1, SyncAlways: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Shutdown()) }()
	conn, err := server.Connect(ctx, "gosearch")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	c, err := coordinator.New(coordinator.Options{
		Conn: conn, Run: "gosearch", Workflow: &descent{limit: experiments}, Name: "gosearch", MaxConcurrency: 8,
		Workdir: workdir, ExitWhenStopped: true,
	})
	if err != nil {
		return err
	}
	working, endWorking := context.WithCancel(ctx)
	var g errgroup.Group
	g.Go(func() error {
		return worker.Run(working, worker.Options{
			Conn: conn, Dir: filepath.Join(workdir, "engine", "worker"), Slots: map[string]int{spec.ClassDefault: 8},
			Runners: map[string]spec.Runner{"point": spec.RunnerFunc(measure)},
		})
	})
	g.Go(func() error {
		defer endWorking()
		status, err := c.Run(ctx)
		if status.Best != nil {
			fmt.Printf("%s after %d experiments: best %.4f at %s\n",
				status.Status, status.Counts.Completed, status.Best.Value, status.Best.Task)
		}
		return err
	})
	return g.Wait()
}

// measure is the experiment: the value of the function at the point in the payload.
func measure(_ context.Context, a spec.Attempt) (spec.TaskResult, error) {
	x, y, err := point(a.Task)
	if err != nil {
		return spec.TaskResult{}, err
	}
	value := 20 + x*x - 10*math.Cos(2*math.Pi*x) + y*y - 10*math.Cos(2*math.Pi*y)
	return spec.TaskResult{Metrics: map[string]float64{"value": value}, Duration: time.Microsecond}, nil
}

func point(t spec.TaskSpec) (x, y float64, err error) {
	payload, err := t.Payload.Decode()
	if err != nil {
		return 0, 0, err
	}
	_, err = fmt.Sscan(fmt.Sprint(payload["x"], " ", payload["y"]), &x, &y)
	return x, y, err
}

// descent is the workflow: the child of a result lies near the best point so far, or anywhere.
type descent struct {
	limit int

	mu       sync.Mutex
	proposed int
	best     spec.TaskSpec
	value    float64
	hasBest  bool
}

var (
	_ spec.Workflow = (*descent)(nil)
	_ spec.Restorer = (*descent)(nil)
	_ spec.Scorer   = (*descent)(nil)
)

// Objective implements spec.Scorer.
func (d *descent) Objective() spec.Objective { return spec.Objective{Metric: "value"} }

// Load returns eight points to begin with.
func (d *descent) Load(context.Context) ([]spec.TaskSpec, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var first []spec.TaskSpec
	for range 8 {
		first = append(first, d.propose())
	}
	return first, nil
}

// Restore counts what an earlier process proposed, and finds its best.
func (d *descent) Restore(_ context.Context, tasks []*spec.Task, results map[spec.TaskID]spec.TaskResult) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.proposed = len(tasks)
	for _, t := range tasks {
		d.learn(t.Spec, results[t.Spec.ID])
	}
	return nil
}

// OnResult returns one more point for each that was measured, until the limit.
func (d *descent) OnResult(_ context.Context, task spec.TaskSpec, result spec.TaskResult) ([]spec.TaskSpec, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.learn(task, result)
	if d.proposed >= d.limit {
		return nil, nil // how a workflow ends its run: it proposes nothing more
	}
	return []spec.TaskSpec{d.propose()}, nil
}

func (d *descent) learn(task spec.TaskSpec, result spec.TaskResult) {
	value, ok := result.Metrics["value"]
	if ok && d.Objective().Improves(value, d.value, d.hasBest) {
		d.best, d.value, d.hasBest = task, value, true
	}
}

// propose draws the next point. What is drawn depends on its number only, so that a hook that runs again after a crash
// proposes the same.
func (d *descent) propose() spec.TaskSpec {
	d.proposed++
	draw := rand.New(rand.NewPCG(1, uint64(d.proposed)))
	x, y, parent := draw.Float64()*10-5, draw.Float64()*10-5, spec.TaskID("")
	if bx, by, err := point(d.best); d.hasBest && err == nil && d.proposed%4 != 0 {
		x, y, parent = bx+draw.NormFloat64()*0.3, by+draw.NormFloat64()*0.3, d.best.ID
	}
	return spec.TaskSpec{
		ID: spec.TaskID(fmt.Sprintf("p%04d", d.proposed)), Kind: "point", Parent: parent,
		Payload: spec.Payload(fmt.Sprintf(`{"x": %.4f, "y": %.4f}`, x, y)),
	}
}

// Checkpoint needs to keep nothing: Restore is given all that is known.
func (d *descent) Checkpoint(context.Context, []spec.TaskSpec, []spec.TaskSpec, spec.Status) error {
	return nil
}

// Summarize is the standard report.
func (d *descent) Summarize(_ context.Context, workdir string) (string, error) {
	search, err := report.Load(workdir)
	if err != nil {
		return "", err
	}
	return report.Markdown(search), nil
}
