// Package cli is what the three programs share: flags for NATS and logging, signals, the exit code that tells how a
// program ended, and serving health and metrics. It holds no behaviour of the engine.
package cli
