package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

// Options say whom to tell of which run.
type Options struct {
	Coordinator *coordinator.Coordinator
	Marks       *kv.Notices
	Targets     []spec.Notification
	// Name is the workflow's, for people.
	Name   string
	Logger *slog.Logger
	// Registerer, unless nil, gets the metric.
	Registerer prometheus.Registerer
	// Backoff is the pause after a first attempt that failed, doubling with each; a second by default.
	Backoff time.Duration
}

// Notifier tells people of one run.
type Notifier struct {
	o       Options
	log     *slog.Logger
	tellers []*teller
	told    *prometheus.CounterVec
	down    []bool // of each teller: its last notice was given up
}

// How often a notice is tried, how often a notifier looks whether its coordinator leads, how often time alone is looked at, how often
// the mark is kept while nothing is told, how many events are read at once, and how long the last notices may take at the end.
const (
	attemptsMax  = 5
	lookInterval = 500 * time.Millisecond
	idleInterval = time.Second
	keepInterval = time.Minute
	eventsMax    = 2000
	lastTimeout  = 15 * time.Second
)

// New returns a notifier.
func New(o Options) (*Notifier, error) {
	if o.Backoff <= 0 {
		o.Backoff = time.Second
	}
	n := &Notifier{
		o: o, log: o.Logger.With("run", o.Coordinator.Name()), down: make([]bool, len(o.Targets)),
		told: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "autoresearch_notices_total", Help: "Notices of what happened to the run, by event and by whether they were delivered (sent, failed).",
		}, []string{"event", "outcome"}),
	}
	client := newClient()
	for _, target := range o.Targets {
		n.tellers = append(n.tellers, &teller{Notification: target, http: client})
	}
	if o.Registerer != nil {
		if err := o.Registerer.Register(n.told); err != nil {
			return nil, fmt.Errorf("notify: register metrics: %w", err)
		}
	}
	return n, nil
}

// Targets are those whom a workflow wants to be told.
func Targets(w spec.Workflow) []spec.Notification {
	if a, ok := w.(spec.Announcer); ok {
		return a.Notifications()
	}
	return nil
}

// Beside runs lead, a coordinator's Run, with a notifier of its own beside it, if anybody is to be told. It returns when
// lead has and the last notices are out, or given up.
func Beside(ctx context.Context, o Options, lead func() error) error {
	if len(o.Targets) == 0 {
		return lead()
	}
	n, err := New(o)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { n.Run(ctx) })
	defer wg.Wait()
	defer stop()
	return lead()
}

