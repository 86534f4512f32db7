package kv_test

import (
	"testing"

	"autoresearch/pkg/kv"
)

func BenchmarkMillion(b *testing.B) {
	const keys = 1_000_000
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
