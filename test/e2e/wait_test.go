//go:build linux

package e2e

import (
	"testing"
	"time"
)

// Bounds of waiting: far beyond what anything takes, so that only a fault reaches them.
const (
	waitMax  = 60 * time.Second
	waitPoll = 10 * time.Millisecond
)

// eventually waits until check returns "" and fails with what it returned last: what is not as it should be yet.
func eventually(t *testing.T, what string, check func() (amiss string)) {
	t.Helper()
	deadline := time.Now().Add(waitMax)
	for {
		amiss := check()
		if amiss == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %v: %s", what, waitMax, amiss)
		}
		time.Sleep(waitPoll)
	}
}
