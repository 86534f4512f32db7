// Package host is what the coordinator's shell runs on: a clock and goroutines. In production that is the machine. In
// the simulator it is a scheduler on virtual time, which runs the same code, one goroutine at a time, in an order that a
// seed decides. Code that is to be simulated waits, tells the time and starts goroutines only through its Host.
package host

import (
	"context"
	"math"
	"math/rand/v2"
	"time"
)

// Forever is longer than anybody waits.
const Forever time.Duration = math.MaxInt64

// Host is a clock, and goroutines that wait.
type Host interface {
	Now() time.Time
	// Wait returns as soon as ctx is done, d has passed, or one of at most two signals can be received, and was: a signal
	// is a channel that is closed, or that holds at most one token.
	Wait(ctx context.Context, d time.Duration, signals ...<-chan struct{})
	// Within returns a context that ends after d.
	Within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
	// Go runs f on a goroutine of its own. join returns once f has.
	Go(f func()) (join func())
	// Jitter draws a duration between half of d and d.
	Jitter(d time.Duration) time.Duration
}

// Machine is the real Host.
type Machine struct{}

// Now returns the time.
func (Machine) Now() time.Time { return time.Now() }

// Wait waits.
func (Machine) Wait(ctx context.Context, d time.Duration, signals ...<-chan struct{}) {
	var first, second <-chan struct{} // a nil channel never signals
	if len(signals) > 0 {
		first = signals[0]
	}
	if len(signals) > 1 {
		second = signals[1]
	}
	var passed <-chan time.Time
	if d != Forever {
		select { // under load it is there already, and a timer takes memory
		case <-ctx.Done():
			return
		case <-first:
			return
		case <-second:
			return
		default:
		}
		timer := time.NewTimer(d)
		defer timer.Stop()
		passed = timer.C
	}
	select {
	case <-ctx.Done():
	case <-passed:
	case <-first:
	case <-second:
	}
}

// Within is context.WithTimeout.
func (Machine) Within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

// Go starts a goroutine.
func (Machine) Go(f func()) (join func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return func() { <-done }
}

// Jitter draws from the global source.
func (Machine) Jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// Done reports whether a channel that only ever is closed has been.
func Done(closed <-chan struct{}) bool {
	select {
	case <-closed:
		return true
	default:
		return false
	}
}
