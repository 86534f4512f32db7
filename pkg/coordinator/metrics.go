package coordinator

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"autoresearch/pkg/spec"
)

// metrics are a coordinator's. Gauges of the run are read from the ledger when they are collected; no label holds an id.
type metrics struct {
	c *Coordinator

	commits          prometheus.Counter
	commitSeconds    prometheus.Histogram
	commitChanges    prometheus.Counter
	claimSeconds     prometheus.Histogram
	dropped          prometheus.Counter
	rejections       *prometheus.CounterVec
	rejectsDropped   prometheus.Counter
	stalls           prometheus.Counter
	snapshotWritten  prometheus.Gauge
	snapshotFailures prometheus.Counter
}

var (
	descTasks = prometheus.NewDesc("autoresearch_tasks", "Tasks of the run by state.", []string{"state"}, nil)
	descTotal = prometheus.NewDesc("autoresearch_task_events_total",
		"What happened to tasks and results since this leader's term began.", []string{"event"}, nil)
	descLeader  = prometheus.NewDesc("autoresearch_leader", "1 while this coordinator leads the run.", nil, nil)
	descEpoch   = prometheus.NewDesc("autoresearch_epoch", "The leader's term.", nil, nil)
	descJournal = prometheus.NewDesc("autoresearch_journal_sequence", "The journal's last sequence.", nil, nil)
	descMirror  = prometheus.NewDesc("autoresearch_mirror_sequence", "The journal sequence the mirror has reached.", nil, nil)
	descBest    = prometheus.NewDesc("autoresearch_best_metric", "The best value of the objective so far.", nil, nil)
	descActive  = prometheus.NewDesc("autoresearch_run_active", "1 while the run dispatches what there is room for; 0: stopped, paused or drained.", nil, nil)
	descKind    = prometheus.NewDesc("autoresearch_kind_tasks",
		"Live tasks by kind: waiting (in the queue, backing off included) or leased (dispatched or running).", []string{"kind", "class", "state"}, nil)
	descSlots = prometheus.NewDesc("autoresearch_class_slots", "Slots that live workers have, all runs' together.", []string{"class"}, nil)
	descWant  = prometheus.NewDesc("autoresearch_workers_wanted",
		"Workers that the run could keep busy within its budgets, what it keeps busy now included.", []string{"class"}, nil)
	descUsed = prometheus.NewDesc("autoresearch_budget_used_ratio",
		"How much of a limit at which the run stops is used up: 1 is all of it.", []string{"budget"}, nil)
	descLeaseTime  = prometheus.NewDesc("autoresearch_spent_lease_seconds", "For how long attempts have held slots.", nil, nil)
	descGPUTime    = prometheus.NewDesc("autoresearch_spent_gpu_seconds", "GPUs times the time for which attempts have held them.", nil, nil)
	descCost       = prometheus.NewDesc("autoresearch_spent_cost", "What the workflow's prices make of that, in their unit.", nil, nil)
	descNATS       = prometheus.NewDesc("autoresearch_nats_connected", "1 while the coordinator is connected to NATS.", nil, nil)
	descReconnects = prometheus.NewDesc("autoresearch_nats_reconnects_total", "Times the connection to NATS was lost and came back.", nil, nil)
	descAlarm      = prometheus.NewDesc("autoresearch_alarm", "1 while the journal is gone or damaged and the run is stopped.", nil, nil)
	descWorkers    = prometheus.NewDesc("autoresearch_workers", "Workers that were heard of in the last quarter of an hour.", nil, nil)
	descGPUs       = prometheus.NewDesc("autoresearch_gpus", "GPUs of these workers by class and state.", []string{"class", "state"}, nil)
)

func newMetrics(c *Coordinator) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	return &metrics{
		c:             c,
		commits:       counter("autoresearch_commits_total", "Journal records committed."),
		commitChanges: counter("autoresearch_commit_changes_total", "Task changes in committed journal records."),
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "autoresearch_commit_duration_seconds", Help: "How long a journal append took until it was acknowledged.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 2.5, 14),
		}),
		claimSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "autoresearch_dispatch_latency_seconds", Help: "How long a dispatched task waited until a worker's claim was journaled.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 14),
		}),
		dropped: counter("autoresearch_dropped_heartbeats_total", "Heartbeats dropped because the loop was behind."),
		rejections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "autoresearch_rejections_total", Help: "Results and children refused, by the rule they broke.",
		}, []string{"rule"}),
		rejectsDropped: counter("autoresearch_rejections_not_kept_total", "Rejections that were counted and not kept."),
		snapshotWritten: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "autoresearch_snapshot_timestamp_seconds", Help: "When engine_state.json was last written.",
		}),
		stalls:           counter("autoresearch_stalled_consumers_total", "Consumers made anew because they delivered nothing."),
		snapshotFailures: counter("autoresearch_snapshot_failures_total", "Snapshots that could not be written."),
	}
}

