package worker

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// Why an attempt is ended before its own end. They are the causes of its context.
var (
	errCancelled  = errors.New("cancelled")
	errSuperseded = errors.New("superseded: somebody else holds the task or it is over")
	errTimeout    = errors.New("hard timeout")
	errStalled    = errors.New("stalled")
	errPreempted  = errors.New("preempted: the worker leaves")
	errKilled     = errors.New("the worker is killed")
	errDecided    = errors.New("the attempt has ended")
)

const (
	// stallStartFactor makes the stall timeout longer before the first progress: imports and data loading are silent.
	stallStartFactor = 3
	// stallRecheck is the second look before an attempt counts as stalled: after a pause of the whole worker its output
	// is still in the pipe at the first.
	stallRecheck = 250 * time.Millisecond
)

// attempt is one execution of a task by this worker, from the doorbell until its result's first publish.
type attempt struct {
	ref      bus.AttemptRef
	dispatch *bus.Dispatch
	pool     *pool
	unit     *unit // the GPUs of its slot; nil when it has none
	surplus  bool  // it came when there was no slot for it
	started  time.Time
	ctx      context.Context
	cancel   context.CancelCauseFunc
	news     news
	// stall is the quiet time that was allowed, set before the attempt is stopped for it.
	stall time.Duration

	// decided is set once, by whoever files the outcome: the runner's return, or the patience with it that ran out.
	decided atomic.Bool
	// slotHolds counts why the slot is still taken: the runner has not returned, the result is not on disk. The ledger's
	// lock guards it.
	slotHolds int
	// result is the ledger's, set when the outcome is on disk.
	result *result
	// prepared is set when its directory was asked for: without one it leaves no files.
	prepared atomic.Bool
	// kept is what of the attempt's output was stored, set before it is finished.
	kept kept
	// bundle is its source tree, from its fetching until it is unpacked.
	bundle []byte

	mu     sync.Mutex // guards the timers
	timers [timerCount]*time.Timer
	over   bool // no new timers
}

// The timers of an attempt.
const (
	timerHard     = iota // the recipe's timeout
	timerStall           // the next look at its signs of life
	timerPatience        // how long it may take to end
	timerCount
)

// newAttempt claims a dispatch. The context carries the attempt for PrepareDir.
func newAttempt(d *bus.Dispatch, p *pool, now time.Time) *attempt {
	a := &attempt{
		ref:       bus.AttemptRef{Run: d.Run, Task: d.Task.ID, Attempt: d.Attempt, Claim: drawClaim()},
		dispatch:  d,
		pool:      p,
		started:   now,
		slotHolds: 2,
	}
	a.news.began = now
	a.ctx, a.cancel = context.WithCancelCause(context.Background())
	return a
}

// drawClaim returns a random number other than zero.
func drawClaim() spec.ClaimID {
	for {
		if claim := spec.ClaimID(rand.Uint64()); claim != 0 {
			return claim
		}
	}
}

// stop asks the attempt to end. After patience without an end, abandon is called: the attempt is then filed without its
// runner. The first cause counts.
func (a *attempt) stop(cause error, patience time.Duration, abandon func(*attempt)) {
	if a.ctx.Err() != nil {
		return
	}
	a.cancel(cause)
	a.after(timerPatience, patience, func() { abandon(a) })
}

// after calls fn once, later, unless the attempt is decided by then.
func (a *attempt) after(timer int, d time.Duration, fn func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.over {
		a.timers[timer] = time.AfterFunc(d, fn)
	}
}

// decide reports whether the caller is the first with an outcome, and then ends the timers and the context.
func (a *attempt) decide() bool {
	if !a.decided.CompareAndSwap(false, true) {
		return false
	}
	a.release()
	a.cancel(errDecided)
	return true
}

// release ends the timers: the attempt's own work is done, and what is left to do for it is bounded otherwise.
func (a *attempt) release() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	for _, timer := range a.timers {
		if timer != nil {
			timer.Stop()
		}
	}
}

// stopCause returns why the attempt was asked to end, nil when it was not.
func (a *attempt) stopCause() error {
	if cause := context.Cause(a.ctx); !errors.Is(cause, errDecided) {
		return cause
	}
	return nil
}

