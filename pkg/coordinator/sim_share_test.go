package coordinator

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"autoresearch/internal/model"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

// TestShareOfANewRun: a run that others are led beside takes its share from the start, of a worker that comes so soon that no other
// leader has told again what it wants.
func TestShareOfANewRun(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		w := &sharing{sched: model.NewScheduler(seed)}
		w.server = model.NewServer(w.sched.Now)
		first := w.lead("first", 3)
		w.runFor(2*time.Second + time.Duration(seed)*demandInterval/20)
		second := w.lead("second", 1)
		for !second.leads() {
			w.runFor(time.Millisecond)
		}
		w.runFor(2 * demandIntervalMin)
		w.beat(t, 8)
		w.runFor(2 * demandIntervalMin)
		if a, b := first.leases(), second.leases(); a != 6 || b != 2 {
			t.Errorf("seed %d: of 8 slots the runs take %d and %d, want 6 and 2", seed, a, b)
		}
		w.bury()
	}
}

// sharing are runs, each with a coordinator of its own, beside a modelled server that has no faults.
type sharing struct {
	sched  *model.Scheduler
	server *model.Server
	led    []*sharingRun
}

type sharingRun struct {
	c *Coordinator
	p *model.Proc
}

// patientLink is a link without faults that takes its time to read.
type patientLink struct {
	model.Direct
	p *model.Proc
}

func (l patientLink) Read(ctx context.Context) bool {
	l.p.Wait(ctx, 10*time.Millisecond)
	return l.Direct.Read(ctx)
}

// lead starts the coordinator of a run of ten tasks.
func (w *sharing) lead(run spec.RunName, weight float64) *sharingRun {
	r := &sharingRun{}
	r.p = w.sched.Start(string(run), func(p *model.Proc) {
		client := model.NewClient(w.server, patientLink{model.Direct{Server: w.server}, p}, p)
		c := newCoordinator(Options{
			Run: run, Workflow: &tenTasks{newTree(0, 0)}, Weight: weight, MaxConcurrency: 10, Seed: 1, Logger: slog.New(slog.DiscardHandler),
			LeaderTTL: 3 * time.Second, HookTimeout: 3 * time.Second,
		}, p)
		c.use(ports{
			journal: client.Journal(run, bus.StreamOptions{}), results: client.Results(run, bus.StreamOptions{}),
			doorbell: client.Doorbell(bus.StreamOptions{}, c.notRung), uplinks: client.Uplinks(),
			mirror: client.Mirror(run), lease: client.Lease(kv.LeaseOptions{TTL: c.o.LeaderTTL}),
			connected: func() bool { return true }, payloadMax: func() int { return bus.MaxPayloadDefault },
			objects: client.Objects(run, bus.StreamOptions{}), rejects: client.Rejects(run),
			output: client.Objects(run+".output", bus.StreamOptions{}),
		})
		r.c = c
		_, _ = c.Run(context.Background()) // it is killed
	})
	w.led = append(w.led, r)
	return r
}

// tenTasks is a workflow that begins with ten tasks.
type tenTasks struct{ *tree }

func (w *tenTasks) Load(context.Context) (specs []spec.TaskSpec, err error) {
	for i := range 10 {
		specs = append(specs, task(fmt.Sprint(i)))
	}
	return specs, nil
}

func (r *sharingRun) leads() bool {
	if r.c == nil {
		return false
	}
	_, err := r.c.Status()
	return err == nil
}

func (r *sharingRun) leases() int {
	s, err := r.c.Status()
	if err != nil {
		return -1
	}
	return s.Counts.Leases()
}

// runFor lets so much time pass.
func (w *sharing) runFor(d time.Duration) {
	over := false
	w.sched.After(d, func() { over = true })
	for !over && w.sched.Step() {
	}
}

// beat has a worker say that it has so many slots, all free.
func (w *sharing) beat(t *testing.T, slots int) {
	t.Helper()
	data, err := bus.EncodeUplink(&bus.Uplink{
		Version: bus.MessageVersion, Worker: "w", Boot: 1, Full: true,
		Slots: []bus.ClassSlots{{Class: spec.ClassDefault, Total: slots, Free: slots}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.sched.After(0, func() {
		if err := w.server.SendUplink(data); err != nil {
			t.Error(err)
		}
	})
}

// bury ends every process, so that no goroutine is left.
func (w *sharing) bury() {
	for _, r := range w.led {
		r.p.Kill()
	}
	w.sched.Bury()
}
