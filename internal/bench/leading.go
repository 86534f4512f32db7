package bench

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// leading is a coordinator in this process that leads a run of its own. It has no workdir unless it is given one: the
// journal in JetStream is what keeps the run.
type leading struct {
	*coordinator.Coordinator
	run     spec.RunName
	conn    *bus.Conn
	metrics *prometheus.Registry
	ended   chan error // how it ended by itself
	stop    func()     // ends it and waits
}

// lead starts a coordinator and returns once it leads. Of the options it sets Conn, Registerer and Logger.
func lead(ctx context.Context, conn *bus.Conn, o coordinator.Options, log *slog.Logger) (*leading, error) {
	l := &leading{run: o.Run, conn: conn, metrics: prometheus.NewRegistry(), ended: make(chan error, 1)}
	o.Conn, o.Registerer, o.Logger = conn, l.metrics, log
	var err error
	if l.Coordinator, err = coordinator.New(o); err != nil {
		return nil, err
	}
	l.stop = start(ctx, l.ended, func(ctx context.Context) error {
		_, err := l.Run(ctx)
		return err
	})
	err = l.until(ctx, poll, func() bool {
		_, err := l.Status() // an error until it leads
		return err == nil
	})
	if err != nil {
		l.stop()
		return nil, err
	}
	return l, nil
}

// start runs f until stop is called, which waits for it. An end before that is told to ended.
func start(ctx context.Context, ended chan<- error, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := f(ctx); ctx.Err() == nil {
			ended <- errors.Join(errEndedEarly, err)
		}
	})
	return func() { cancel(); wg.Wait() }
}

// errEndedEarly: the coordinator or a worker returned though nobody had asked it to.
var errEndedEarly = errors.New("coordinator or worker ended by itself")

// How often a count is looked at that ends a measurement, and one that does not.
const (
	poll     = 200 * time.Microsecond
	pollSlow = 20 * time.Millisecond
)

// until polls until ok.
func (l *leading) until(ctx context.Context, every time.Duration, ok func() bool) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case err := <-l.ended:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// counts returns the run's counts; none when it does not lead.
func (l *leading) counts() engine.Counts {
	status, err := l.Status()
	if err != nil {
		return engine.Counts{}
	}
	return status.Counts
}

// submit submits specs that must all be new.
func (l *leading) submit(ctx context.Context, specs []spec.TaskSpec) error {
	errs, added, err := l.Submit(ctx, specs)
	if err = errors.Join(append(errs, err)...); err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	if added != len(specs) {
		return fmt.Errorf("submit: %d of %d tasks were new", added, len(specs))
	}
	return nil
}

// submitChunk is how many tasks one submission holds.
const submitChunk = 1000

// submitAll submits the tasks of a load from first to end, without end.
func (l *leading) submitAll(ctx context.Context, of load, first, end int) error {
	for ; first < end; first += submitChunk {
		if err := l.submit(ctx, of.specs(first, min(end, first+submitChunk))); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until the mirror has caught up with the journal, so that no earlier work is part of what is measured next.
func (l *leading) settle(ctx context.Context) error {
	return l.until(ctx, pollSlow, func() bool {
		journal, mirror := l.gauge("autoresearch_journal_sequence"), l.gauge("autoresearch_mirror_sequence")
		return mirror >= journal-settledMax
	})
}

// settledMax is how many records a mirror may lack that has caught up: a leader appends now and then while it is idle.
const settledMax = 2

// gauge reads one of the coordinator's metrics.
func (l *leading) gauge(name string) float64 {
	families, err := l.metrics.Gather()
	if err != nil {
		return -1
	}
	for _, f := range families {
		if f.GetName() == name && len(f.GetMetric()) == 1 {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return -1
}

// removeTimeout bounds the removal of a run's streams.
const removeTimeout = 10 * time.Second

// forget removes a run that nobody leads any more, so that the next one starts as this one did.
func forget(c *bus.Conn, run spec.RunName) error {
	return removeStreams(c, bus.JournalStream(run), bus.ResultsStream(run), "KV_"+bus.StateBucket(run))
}

// removeStreams removes streams, those that were never made left aside.
func removeStreams(c *bus.Conn, names ...string) error {
	js, err := jetstream.New(c.NATS())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	for _, name := range names {
		if err := js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return fmt.Errorf("remove stream %s: %w", name, err)
		}
	}
	return nil
}
