package worker

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"autoresearch/pkg/spec"
)

// metrics are the worker's numbers. No label holds a name of a user's: classes come from the worker's own options.
type metrics struct {
	attempts *prometheus.CounterVec   // class, outcome
	duration *prometheus.HistogramVec // class

	launch, cleanup prometheus.Histogram
	strays          prometheus.Counter
	swept           prometheus.Counter

	pullFailures      *prometheus.CounterVec // class
	duplicates        prometheus.Counter
	abandoned         prometheus.Counter
	heartbeats        prometheus.Counter
	heartbeatFailures prometheus.Counter
	publishFailures   prometheus.Counter
	spoolFailures     prometheus.Counter

	codeHits, codeMisses prometheus.Counter

	breakerTrips prometheus.Counter
	logDropped   prometheus.Counter

	gpuLook                      prometheus.Histogram
	gpuLookFailures, quarantines prometheus.Counter

	state *stateCollector
}

// The values of the label outcome.
const (
	outcomeSucceeded  = "succeeded"
	outcomeFailed     = "failed"
	outcomeCancelled  = "cancelled"
	outcomePreempted  = "preempted"
	outcomeSuperseded = "superseded"
)

func newMetrics(w *worker) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: metricPrefix + name, Help: help})
	}
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: metricPrefix + name, Help: help, Buckets: prometheus.ExponentialBuckets(0.001, 2, 14), // 1 ms to 8 s
		})
	}
	return &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricPrefix + "attempts_total", Help: "Attempts that ended, by outcome.",
		}, []string{"class", "outcome"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: metricPrefix + "attempt_duration_seconds", Help: "Wall time of attempts.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 14), // 1 ms to 19 h
		}, []string{"class"}),
		launch: histogram("launch_seconds", "Supervision latency: from the order to start a command until it runs."),
		cleanup: histogram("cleanup_seconds",
			"Supervision latency: from the end of a command until nothing of it is left."),
		strays: counter("strays_killed_total", "Processes that experiments left behind and that were killed."),
		swept:  counter("directories_removed_total", "Old directories of attempts and checkpoints that were removed."),
		pullFailures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: metricPrefix + "pull_failures_total", Help: "Requests for tasks that failed.",
		}, []string{"class"}),
		duplicates:        counter("duplicates_total", "Dispatches ignored because their attempt was held already."),
		abandoned:         counter("abandoned_total", "Attempts that did not end when stopped and keep their slot."),
		heartbeats:        counter("heartbeats_total", "Heartbeats sent."),
		heartbeatFailures: counter("heartbeat_failures_total", "Heartbeats and start notices that could not be sent."),
		publishFailures:   counter("publish_failures_total", "Publishes of results that failed and are tried again."),
		spoolFailures:     counter("spool_failures_total", "Writes to the spool that failed; the results stay in memory."),
		logDropped:        counter("log_dropped_bytes_total", "Bytes of attempts' output that were not sent to NATS; their files may have them."),
		codeHits:          counter("code_hits_total", "Source trees of attempts that were on disk already."),
		codeMisses:        counter("code_misses_total", "Source trees of attempts that were fetched."),
		breakerTrips:      counter("breaker_trips_total", "Times the worker took itself out: its attempts failed in a row in one way."),
		gpuLook:           histogram("gpu_look_seconds", "Time that nvidia-smi took to answer."),
		gpuLookFailures:   counter("gpu_look_failures_total", "Times nvidia-smi failed or did not answer."),
		quarantines:       counter("gpu_quarantines_total", "Times the GPUs of a slot were quarantined."),
		state:             &stateCollector{worker: w},
	}
}

const metricPrefix = "autoresearch_worker_"

// ended counts an attempt that has an outcome.
func (m *metrics) ended(class string, o outcome, took time.Duration) {
	name := outcomeSucceeded
	switch {
	case o.discarded:
		name = outcomeSuperseded
	case o.preempted:
		name = outcomePreempted
	case o.result.Failure.Cause() == spec.CauseCancelled:
		name = outcomeCancelled
	case o.result.Failure != nil:
		name = outcomeFailed
	}
	m.attempts.WithLabelValues(class, name).Inc()
	m.duration.WithLabelValues(class).Observe(took.Seconds())
}

