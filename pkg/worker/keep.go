package worker

import (
	"context"
	"errors"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// KeepTimeoutDefault is how long a worker tries to store what an attempt leaves besides its result.
const KeepTimeoutDefault = time.Minute

// kept is what of an attempt's output lies in the run's output store.
type kept struct {
	series    spec.Blob
	artifacts []spec.Artifact
}

// keeping stores the output of one attempt. It is best effort, and the result waits for it: so all of it together has one
// deadline.
type keeping struct {
	w       *worker
	attempt *attempt
	ctx     context.Context
	kept    kept
}

// conclude stores what an attempt left besides its result, and then files the outcome. The attempt's limits no longer
// count: its work is done, and one that was stopped keeps its output too.
func (w *worker) conclude(a *attempt, o outcome) {
	a.release()
	if !o.discarded {
		a.kept = w.keep(a)
	}
	w.finish(a, o)
	w.removeCode(a) // after the result, which no disk may hold up
}

func (w *worker) keep(a *attempt) kept {
	if !a.prepared.Load() && !a.news.large() {
		return kept{}
	}
	ctx, cancel := context.WithTimeoutCause(w.keepCtx, w.keepTimeout(), errKeepTimeout)
	defer cancel()
	done := make(chan kept, 1)
	go func() {
		k := &keeping{w: w, attempt: a, ctx: ctx}
		w.storeSeries(k)
		w.storeArtifacts(k)
		done <- k.kept
	}()
	select {
	case kept := <-done:
		return kept
	case <-ctx.Done():
	}
	select { // what waits for NATS ends now
	case kept := <-done:
		return kept
	case <-time.After(keepPatience):
		w.log.Error("the disk does not give an attempt's artifacts: the result goes without", "run", a.ref.Run, "task", a.ref.Task)
		return kept{}
	}
}

// keepPatience is how much longer than its time the keeping may take before its goroutine is left behind: a disk may hang.
const keepPatience = time.Second

// keepTimeout is how long what an attempt leaves may take, from now.
func (w *worker) keepTimeout() time.Duration {
	if w.leaving.Load() {
		return min(w.o.KeepTimeout, publishOnExit)
	}
	return w.o.KeepTimeout
}

var errKeepTimeout = errors.New("it took too long")

// missingTries is how often a store that is not there is tried: a leader that has just begun is about to make it.
const missingTries = 4

// put stores a blob in the run's output store, and tries again while that may help.
func (k *keeping) put(data []byte) (spec.Blob, error) {
	for failures := 1; ; failures++ {
		if err := context.Cause(k.ctx); err != nil {
			return spec.Blob{}, err
		}
		err := k.w.link.keep(k.ctx, k.attempt.ref.Run, data)
		if err == nil {
			return spec.BlobOf(data), nil
		}
		if cause := context.Cause(k.ctx); cause != nil {
			return spec.Blob{}, errors.Join(cause, err)
		}
		missing := errors.Is(err, bus.ErrMissing) && failures < missingTries
		if !missing && !bus.Passing(err) || errors.Is(err, bus.ErrRefused) {
			return spec.Blob{}, err
		}
		k.w.pause(k.ctx, backoff(failures))
	}
}
