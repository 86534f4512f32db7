package kv_test

import (
	"fmt"
	"testing"

	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

func batchOf(from, n int) []kv.Entry {
	batch := make([]kv.Entry, n)
	for i := range batch {
		batch[i] = kv.Entry{Key: kv.TaskKey(spec.TaskID(fmt.Sprintf("task %07d", from+i))), Value: make([]byte, 200)}
	}
	return batch
}

func BenchmarkFlush(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := newRealWorld(b).Mirror("r")
			if _, err := m.Ensure(b.Context()); err != nil {
				b.Fatal(err)
			}
			batch, last := batchOf(0, n), uint64(0)
			for b.Loop() {
				var err error
				if last, err = m.Flush(b.Context(), last, batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	const keys = 100_000
	m := newRealWorld(b).Mirror("r")
	if _, err := m.Ensure(b.Context()); err != nil {
		b.Fatal(err)
	}
	var last uint64
	for n := 0; n < keys; n += kv.BatchMax {
		var err error
		if last, err = m.Flush(b.Context(), last, batchOf(n, kv.BatchMax)); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		loaded := 0
		if _, err := m.Load(b.Context(), func(string, []byte) error { loaded++; return nil }); err != nil || loaded != keys {
			b.Fatalf("%d keys, error %v", loaded, err)
		}
	}
	b.ReportMetric(keys*float64(b.N)/b.Elapsed().Seconds(), "keys/s")
}
