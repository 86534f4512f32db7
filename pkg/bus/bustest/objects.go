package bustest

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// TestObjects checks every contract line of bus.Objects.
func TestObjects(t *testing.T, newWorld func(t *testing.T) World) {
	for name, test := range map[string]func(t *testing.T, w World){
		"Missing":     objectsMissing,
		"PutAndGet":   objectsPutAndGet,
		"Idempotent":  objectsIdempotent,
		"Bounded":     objectsBounded,
		"RunsApart":   objectsRunsApart,
		"Delete":      objectsDelete,
		"RenewedStay": objectsRenewed,
		"Full":        objectsFull,
		"Outage":      objectsOutage,
		"Concurrent":  objectsConcurrent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t))
		})
	}
}

func newObjects(t *testing.T, w World, o bus.StreamOptions) bus.Objects {
	t.Helper()
	objects := w.Objects(run, o)
	must(t, objects.Ensure(deadline(t)))
	must(t, objects.Ensure(deadline(t)))
	return objects
}

// large is more than two chunks, and not a whole number of them.
var large = bytes.Repeat([]byte("0123456789abcdef"), 20_000)

func put(t *testing.T, o bus.Objects, data []byte) spec.Blob {
	t.Helper()
	blob, err := o.Put(deadline(t), data)
	must(t, err)
	if blob != spec.BlobOf(data) {
		t.Fatalf("put %d bytes as %v", len(data), blob)
	}
	return blob
}

func wantBlob(t *testing.T, o bus.Objects, data []byte) {
	t.Helper()
	got, err := o.Get(deadline(t), spec.BlobOf(data), int64(len(data)))
	must(t, err)
	if !bytes.Equal(got, data) {
		t.Fatalf("got %d other bytes than the %d that were put", len(got), len(data))
	}
}

// listed returns what List names.
func listed(t *testing.T, o bus.Objects) (found []bus.StoredBlob) {
	t.Helper()
	must(t, o.List(deadline(t), func(b bus.StoredBlob) error {
		found = append(found, b)
		return nil
	}))
	return found
}

func objectsMissing(t *testing.T, w World) {
	newJournal(t, w)
	o := w.Objects(run, bus.StreamOptions{})
	_, err := o.Put(deadline(t), large)
	wantError(t, err, bus.ErrMissing)
	_, err = o.Get(deadline(t), spec.BlobOf(large), 1<<20)
	wantError(t, err, bus.ErrMissing)
	must(t, o.Ensure(deadline(t)))
	_, err = o.Get(deadline(t), spec.BlobOf(large), 1<<20)
	wantError(t, err, bus.ErrMissing)
}

func objectsPutAndGet(t *testing.T, w World) {
	o := newObjects(t, w, bus.StreamOptions{})
	for _, data := range [][]byte{large, []byte("x"), {}, large[:128<<10], large[:128<<10+1]} {
		put(t, o, data)
		wantBlob(t, o, data)
	}
	if found := listed(t, o); len(found) != 5 {
		t.Fatalf("listed %v", found)
	}
}

func objectsIdempotent(t *testing.T, w World) {
	o := newObjects(t, w, bus.StreamOptions{})
	put(t, o, large)
	first := listed(t, o)
	put(t, o, large)
	if again := listed(t, o); len(again) != 1 || again[0] != first[0] || first[0].Blob != spec.BlobOf(large) {
		t.Fatalf("listed %v, then %v", first, again)
	}
	if found := first[0]; found.Unfinished || found.Stored.IsZero() {
		t.Fatalf("listed %+v", found)
	}
}

func objectsBounded(t *testing.T, w World) {
	o := newObjects(t, w, bus.StreamOptions{})
	blob := put(t, o, large)
	_, err := o.Get(deadline(t), blob, blob.Size-1)
	wantError(t, err, bus.ErrTooLarge)
	blob.Size--
	_, err = o.Get(deadline(t), blob, blob.Size)
	var damage *bus.DamageError
	if !errors.As(err, &damage) {
		t.Fatalf("another size than the blob has: %v", err)
	}
}

