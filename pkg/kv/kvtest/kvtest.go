// Package kvtest is the contract of package kv's interfaces as tests. The real JetStream and its model pass the same
// suite, or a simulation over the model proves nothing.
package kvtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

// World is one JetStream, real or modelled, that a test has for itself. It ends with the test.
type World interface {
	// Mirror and Lease return a handle; handles of the same run share one bucket, all leases share one.
	Mirror(run spec.RunName) kv.Mirror
	Lease(o kv.LeaseOptions) kv.Lease
	// Down cuts every handle off from the server; Up ends that and returns once the handles can speak again.
	Down()
	Up()
	// Elapse lets time pass on the server.
	Elapse(d time.Duration)
}

const run spec.RunName = "süß. run*>"

// patience bounds every wait of the suite.
const patience = 10 * time.Second

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

// TestMirror checks every contract line of kv.Mirror.
func TestMirror(t *testing.T, newWorld func(t *testing.T) World) {
	for name, test := range map[string]func(t *testing.T, w World){
		"Missing":       mirrorMissing,
		"FlushAndLoad":  mirrorFlush,
		"FullBatch":     mirrorFullBatch,
		"SizeOfBatch":   mirrorBatchSize,
		"Fence":         mirrorFence,
		"AllOrNothing":  mirrorAllOrNothing,
		"TooLarge":      mirrorTooLarge,
		"LoadStops":     mirrorLoadStops,
		"LoadMeanwhile": mirrorLoadMeanwhile,
		"Ambiguous":     mirrorAmbiguous,
		"KeptOnRestart": mirrorRestart,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t))
		})
	}
}

func newMirror(t *testing.T, w World) kv.Mirror {
	t.Helper()
	m := w.Mirror(run)
	if created, err := m.Ensure(deadline(t)); err != nil || !created {
		t.Fatalf("Ensure: created %v, error %v", created, err)
	}
	if created, err := m.Ensure(deadline(t)); err != nil || created {
		t.Fatalf("second Ensure: created %v, error %v", created, err)
	}
	return m
}

// entries returns n entries whose values tell their generation.
func entries(n, generation int) []kv.Entry {
	list := make([]kv.Entry, n)
	for i := range list {
		id := spec.TaskID(fmt.Sprintf("tüsk %d", i))
		list[i] = kv.Entry{Key: kv.TaskKey(id), Value: fmt.Appendf(nil, "%d of %d", generation, i)}
	}
	return list
}

func load(t *testing.T, m kv.Mirror) (map[string]string, uint64) {
	t.Helper()
	values := map[string]string{}
	last, err := m.Load(deadline(t), func(key string, value []byte) error {
		values[key] = string(value)
		return nil
	})
	must(t, err)
	return values, last
}

// wantHeld checks that the mirror holds exactly the entries, whose last sequence is last.
func wantHeld(t *testing.T, m kv.Mirror, held []kv.Entry, last uint64) {
	t.Helper()
	values, loaded := load(t, m)
	if len(values) != len(held) || loaded != last {
		t.Fatalf("%d keys up to %d, want %d up to %d", len(values), loaded, len(held), last)
	}
	for _, entry := range held {
		if values[entry.Key] != string(entry.Value) {
			t.Fatalf("%s is %q, want %q", entry.Key, values[entry.Key], entry.Value)
		}
	}
	if seq, err := m.Last(deadline(t)); err != nil || seq != last {
		t.Fatalf("Last is %d, error %v, want %d", seq, err, last)
	}
	if keys, seq, err := m.Size(deadline(t)); err != nil || keys != uint64(len(held)) || seq != last {
		t.Fatalf("Size is %d up to %d, error %v, want %d up to %d", keys, seq, err, len(held), last)
	}
}

func mirrorMissing(t *testing.T, w World) {
	newMirror(t, w)
	m := w.Mirror("another")
	_, err := m.Last(deadline(t))
	wantError(t, err, bus.ErrMissing)
	_, _, err = m.Size(deadline(t))
	wantError(t, err, bus.ErrMissing)
	_, err = m.Load(deadline(t), nil)
	wantError(t, err, bus.ErrMissing)
	_, err = m.Get(deadline(t), kv.KeyMeta)
	wantError(t, err, bus.ErrMissing)
	_, err = m.Flush(deadline(t), 0, entries(2, 1))
	wantError(t, err, bus.ErrAmbiguous) // as with an append: Last tells
}

func mirrorFlush(t *testing.T, w World) {
	m := newMirror(t, w)
	wantHeld(t, m, nil, 0)
	_, err := m.Get(deadline(t), kv.KeyMeta)
	wantError(t, err, bus.ErrMissing)

	first := append(entries(3, 1), kv.Entry{Key: kv.KeyMeta, Value: []byte("meta 1")})
	last, err := m.Flush(deadline(t), 0, first)
	must(t, err)
	if last != 4 {
		t.Fatalf("last is %d", last)
	}
	wantHeld(t, m, first, 4)

	// A single entry; a key replaced; an empty value.
	last, err = m.Flush(deadline(t), last, []kv.Entry{{Key: kv.KeyMeta, Value: nil}})
	must(t, err)
	value, err := m.Get(deadline(t), kv.KeyMeta)
	if err != nil || len(value) != 0 {
		t.Fatalf("meta is %q, error %v", value, err)
	}
	wantHeld(t, m, append(entries(3, 1), kv.Entry{Key: kv.KeyMeta}), last)
}