// register adds all metrics and returns how to take them out again.
func (m *metrics) register(registerer prometheus.Registerer) (unregister func(), err error) {
	all := []prometheus.Collector{
		m.attempts, m.duration, m.launch, m.cleanup, m.strays, m.swept, m.pullFailures, m.duplicates, m.abandoned, m.heartbeats, m.heartbeatFailures,
		m.publishFailures, m.spoolFailures, m.logDropped, m.breakerTrips, m.codeHits, m.codeMisses, m.gpuLook, m.gpuLookFailures, m.quarantines, m.state,
	}
	var added []prometheus.Collector
	unregister = func() {
		for _, collector := range added {
			registerer.Unregister(collector)
		}
	}
	for _, collector := range all {
		if err := registerer.Register(collector); err != nil {
			unregister()
			if taken := (prometheus.AlreadyRegisteredError{}); errors.As(err, &taken) {
				err = fmt.Errorf("%w: give each worker of a process a registry of its own", err)
			}
			return nil, fmt.Errorf("register metrics: %w", err)
		}
		added = append(added, collector)
	}
	return unregister, nil
}

var (
	slotsDesc = prometheus.NewDesc(metricPrefix+"slots",
		"Slots by class and state: free, busy, deaf (free, but the class cannot pull), or out (their GPUs are not fit).",
		[]string{"class", "state"}, nil)
	gpusDesc = prometheus.NewDesc(metricPrefix+"gpus", "GPUs by class and state: free, busy, checking or quarantined.",
		[]string{"class", "state"}, nil)
	natsDesc       = prometheus.NewDesc(metricPrefix+"nats_connected", "1 while the worker is connected to NATS.", nil, nil)
	breakerDesc    = prometheus.NewDesc(metricPrefix+"breaker_open", "1 while the worker has taken itself out.", nil, nil)
	spoolBytesDesc = prometheus.NewDesc(metricPrefix+"spool_bytes", "Size of the spool file.", nil, nil)
	spoolDesc      = prometheus.NewDesc(metricPrefix+"spool_entries", "Results in the spool file.", nil, nil)
	unreceiptDesc  = prometheus.NewDesc(metricPrefix+"unreceipted_results", "Results without a receipt, in memory and on disk.",
		nil, nil)
)

// stateCollector reads what the worker holds when it is asked.
type stateCollector struct{ worker *worker }

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{slotsDesc, gpusDesc, natsDesc, breakerDesc, spoolBytesDesc, spoolDesc, unreceiptDesc} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value), labels...)
	}
	for _, s := range c.worker.ledger.slots() {
		if s.base != nil {
			continue // its slots are those of its base
		}
		idle := map[bool]int{s.deaf: max(0, s.size-s.busy-s.out)}
		gauge(slotsDesc, s.out, s.class, "out")
		gauge(slotsDesc, s.busy, s.class, "busy")
		gauge(slotsDesc, idle[false], s.class, "free")
		gauge(slotsDesc, idle[true], s.class, "deaf")
	}
	connected := 0
	if on, _, _ := c.worker.health.connection(); on {
		connected = 1
	}
	gauge(natsDesc, connected)
	gpus := map[[2]string]int{}
	for _, g := range c.worker.ledger.gpuStatus() {
		for _, state := range []string{spec.GPUFree, spec.GPUBusy, spec.GPUChecking, spec.GPUQuarantined} {
			gpus[[2]string{g.Class, state}] += 0
		}
		gpus[[2]string{g.Class, g.State}]++
	}
	for key, count := range gpus {
		gauge(gpusDesc, count, key[0], key[1])
	}
	open := 0
	if most, _, _ := c.worker.breaker.state(time.Now()); most >= 0 {
		open = 1
	}
	gauge(breakerDesc, open)
	size, entries := c.worker.spool.volume()
	gauge(spoolBytesDesc, int(size))
	gauge(spoolDesc, entries)
	gauge(unreceiptDesc, c.worker.ledger.unreceiptedCount())
}
