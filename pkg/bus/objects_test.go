package bus_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
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

// TestWorkersObjects: what workers put and get is what leaders get and put, uploads of earlier builds included; what they
// leave behind is swept.
func TestWorkersObjects(t *testing.T) {
	t.Parallel()
	w, leaders, stream, data := objectWorld(t)
	workers := bus.NewWorkerObjects(w.worker, "r", bus.StreamOptions{BlobRenewAfter: time.Nanosecond})
	wantGot(t, workers, data)
	result := bytes.Repeat([]byte("result"), 60_000)
	for range 2 { // the second time in place of the first
		if _, err := workers.Put(t.Context(), result); err != nil {
			t.Fatal(err)
		}
		wantGot(t, leaders, result)
		wantGot(t, workers, result)
	}
	earlier := putAsBefore(t, stream, bytes.Repeat([]byte("earlier"), 30_000))
	wantGot(t, leaders, earlier)
	wantGot(t, workers, earlier)
	if _, err := workers.Get(t.Context(), spec.BlobOf([]byte("none")), 10); !errors.Is(err, bus.ErrMissing) {
		t.Errorf("what nobody put: %v", err)
	}
	for _, b := range list(t, leaders) {
		if err := leaders.Delete(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if left, _, err := stream.Size(t.Context()); err != nil || left != 0 {
		t.Errorf("%d messages are left, error %v", left, err)
	}
}

// putAsBefore puts a blob as earlier builds did: all chunks on one subject.
func putAsBefore(t *testing.T, stream *bus.Stream, data []byte) []byte {
	t.Helper()
	blob, upload := spec.BlobOf(data), "r."+spec.BlobOf(data).Digest.String()+".upload"
	for chunk := range slices.Chunk(data, 128<<10) {
		if _, err := stream.Append(t.Context(), "$O."+bus.BucketArtifacts+".C."+upload, nil, chunk, bus.AppendTimeoutDefault); err != nil {
			t.Fatal(err)
		}
	}
	name := "r/" + blob.Digest.String()
	info, err := json.Marshal(jetstream.ObjectInfo{
		ObjectMeta: jetstream.ObjectMeta{Name: name}, Bucket: bus.BucketArtifacts, NUID: upload, Size: uint64(blob.Size),
	})
	if err != nil {
		t.Fatal(err)
	}
	subject := "$O." + bus.BucketArtifacts + ".M." + base64.URLEncoding.EncodeToString([]byte(name))
	if _, err := stream.Append(t.Context(), subject, nil, info, bus.AppendTimeoutDefault); err != nil {
		t.Fatal(err)
	}
	return data
}

func wantGot(t *testing.T, o bus.Objects, data []byte) {
	t.Helper()
	got, err := o.Get(t.Context(), spec.BlobOf(data), int64(len(data)))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("got %d bytes of %d, error %v", len(got), len(data), err)
	}
}

func list(t *testing.T, o bus.Objects) (found []bus.StoredBlob) {
	t.Helper()
	if err := o.List(t.Context(), func(b bus.StoredBlob) error { found = append(found, b); return nil }); err != nil {
		t.Fatal(err)
	}
	return found
}

// TestObjectsTakeNoRollup: whoever may put one object cannot remove all with a header, nor where an earlier build allowed it.
func TestObjectsTakeNoRollup(t *testing.T) {
	t.Parallel()
	w, o, stream, data := objectWorld(t)
	js, err := jetstream.New(w.leader.NATS())
	if err != nil {
		t.Fatal(err)
	}
	made, err := js.Stream(t.Context(), stream.Name())
	if err != nil {
		t.Fatal(err)
	}
	config := made.CachedInfo().Config
	config.AllowRollup = true
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if err := o.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err = stream.Append(t.Context(), "$O."+bus.BucketArtifacts+".M.x", nats.Header{"Nats-Rollup": []string{"all"}}, nil, bus.AppendTimeoutDefault)
	if !errors.Is(err, bus.ErrRefused) {
		t.Errorf("a rollup of everything: %v", err)
	}
	wantGot(t, o, data)
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