// Run tells people until ctx ends, and then, for a bounded time, what is still to tell.
func (n *Notifier) Run(ctx context.Context) {
	defer n.tellers[0].http.CloseIdleConnections()
	telling, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastTimeout, giveUp) })()
	for {
		if view, err := n.o.Coordinator.View(); err == nil {
			n.term(ctx, telling, view)
		}
		if !pause(ctx, lookInterval) {
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// term tells people what happens in one term, until it is over or ctx ends. What is being told then goes on until telling ends.
func (n *Notifier) term(ctx, telling context.Context, view *coordinator.View) {
	w, err := n.begin(ctx, view)
	for err != nil {
		n.log.Warn("find how far people were told; trying again", "err", err)
		if ended(view) || !pause(ctx, lookInterval) {
			return
		}
		w, err = n.begin(ctx, view)
	}
	kept := time.Now()
	for !ended(view) && ctx.Err() == nil {
		if n.step(telling, w) || time.Since(kept) > keepInterval {
			n.keep(telling, w)
			kept = time.Now()
		}
		waiting, cancel := context.WithTimeout(ctx, idleInterval)
		_ = view.Await(waiting, w.mark.position()) // whatever it is, the loop looks again
		cancel()
	}
	n.step(telling, w)
	n.keep(telling, w)
}

func ended(v *coordinator.View) bool {
	select {
	case <-v.Ended():
		return true
	default:
		return false
	}
}

// begin finds where to go on: at the mark, or where the term began.
func (n *Notifier) begin(ctx context.Context, view *coordinator.View) (*watch, error) {
	w := &watch{view: view, name: n.o.Name, progress: view.Clock(), patience: n.patience()}
	if err := n.o.Marks.Ensure(ctx); err != nil {
		return nil, err
	}
	data, err := n.o.Marks.Get(ctx, n.o.Coordinator.Name())
	if err != nil && !errors.Is(err, bus.ErrMissing) {
		return nil, err
	}
	if m, ok := decodeMark(data, view.RunID()); ok {
		w.mark = m
		return w, nil
	}
	began := view.Beginning()
	var events []coordinator.Event
	for {
		found, err := view.Events(ctx, began, eventsMax)
		if err != nil && !errors.Is(err, coordinator.ErrPurged) {
			return nil, err
		}
		if len(found) == 0 {
			w.mark = firstMark(view, events)
			return w, nil
		}
		events, began = append(events, found...), found[len(found)-1].Position
	}
}

// patience is for how long nothing may complete before somebody is told.
func (n *Notifier) patience() (times []time.Duration) {
	for _, t := range n.o.Targets {
		if t.NoProgress > 0 && !slices.Contains(times, t.NoProgress) {
			times = append(times, t.NoProgress)
		}
	}
	return times
}

// step tells what happened since the mark, and reports whether there was anything to tell.
func (n *Notifier) step(ctx context.Context, w *watch) (told bool) {
	for {
		events, err := w.view.Events(ctx, w.mark.position(), eventsMax)
		if err != nil && !errors.Is(err, coordinator.ErrPurged) {
			if ctx.Err() == nil {
				n.log.Warn("read what happened; trying again", "err", err)
			}
			return told
		}
		notices := append(w.see(events), w.idle()...)
		for i := range notices {
			n.deliver(ctx, &notices[i])
			told = true
		}
		if len(events) == 0 {
			return told
		}
	}
}

// keep keeps the mark; without it the next leader tells the same again.
func (n *Notifier) keep(ctx context.Context, w *watch) {
	data, err := w.mark.encode()
	if err == nil {
		err = n.o.Marks.Put(ctx, n.o.Coordinator.Name(), data)
	}
	if err != nil {
		n.log.Warn("keep how far people were told", "err", err)
	}
}

// deliver tells everybody who wants to know, all at once, and waits until each was told or given up.
func (n *Notifier) deliver(ctx context.Context, notice *Notice) {
	body, err := json.Marshal(notice)
	if err != nil {
		n.log.Error("write a notice", "event", notice.Event, "err", err)
		return
	}
	var wg sync.WaitGroup
	for i, t := range n.tellers {
		if t.wants(notice) {
			wg.Go(func() { n.down[i] = !n.persist(ctx, i, notice, body) })
		}
	}
	wg.Wait()
}

// wants reports whether somebody is to be told of a notice.
func (t *teller) wants(n *Notice) bool {
	if n.Event == spec.NoticeNoProgress && n.ForSeconds != t.NoProgress.Seconds() {
		return false
	}
	return len(t.Events) == 0 || slices.Contains(t.Events, n.Event)
}

// persist tries a notice until it is delivered or given up. Whoever could not be told of the last one has one attempt.
func (n *Notifier) persist(ctx context.Context, i int, notice *Notice, body []byte) bool {
	attempts, backoff := attemptsMax, n.o.Backoff
	if n.down[i] {
		attempts = 1
	}
	for attempt := 1; ; attempt++ {
		err := n.tellers[i].tell(ctx, notice, body)
		if err == nil {
			n.told.WithLabelValues(string(notice.Event), "sent").Inc()
			return true
		}
		if attempt >= attempts || errors.Is(err, errFinal) || !pause(ctx, backoff/2+rand.N(backoff/2+1)) {
			n.told.WithLabelValues(string(notice.Event), "failed").Inc()
			n.log.Warn("somebody could not be told", "notify", i, "event", notice.Event, "id", notice.ID, "attempts", attempt, "err", err)
			return false
		}
		backoff *= 2
	}
}
