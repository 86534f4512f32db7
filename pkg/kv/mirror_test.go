package kv_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
)

// A bucket that the client library made, without atomic batches, becomes one that serves.
func TestEnsureAllowsAtomicBatches(t *testing.T) {
	t.Parallel()
	w := newRealWorld(t)
	js, err := jetstream.New(w.conn.NATS())
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: bus.StateBucket("r"), History: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bucket.PutString(t.Context(), kv.KeyMeta, "old"); err != nil {
		t.Fatal(err)
	}
	m := w.Mirror("r")
	if created, err := m.Ensure(t.Context()); err != nil || created {
		t.Fatalf("created %v, error %v", created, err)
	}
	if _, err := m.Flush(t.Context(), 1, []kv.Entry{{Key: kv.TaskKey("a"), Value: []byte("1")}, {Key: kv.KeyMeta, Value: []byte("new")}}); err != nil {
		t.Fatal(err)
	}
	if bucket, err = js.KeyValue(t.Context(), bus.StateBucket("r")); err != nil {
		t.Fatal(err)
	}
	// And the library's tools read what the mirror wrote.
	entry, err := bucket.Get(t.Context(), kv.KeyMeta)
	if err != nil || string(entry.Value()) != "new" {
		t.Fatalf("meta is %v, error %v", entry, err)
	}
	// Keys deleted by hand are gone for readers.
	if err := bucket.Delete(t.Context(), kv.TaskKey("a")); err != nil {
		t.Fatal(err)
	}
	keys := 0
	if _, err := m.Load(t.Context(), func(string, []byte) error { keys++; return nil }); err != nil || keys != 1 {
		t.Fatalf("%d keys, error %v", keys, err)
	}
	if _, err := m.Get(t.Context(), kv.TaskKey("a")); err == nil {
		t.Fatal("a deleted key has a value")
	}
}
