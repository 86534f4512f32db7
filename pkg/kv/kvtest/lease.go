package kvtest

import (
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
)

// TestLease checks every contract line of kv.Lease.
func TestLease(t *testing.T, newWorld func(t *testing.T) World) {
	for name, test := range map[string]func(t *testing.T, w World){
		"Missing":       leaseMissing,
		"Acquire":       leaseAcquire,
		"Renew":         leaseRenew,
		"CompareAndSet": leaseCompareAndSet,
		"Expires":       leaseExpires,
		"RenewedLives":  leaseRenewedLives,
		"Release":       leaseRelease,
		"RunsAreApart":  leaseRuns,
		"OtherTTL":      leaseOtherTTL,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t))
		})
	}
}

func newLease(t *testing.T, w World, ttl time.Duration) kv.Lease {
	t.Helper()
	l := w.Lease(kv.LeaseOptions{TTL: ttl})
	must(t, l.Ensure(deadline(t)))
	must(t, l.Ensure(deadline(t)))
	return l
}

func holder(id string) kv.Holder {
	return kv.Holder{ID: id, Host: "höst", PID: 42, Epoch: 7, HTTP: "127.0.0.1:8080"}
}

func wantHolder(t *testing.T, l kv.Lease, id string, revision uint64) {
	t.Helper()
	h, got, ok, err := l.Holder(deadline(t), run)
	must(t, err)
	if !ok || h != holder(id) || got != revision {
		t.Fatalf("holder %+v, revision %d, ok %v; want %q at %d", h, got, ok, id, revision)
	}
}

func wantFree(t *testing.T, l kv.Lease) {
	t.Helper()
	if h, revision, ok, err := l.Holder(deadline(t), run); err != nil || ok || revision != 0 || h != (kv.Holder{}) {
		t.Fatalf("holder %+v, revision %d, ok %v, error %v; want none", h, revision, ok, err)
	}
}

// awaitFree waits until the server has noticed that a lease is over.
func awaitFree(t *testing.T, w World, l kv.Lease) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); w.Elapse(5 * time.Millisecond) {
		if _, _, ok, err := l.Holder(deadline(t), run); err == nil && !ok {
			return
		}
	}
	t.Fatal("the lease never ended")
}

func leaseMissing(t *testing.T, w World) {
	newMirror(t, w)
	l := w.Lease(kv.LeaseOptions{})
	_, _, _, err := l.Holder(deadline(t), run)
	wantError(t, err, bus.ErrMissing)
}

func leaseAcquire(t *testing.T, w World) {
	l := newLease(t, w, time.Minute)
	wantFree(t, l)
	revision, err := l.Acquire(deadline(t), run, holder("a"), 0)
	must(t, err)
	wantHolder(t, l, "a", revision)
	_, err = w.Lease(kv.LeaseOptions{TTL: time.Minute}).Acquire(deadline(t), run, holder("b"), 0)
	wantError(t, err, kv.ErrHeld)
	wantHolder(t, l, "a", revision)
}

func leaseRenew(t *testing.T, w World) {
	l := newLease(t, w, time.Minute)
	first, err := l.Acquire(deadline(t), run, holder("a"), 0)
	must(t, err)
	second, err := l.Acquire(deadline(t), run, holder("a"), first)
	must(t, err)
	if second <= first {
		t.Fatalf("revision %d after %d", second, first)
	}
	wantHolder(t, l, "a", second)
}

func leaseCompareAndSet(t *testing.T, w World) {
	l := newLease(t, w, time.Minute)
	first, err := l.Acquire(deadline(t), run, holder("a"), 0)
	must(t, err)
	taken, err := l.Acquire(deadline(t), run, holder("b"), first)
	must(t, err)
	for _, stale := range []uint64{0, first, taken + 1} {
		_, err = l.Acquire(deadline(t), run, holder("a"), stale)
		wantError(t, err, kv.ErrHeld)
	}
	wantHolder(t, l, "b", taken)
}

func leaseExpires(t *testing.T, w World) {
	l := newLease(t, w, 200*time.Millisecond)
	first, err := l.Acquire(deadline(t), run, holder("a"), 0)
	must(t, err)
	awaitFree(t, w, l)
	_, err = l.Acquire(deadline(t), run, holder("a"), first) // too late to renew
	wantError(t, err, kv.ErrHeld)
	second, err := l.Acquire(deadline(t), run, holder("b"), 0)
	must(t, err)
	wantHolder(t, l, "b", second)
	awaitFree(t, w, l) // a lease that was taken over expires like the first
}

// leaseRenewedLives: a renewed lease outlives its first deadline, and still expires afterwards.
func leaseRenewedLives(t *testing.T, w World) {
	const ttl = 300 * time.Millisecond
	l := newLease(t, w, ttl)
	revision, err := l.Acquire(deadline(t), run, holder("a"), 0)
	must(t, err)
	for range 6 {
		w.Elapse(ttl / 4)
		revision, err = l.Acquire(deadline(t), run, holder("a"), revision)
		must(t, err)
	}
	wantHolder(t, l, "a", revision)
	awaitFree(t, w, l)
}

func leaseRelease(t *testing.T, w World) {
	l := newLease(t, w, time.Minute)
	first, err := l.Acquire(deadline(t), run, holder("a"), 0)
	must(t, err)
	second, err := l.Acquire(deadline(t), run, holder("b"), first)
	must(t, err)
	must(t, l.Release(deadline(t), run, first)) // not its newest revision any more
	wantHolder(t, l, "b", second)
	must(t, l.Release(deadline(t), run, second))
	wantFree(t, l)
	must(t, l.Release(deadline(t), run, second))
	third, err := l.Acquire(deadline(t), run, holder("c"), 0)
	must(t, err)
	wantHolder(t, l, "c", third)
}

func leaseRuns(t *testing.T, w World) {
	l := newLease(t, w, time.Minute)
	_, err := l.Acquire(deadline(t), "another", holder("x"), 0)
	must(t, err)
	wantFree(t, l)
	revision, err := l.Acquire(deadline(t), run, holder("a"), 0)
	must(t, err)
	wantHolder(t, l, "a", revision)
}

// leaseOtherTTL: the bucket follows the options of who ensured it last.
func leaseOtherTTL(t *testing.T, w World) {
	l := newLease(t, w, time.Hour)
	_, err := l.Acquire(deadline(t), run, holder("a"), 0)
	must(t, err)
	l = newLease(t, w, 200*time.Millisecond)
	awaitFree(t, w, l)
}
