package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"autoresearch/internal/host"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// HookTimeoutDefault is how long a hook of the workflow may take.
const HookTimeoutDefault = time.Minute

// errHookTimeout: a hook did not return in time. Its goroutine cannot be ended; what it returns later is ignored.
var errHookTimeout = errors.New("the hook did not return in time")

// hookCall is one task whose outcome waits for the result hook, or another call of the workflow to make in turn.
type hookCall struct {
	task *spec.Task                // never changes
	do   func(ctx context.Context) // set for everything but OnResult
}

// hookQueue holds the calls that wait, in order. It is not bounded itself: the engine stops dispatching while too many
// outcomes wait.
type hookQueue struct {
	mu      sync.Mutex
	calls   []hookCall
	arrived chan struct{}
	host    host.Host
}

func newHookQueue(h host.Host) *hookQueue {
	return &hookQueue{arrived: make(chan struct{}, 1), host: h}
}

func (q *hookQueue) put(c hookCall) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.calls = append(q.calls, c)
	select {
	case q.arrived <- struct{}{}:
	default:
	}
}

// take waits for calls and returns all of them; none when ctx is done.
func (q *hookQueue) take(ctx context.Context) []hookCall {
	for ctx.Err() == nil {
		q.mu.Lock()
		calls := q.calls
		q.calls = make([]hookCall, 0, len(calls)) // as many may come again
		q.mu.Unlock()
		if len(calls) > 0 {
			return calls
		}
		q.host.Wait(ctx, host.Forever, q.arrived)
	}
	return nil
}

// hookRunner calls the workflow, one call at a time, off the loop.
type hookRunner struct {
	workflow spec.Workflow
	queue    *hookQueue
	inbox    *inbox
	timeout  time.Duration
	log      *slog.Logger
	host     host.Host
	// complete makes children ready to be journaled: a part of them may stay as it is, beside an error.
	complete func(context.Context, []spec.TaskSpec) error
}

// run makes the calls until ctx is done.
func (r *hookRunner) run(ctx context.Context) {
	for ctx.Err() == nil {
		for calls := r.queue.take(ctx); len(calls) > 0 && ctx.Err() == nil; {
			if do := calls[0].do; do != nil {
				do(ctx)
				calls = calls[1:]
				continue
			}
			calls = r.onResults(ctx, calls)
		}
	}
}

// round is calls of the result hook that one goroutine makes, in turn. One that does not return in time is left behind with its
// goroutine.
type round struct {
	mu    sync.Mutex
	calls []hookCall
	made  int       // of the calls
	began time.Time // of the hook under way; zero when none is
	left  bool      // its goroutine is left behind
}

// next returns the task whose hook is to be called, nil when there is none.
func (r *round) next() *spec.Task {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left || r.made == len(r.calls) || r.calls[r.made].do != nil {
		return nil
	}
	return r.calls[r.made].task
}

// hook notes that a hook begins, or with the zero time that it has returned. It reports false when nobody waits for it any more.
func (r *round) hook(began time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.began = began
	return !r.left
}

// deliver hands on what came of the call under way, unless that was done already.
func (r *round) deliver(b *inbox, done engine.HookDone) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.left {
		b.force(arrival{event: done})
		r.made++
	}
}

// leave gives the round up if the hook under way has taken as long as the limit, and returns its task; else it returns nil and
// when to look again.
func (r *round) leave(now time.Time, limit time.Duration) (hung *spec.Task, again time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() {
		return nil, limit
	}
	if rest := limit - now.Sub(r.began); rest > 0 {
		return nil, rest
	}
	r.left = true
	r.made++
	return r.calls[r.made-1].task, 0
}

// rest returns the calls that are still to be made.
func (r *round) rest() []hookCall {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[r.made:]
}

// onResults makes the calls of the result hook that are first among calls, on one goroutine, and returns the rest. It watches that
// each returns in time.
func (r *hookRunner) onResults(ctx context.Context, calls []hookCall) (rest []hookCall) {
	round := &round{calls: calls}
	done := make(chan struct{})
	r.host.Go(func() {
		defer close(done)
		limit := r.newLimit(ctx)
		defer func() { limit.end() }()
		for t := round.next(); t != nil && ctx.Err() == nil; t = round.next() {
			if outcome, ok := r.onResult(ctx, t, round, limit); ok {
				round.deliver(r.inbox, outcome)
			}
		}
	})
	for wait := r.timeout + hookGrace; ; {
		r.host.Wait(ctx, wait, done)
		if ctx.Err() != nil {
			r.host.Wait(context.WithoutCancel(ctx), hookGrace, done)
			return nil
		}
		if host.Done(done) {
			return round.rest()
		}
		var hung *spec.Task
		if hung, wait = round.leave(r.host.Now(), r.timeout+hookGrace); hung != nil {
			r.inbox.force(arrival{event: r.failed(hung, fmt.Errorf("OnResult: %w (%v)", errHookTimeout, r.timeout))})
			return round.rest()
		}
	}
}