func mirrorFullBatch(t *testing.T, w World) {
	m := newMirror(t, w)
	last, err := m.Flush(deadline(t), 0, entries(kv.BatchMax, 1))
	must(t, err)
	last, err = m.Flush(deadline(t), last, entries(kv.BatchMax, 2))
	must(t, err)
	wantHeld(t, m, entries(kv.BatchMax, 2), last)
}

func mirrorBatchSize(t *testing.T, w World) {
	m := newMirror(t, w)
	for _, n := range []int{0, kv.BatchMax + 1} {
		_, err := m.Flush(deadline(t), 0, entries(n, 1))
		wantError(t, err, bus.ErrRefused)
	}
	wantHeld(t, m, nil, 0)
}

func mirrorFence(t *testing.T, w World) {
	m := newMirror(t, w)
	last, err := m.Flush(deadline(t), 0, entries(5, 1))
	must(t, err)
	deposed := w.Mirror(run)
	for _, expect := range []uint64{0, last - 1, last + 1} {
		for _, n := range []int{1, 3} {
			_, err = deposed.Flush(deadline(t), expect, entries(n, 9))
			wantError(t, err, bus.ErrConflict)
		}
	}
	wantHeld(t, m, entries(5, 1), last)
}

func mirrorAllOrNothing(t *testing.T, w World) {
	m := newMirror(t, w)
	batch := entries(10, 1)
	batch[7].Value = make([]byte, bus.MaxPayloadDefault+1)
	_, err := m.Flush(deadline(t), 0, batch)
	wantError(t, err, bus.ErrRefused)
	last, err := m.Flush(deadline(t), 0, entries(2, 2))
	must(t, err)
	wantHeld(t, m, entries(2, 2), last)
}

func mirrorTooLarge(t *testing.T, w World) {
	m := newMirror(t, w)
	_, err := m.Flush(deadline(t), 0, []kv.Entry{{Key: kv.KeyMeta, Value: make([]byte, bus.MaxPayloadDefault+1)}})
	wantError(t, err, bus.ErrTooLarge)
	wantError(t, err, bus.ErrRefused)
}

func mirrorLoadStops(t *testing.T, w World) {
	m := newMirror(t, w)
	_, err := m.Flush(deadline(t), 0, entries(5, 1))
	must(t, err)
	enough := errors.New("enough")
	calls := 0
	_, err = m.Load(deadline(t), func(string, []byte) error { calls++; return enough })
	wantError(t, err, enough)
	if calls != 1 {
		t.Fatalf("%d calls", calls)
	}
}

// mirrorLoadMeanwhile: a key that is replaced during a Load is not missed, even when so much is loaded that it comes in
// several portions.
func mirrorLoadMeanwhile(t *testing.T, w World) {
	m := newMirror(t, w)
	const keys, size = 7, 3 << 20
	batch := entries(keys, 1)
	for i := range batch {
		batch[i].Value = make([]byte, size)
	}
	last, err := m.Flush(deadline(t), 0, batch)
	must(t, err)
	sizes := map[string]int{}
	loaded, err := m.Load(deadline(t), func(key string, value []byte) error {
		if len(sizes) == 0 {
			if last, err = m.Flush(deadline(t), last, entries(keys, 2)); err != nil {
				return err
			}
		}
		sizes[key] = len(value)
		return nil
	})
	must(t, err)
	replaced := 0
	for _, n := range sizes {
		if n < size {
			replaced++
		}
	}
	if len(sizes) != keys || (replaced > 0 && loaded != last) {
		t.Fatalf("%d keys of %d, %d replaced, up to %d of %d", len(sizes), keys, replaced, loaded, last)
	}
	t.Logf("%d of %d were replaced while loading", replaced, keys)
}

func mirrorAmbiguous(t *testing.T, w World) {
	m := newMirror(t, w)
	last, err := m.Flush(deadline(t), 0, entries(2, 1))
	must(t, err)
	w.Down()
	batch := entries(3, 2)
	_, err = m.Flush(deadline(t), last, batch)
	if !errors.Is(err, bus.ErrAmbiguous) && !errors.Is(err, bus.ErrRefused) {
		t.Fatalf("flush while cut off: %v", err)
	}
	w.Up()
	landed, err := kv.Landed(deadline(t), m, last, batch)
	must(t, err)
	next, err := m.Flush(deadline(t), last, batch)
	if landed {
		wantError(t, err, bus.ErrConflict)
		return
	}
	must(t, err)
	if landed, err := kv.Landed(deadline(t), m, last, batch); err != nil || !landed {
		t.Fatalf("landed %v, error %v", landed, err)
	}
	if landed, err := kv.Landed(deadline(t), m, last, entries(3, 7)); err != nil || landed {
		t.Fatalf("another batch: landed %v, error %v", landed, err)
	}
	wantHeld(t, m, batch, next)
}

func mirrorRestart(t *testing.T, w World) {
	m := newMirror(t, w)
	last, err := m.Flush(deadline(t), 0, entries(20, 1))
	must(t, err)
	w.Down()
	w.Up()
	wantHeld(t, m, entries(20, 1), last)
	_, err = m.Flush(deadline(t), last, entries(20, 2))
	must(t, err)
}
