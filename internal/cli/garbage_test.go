package cli

import (
	"runtime"
	"testing"
)

// TestCollectRarely: without the variables there is room for garbageMin more before the next collection.
func TestCollectRarely(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	goal := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.NextGC
	}
	before := goal()
	release := collectRarely()
	if with := goal(); with < before+garbageMin {
		t.Errorf("the next collection comes at %d bytes, without the block at %d", with, before)
	}
	release()
	t.Setenv("GOGC", "100")
	release = collectRarely()
	if with := goal(); with >= before+garbageMin {
		t.Errorf("GOGC is set, and the next collection comes at %d bytes", with)
	}
	release()
}