func objectsRunsApart(t *testing.T, w World) {
	o := newObjects(t, w, bus.StreamOptions{})
	other := w.Objects("another/run.*", bus.StreamOptions{})
	blob := put(t, o, large)
	_, err := other.Get(deadline(t), blob, blob.Size)
	wantError(t, err, bus.ErrMissing)
	if found := listed(t, other); len(found) != 0 {
		t.Fatalf("listed another run's %v", found)
	}
	put(t, other, large)
	must(t, o.Delete(deadline(t), listed(t, o)[0]))
	wantBlob(t, other, large)
}

func objectsDelete(t *testing.T, w World) {
	o := newObjects(t, w, bus.StreamOptions{})
	blob := put(t, o, large)
	put(t, o, []byte("other"))
	for _, b := range listed(t, o) {
		if b.Blob == blob {
			must(t, o.Delete(deadline(t), b))
			must(t, o.Delete(deadline(t), b))
		}
	}
	_, err := o.Get(deadline(t), blob, blob.Size)
	wantError(t, err, bus.ErrMissing)
	wantBlob(t, o, []byte("other"))
	if found := listed(t, o); len(found) != 1 {
		t.Fatalf("listed %v", found)
	}
	put(t, o, large)
	wantBlob(t, o, large)
}

func objectsRenewed(t *testing.T, w World) {
	o := newObjects(t, w, bus.StreamOptions{BlobRenewAfter: time.Nanosecond})
	put(t, o, large)
	old := listed(t, o)[0]
	w.Elapse(time.Second)
	put(t, o, large)
	must(t, o.Delete(deadline(t), old))
	wantBlob(t, o, large)
	if found := listed(t, o); len(found) != 1 || found[0] == old {
		t.Fatalf("listed %v", found)
	}
}

func objectsFull(t *testing.T, w World) {
	o := newObjects(t, w, bus.StreamOptions{ArtifactsMaxBytes: int64(len(large)) + 10_000})
	put(t, o, large)
	other := bytes.ToUpper(large)
	_, err := o.Put(deadline(t), other)
	wantError(t, err, bus.ErrRefused)
	_, err = o.Get(deadline(t), spec.BlobOf(other), int64(len(other)))
	wantError(t, err, bus.ErrMissing)
	wantBlob(t, o, large)
	if found := listed(t, o); len(found) != 1 {
		t.Fatalf("what was refused left %v", found)
	}
	must(t, o.Delete(deadline(t), listed(t, o)[0]))
	put(t, o, other)
}

func objectsOutage(t *testing.T, w World) {
	o := newObjects(t, w, bus.StreamOptions{})
	put(t, o, large)
	w.Down()
	if _, err := o.Put(deadline(t), []byte("meanwhile")); err == nil || errors.Is(err, bus.ErrRefused) {
		t.Fatalf("put without a server: %v", err)
	}
	if _, err := o.Get(deadline(t), spec.BlobOf(large), 1<<20); err == nil || errors.Is(err, bus.ErrMissing) {
		t.Fatalf("get without a server: %v", err)
	}
	w.Up()
	wantBlob(t, o, large)
	put(t, o, []byte("meanwhile"))
}

// objectsConcurrent: of several puts of the same bytes one upload stays, and every put succeeds.
func objectsConcurrent(t *testing.T, w World) {
	o := newObjects(t, w, bus.StreamOptions{})
	const writers = 4
	ended, ctx := make(chan error, writers), deadline(t)
	for range writers {
		go func() {
			_, err := o.Put(ctx, large)
			ended <- err
		}()
	}
	for range writers {
		must(t, next(t, ended))
	}
	wantBlob(t, o, large)
	if found := listed(t, o); len(found) != 1 || found[0].Unfinished {
		t.Fatalf("listed %v", found)
	}
}
