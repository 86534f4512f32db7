package coordinator

import (
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
	descAlarm   = prometheus.NewDesc("autoresearch_alarm", "1 while the journal is gone or damaged and the run is stopped.", nil, nil)
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
		m.commits, m.commitSeconds, m.commitChanges, m.dropped, m.rejections, m.rejectsDropped, m.stalls, m.snapshotWritten,
		m.snapshotFailures,
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, p := range m.parts() {
		p.Describe(ch)
	}
	for _, d := range []*prometheus.Desc{
		descTasks, descTotal, descLeader, descEpoch, descJournal, descMirror, descBest, descAlarm,
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
	t, err := m.c.term()
	if err != nil {
		return // a standby knows nothing of the run
	}
	gauge(descJournal, float64(t.ledger.position().seq))
	gauge(descMirror, float64(t.mirror.reach().seq))
	m.collectRun(ch, t)
}

func (m *metrics) collectRun(ch chan<- prometheus.Metric, t *term) {
	s := t.ledger.status(time.Now())
	n := s.Counts
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

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
