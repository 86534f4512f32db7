package cli

import (
	"os"
	"runtime"
)

// garbageMin is how much a program allocates between two garbage collections at least, in bytes.
const garbageMin = 96 << 20

// collectRarely keeps the garbage collector from running for little: a program of a few megabytes that makes hundreds a
// second would collect fifty times a second and spend a third of its time so. The collector runs when the heap has doubled,
// and a block that nobody touches counts in it without taking memory. Programs with a large heap are as they were. Who sets
// GOGC or GOMEMLIMIT decides for himself. The block is there until release is called.
func collectRarely() (release func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	block := make([]byte, garbageMin)
	return func() { runtime.KeepAlive(block) }
}
