package bustest

import (
	"testing"

	"go.uber.org/goleak"
)

// VerifyTestMain runs the tests of a package that starts NATS servers in its process, and fails when goroutines are left. Those
// of a file store do not count: nats-server 2.15.2 leaves one open whose stream it was creating when it was shut down.
func VerifyTestMain(m *testing.M, options ...goleak.Option) {
	goleak.VerifyTestMain(m, append(options,
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))...)
}