// hookLimit makes the contexts of the hooks of a round. To make one takes longer than many a hook, so those that follow each
// other at once share theirs: each has all of its time but a hundredth.
type hookLimit struct {
	r      *hookRunner
	parent context.Context
	ctx    context.Context
	end    context.CancelFunc
	made   time.Time
}

func (r *hookRunner) newLimit(ctx context.Context) *hookLimit {
	return &hookLimit{r: r, parent: ctx, end: func() {}}
}

// at returns the context of a hook that begins now.
func (l *hookLimit) at(now time.Time) context.Context {
	if now.Sub(l.made) > l.r.timeout/100 {
		l.end()
		l.ctx, l.end = l.r.host.Within(l.parent, l.r.timeout)
		l.made = now
	}
	return l.ctx
}

// onResult runs the result hook for one outcome; ok is false when nobody waits for it any more.
func (r *hookRunner) onResult(ctx context.Context, t *spec.Task, round *round, limit *hookLimit) (done engine.HookDone, ok bool) {
	done = engine.HookDone{Task: t.Spec.ID, Order: t.Outcome.Order}
	result, err := resultOf(t)
	if err != nil {
		done.Failure = badBody(err)
		result = spec.TaskResult{Failure: done.Failure}
	}
	began := r.host.Now()
	if !round.hook(began) {
		return done, false
	}
	err = guarded(limit.at(began), "OnResult", func(ctx context.Context) (err error) {
		done.Children, err = r.workflow.OnResult(ctx, t.Spec, result)
		return err
	})
	if !round.hook(time.Time{}) {
		return done, false
	}
	if err != nil {
		done = r.failed(t, fmt.Errorf("OnResult: %w", err))
	}
	done.Children = withDefaults(done.Children)
	if err := r.complete(ctx, done.Children); err != nil {
		r.log.Warn("children fail: their payload or their code could not be stored", "task", t.Spec.ID, "err", err)
	}
	if stopper, ok := r.workflow.(spec.Stopper); ok {
		done.StopReason = stopper.StopReason()
	}
	return done, true
}

// failed is the end of a task whose hook failed.
func (r *hookRunner) failed(t *spec.Task, err error) engine.HookDone {
	r.log.Warn("the result hook failed", "task", t.Spec.ID, "err", err)
	return engine.HookDone{Task: t.Spec.ID, Order: t.Outcome.Order, Failure: hookFailure(err)}
}

func badBody(err error) *spec.FailureRecord {
	if errors.Is(err, errBlobMissing) {
		return unusable(spec.CauseBlobMissing, "%v", err)
	}
	return unusable(spec.CauseBadResult, "%v", err)
}

func hookFailure(err error) *spec.FailureRecord {
	f := boundedFailure(spec.FailureOf(err, spec.PlanningFailed, spec.PhasePlanning))
	if f.Details == nil {
		f.Details = map[string]any{"cause": spec.CauseHook}
	}
	return f
}

// call runs one hook with a timeout.
func (r *hookRunner) call(ctx context.Context, name string, hook func(context.Context) error) error {
	ctx, cancel := r.host.Within(ctx, r.timeout)
	defer cancel()
	ended := make(chan error, 1)
	done := make(chan struct{})
	r.host.Go(func() {
		defer close(done)
		ended <- guarded(ctx, name, hook)
	})
	r.host.Wait(ctx, host.Forever, done)
	if !host.Done(done) {
		// The hook has its context's word that it should return: give it a moment before it is left behind.
		r.host.Wait(context.WithoutCancel(ctx), hookGrace, done)
	}
	if !host.Done(done) {
		return fmt.Errorf("%s: %w (%v)", name, errHookTimeout, r.timeout)
	}
	if err := <-ended; err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// guarded calls the hook and turns a panic into an error.
func guarded(ctx context.Context, name string, hook func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s panicked: %v\n%s", name, p, debug.Stack())
		}
	}()
	return hook(ctx)
}

// hookGrace is how long a hook whose context is done may take to notice.
const hookGrace = time.Second

// resultOf decodes a task's outcome into the result that hooks and readers see.
func resultOf(t *spec.Task) (spec.TaskResult, error) {
	var result spec.TaskResult
	if t.Outcome.Body == nil && !t.Outcome.Stored.IsZero() {
		return spec.TaskResult{Failure: t.Outcome.Failure, Attempt: t.Outcome.Attempt},
			fmt.Errorf("task %q, attempt %d: its result, blob %s: %w", t.Spec.ID, t.Outcome.Attempt, t.Outcome.Stored, errBlobMissing)
	}
	if len(t.Outcome.Body) > 0 {
		var err error
		if result, err = bus.DecodeResult(t.Outcome.Body); err != nil {
			return spec.TaskResult{Failure: t.Outcome.Failure, Attempt: t.Outcome.Attempt},
				fmt.Errorf("task %q, attempt %d: %w", t.Spec.ID, t.Outcome.Attempt, err)
		}
	}
	result.Failure = t.Outcome.Failure
	result.Attempt = t.Outcome.Attempt
	return result, nil
}