// watchLimits ends the attempt by stop when it exceeds the recipe's timeouts, counted from now.
func (a *attempt) watchLimits(stop func(a *attempt, cause error)) {
	recipe := &a.dispatch.Recipe
	a.news.touch()
	if recipe.Timeout > 0 {
		a.after(timerHard, recipe.Timeout, func() { stop(a, errTimeout) })
	}
	if recipe.StallTimeout > 0 {
		a.watchStall(recipe.StallTimeout, false, func() { stop(a, errStalled) })
	}
}

// watchStall looks again when the attempt may have been quiet for too long, and calls stalled when it was, twice.
func (a *attempt) watchStall(limit time.Duration, suspected bool, stalled func()) {
	quiet, progressed := a.news.quiet()
	allowed := limit
	if !progressed {
		allowed *= stallStartFactor
	}
	next := min(allowed-quiet, limit) // no later: progress shortens what is allowed
	switch {
	case next > 0:
		suspected = false
	case suspected:
		a.stall = allowed
		stalled()
		return
	default:
		next, suspected = stallRecheck, true
	}
	a.after(timerStall, next, func() { a.watchStall(limit, suspected, stalled) })
}

// news is what an attempt tells while it runs. Its methods may be called concurrently.
type news struct {
	began time.Time
	heard atomic.Int64 // the newest sign of life, in nanoseconds after began

	mu         sync.Mutex
	line       string
	metrics    map[string]float64
	curves     curves
	reading    []reading // of the line that is read
	progressed bool      // there was progress or a metric
}

// touch notes a sign of life.
func (n *news) touch() { n.heard.Store(int64(time.Since(n.began))) }

// quiet returns the time since the last sign of life, and whether there was progress.
func (n *news) quiet() (time.Duration, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Since(n.began) - time.Duration(n.heard.Load()), n.progressed
}

// note takes one progress line and new values, either may be empty.
func (n *news) note(line string, metrics map[string]float64) {
	n.touch()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.progressed = true
	if line != "" {
		n.line = clipText(strings.ToValidUTF8(line, "\uFFFD"), progressTextMax)
	}
	for name, value := range metrics {
		n.set(name, value)
	}
	n.record(metrics)
}

// noteLine takes one line of output and ignores it unless it is progress.
func (n *news) noteLine(line []byte) (progress bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.reading = n.reading[:0]
	text, ok := parseProgress(line, func(name string, value float64) {
		n.set(name, value)
		n.reading = append(n.reading, reading{name, value})
	})
	if ok {
		n.line, n.progressed = text, true
		n.curves.take(n.reading)
	}
	return ok
}

// set keeps the newest value of a metric. Names beyond a bound are dropped.
func (n *news) set(name string, value float64) {
	if n.metrics == nil {
		n.metrics = map[string]float64{}
	}
	if _, known := n.metrics[name]; known || len(n.metrics) < metricsMax && len(name) <= metricNameMax {
		n.metrics[name] = value
	}
}

// mergeInto returns metrics with the values that only progress told.
func (n *news) mergeInto(metrics map[string]float64) map[string]float64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.metrics) == 0 {
		return metrics
	}
	merged := maps.Clone(n.metrics)
	maps.Copy(merged, metrics)
	return merged
}

// hasProgressed reports whether there was progress or a metric.
func (n *news) hasProgressed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.progressed
}

const (
	// headlineBytes and headlineMetrics bound what one attempt adds to a heartbeat.
	headlineBytes   = 256
	headlineMetrics = 64
)

// headline returns what a heartbeat tells of the attempt, and about how many bytes that takes.
func (n *news) headline() (line string, metrics map[string]float64, size int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	line = clipText(n.line, headlineBytes)
	size = len(line)
	if len(n.metrics) == 0 {
		return line, nil, size
	}
	names := slices.Sorted(maps.Keys(n.metrics))
	names = names[:min(len(names), headlineMetrics)]
	metrics = make(map[string]float64, len(names))
	for _, name := range names {
		metrics[name] = n.metrics[name]
		size += len(name) + 12
	}
	return line, metrics, size
}