func (m *metrics) parts() []prometheus.Collector {
	return []prometheus.Collector{
		m.commits, m.commitSeconds, m.commitChanges, m.claimSeconds, m.dropped, m.rejections, m.rejectsDropped, m.stalls, m.snapshotWritten,
		m.snapshotFailures,
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, p := range m.parts() {
		p.Describe(ch)
	}
	for _, d := range []*prometheus.Desc{
		descTasks, descTotal, descLeader, descEpoch, descJournal, descMirror, descBest, descAlarm, descActive, descKind,
		descSlots, descWant, descUsed, descLeaseTime, descGPUTime, descCost, descNATS, descReconnects, descWorkers, descGPUs,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, p := range m.parts() {
		p.Collect(ch)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	role, epoch, _ := m.c.Readiness()
	gauge(descLeader, oneIf(role == RoleLeader))
	gauge(descAlarm, oneIf(role == RoleAlarmed))
	gauge(descEpoch, float64(epoch))
	gauge(descNATS, oneIf(m.c.ports.connected()))
	ch <- prometheus.MustNewConstMetric(descReconnects, prometheus.CounterValue, float64(m.c.o.Conn.Reconnects()))
	t, err := m.c.term()
	if err != nil {
		return // a standby knows nothing of the run
	}
	gauge(descJournal, float64(t.ledger.position().seq))
	gauge(descMirror, float64(t.mirror.reach().seq))
	m.collectRun(ch, t)
	collectWorkers(ch, t.roster.workers(t.c.host.Now()))
}

// collectWorkers counts workers and their GPUs. Classes beyond a bound are left out: workers name them.
func collectWorkers(ch chan<- prometheus.Metric, workers []Worker) {
	const classesMax = 100
	classes := map[string]map[string]int{}
	for i := range workers {
		for _, g := range workers[i].GPUs {
			if classes[g.Class] == nil && len(classes) < classesMax {
				classes[g.Class] = map[string]int{spec.GPUFree: 0, spec.GPUBusy: 0, spec.GPUChecking: 0, spec.GPUQuarantined: 0}
			}
			if _, known := classes[g.Class][g.State]; known {
				classes[g.Class][g.State]++
			}
		}
	}
	ch <- prometheus.MustNewConstMetric(descWorkers, prometheus.GaugeValue, float64(len(workers)))
	for class, states := range classes {
		for state, count := range states {
			ch <- prometheus.MustNewConstMetric(descGPUs, prometheus.GaugeValue, float64(count), strings.ToValidUTF8(class, "?"), state)
		}
	}
}

func (m *metrics) collectRun(ch chan<- prometheus.Metric, t *term) {
	now := m.c.host.Now()
	s := t.ledger.status(now)
	n := s.Counts
	m.collectDemand(ch, t, now)
	ch <- prometheus.MustNewConstMetric(descActive, prometheus.GaugeValue, oneIf(t.ledger.active()))
	for state, count := range map[string]int{
		spec.StateQueued.String(): n.Queued, "delayed": n.Delayed, spec.StateDispatched.String(): n.Dispatched,
		spec.StateRunning.String(): n.Running, spec.StateReported.String(): n.Reported,
		spec.StatusCompleted: n.Completed, spec.StatusFailed: n.Failed, "cancelled": n.Cancelled,
	} {
		ch <- prometheus.MustNewConstMetric(descTasks, prometheus.GaugeValue, float64(count), state)
	}
	for event, count := range map[string]uint64{
		"duplicate": n.Duplicates, "superseded": n.Superseded, "rejected": n.Rejected, "retried": n.Retries,
		"lost": n.Lost, "preempted": n.Preempted, "readopted": n.Readopted, "over_budget": n.OverBudget,
		"republished": n.Republished,
	} {
		ch <- prometheus.MustNewConstMetric(descTotal, prometheus.CounterValue, float64(count), event)
	}
	if s.Best != nil {
		ch <- prometheus.MustNewConstMetric(descBest, prometheus.GaugeValue, s.Best.Value)
	}
}

// collectDemand says what waits for which workers.
func (m *metrics) collectDemand(ch chan<- prometheus.Metric, t *term, now time.Time) {
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	for kind, k := range t.ledger.demands() {
		gauge(descKind, k.waiting, kind, t.ledger.class(kind), "waiting")
		gauge(descKind, k.leased, kind, t.ledger.class(kind), "leased")
	}
	for budget, used := range t.used() {
		ch <- prometheus.MustNewConstMetric(descUsed, prometheus.GaugeValue, used, budget)
	}
	spent := t.ledger.spent()
	for d, value := range map[*prometheus.Desc]float64{
		descLeaseTime: spent.LeaseTime.Seconds(), descGPUTime: spent.GPUTime.Seconds(), descCost: spent.Cost.Units(),
	} {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	for class, c := range t.demands(now) {
		gauge(descSlots, c.slots, class)
		gauge(descWant, c.workers(), class)
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
