package bus_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// objectWorld is a server with one blob in its object store.
func objectWorld(t *testing.T) (*world, bus.Objects, *bus.Stream, []byte) {
	t.Helper()
	w := newRealWorld(t)
	o := w.Objects("r", bus.StreamOptions{})
	if err := o.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("blob"), 100_000)
	if _, err := o.Put(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	stream := bus.NewStream(w.leader, jetstream.StreamConfig{Name: bus.ObjectStream(bus.BucketArtifacts)})
	return w, o, stream, data
}

// TestObjectsAreThoseOfNATS: NATS's own tools read what lies in the object store.
func TestObjectsAreThoseOfNATS(t *testing.T) {
	t.Parallel()
	w, _, _, data := objectWorld(t)
	js, err := jetstream.New(w.worker.NATS())
	if err != nil {
		t.Fatal(err)
	}
	store, err := js.ObjectStore(t.Context(), bus.BucketArtifacts)
	if err != nil {
		t.Fatal(err)
	}
	got, err := store.GetBytes(t.Context(), "r/"+spec.BlobOf(data).Digest.String())
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("got %d bytes, error %v", len(got), err)
	}
}

// TestObjectsDamaged: bytes that are not those that were put are never returned.
func TestObjectsDamaged(t *testing.T) {
	t.Parallel()
	_, o, stream, data := objectWorld(t)
	if err := stream.Delete(t.Context(), 2); err != nil { // the second chunk
		t.Fatal(err)
	}
	_, err := o.Get(t.Context(), spec.BlobOf(data), int64(len(data)))
	var damage *bus.DamageError
	if !errors.As(err, &damage) {
		t.Fatalf("got error %v", err)
	}
}

// TestObjectsUnfinished: what an upload left that was never completed is listed, and can be removed.
func TestObjectsUnfinished(t *testing.T) {
	t.Parallel()
	_, o, stream, data := objectWorld(t)
	lost := spec.BlobOf([]byte("lost"))
	subject := "$O." + bus.BucketArtifacts + ".C.r." + lost.Digest.String() + ".upload"
	if _, err := stream.Append(t.Context(), subject, nil, []byte("lo"), bus.AppendTimeoutDefault); err != nil {
		t.Fatal(err)
	}
	var unfinished []bus.StoredBlob
	list := func(b bus.StoredBlob) error {
		if b.Unfinished {
			unfinished = append(unfinished, b)
		}
		return nil
	}
	if err := o.List(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if len(unfinished) != 1 || unfinished[0].Blob.Digest != lost.Digest {
		t.Fatalf("listed %v", unfinished)
	}
	if err := o.Delete(t.Context(), unfinished[0]); err != nil {
		t.Fatal(err)
	}
	unfinished = nil
	if err := o.List(t.Context(), list); err != nil || len(unfinished) != 0 {
		t.Fatalf("listed %v, error %v", unfinished, err)
	}
	if _, err := o.Get(t.Context(), spec.BlobOf(data), int64(len(data))); err != nil {
		t.Fatal(err)
	}
}
