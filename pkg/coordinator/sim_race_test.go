//go:build race

package coordinator

// The race detector makes a history ten times as long.
func init() { simDefault /= 10 }
