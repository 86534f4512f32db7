package bus

import (
	"context"
	"errors"
	"net/http"

	"github.com/nats-io/nats.go"
)

// passing are the errors of a connection or a server that is away for a time.
var passing = []error{
	errDisconnected, errNoAnswer, errReset, ErrAmbiguous, ErrRefused, context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders,
	nats.ErrDisconnected, nats.ErrConnectionReconnecting, nats.ErrReconnectBufExceeded, nats.ErrNoServers, nats.ErrStaleConnection,
}

// Passing reports whether err says that NATS cannot answer now and may later: whoever met it should try again after a
// while. A refusal of what was asked, a missing stream and wrong data do not pass by themselves.
func Passing(err error) bool {
	for _, p := range passing {
		if errors.Is(err, p) {
			return true
		}
	}
	var refused *APIError
	return errors.As(err, &refused) && refused.Status == http.StatusServiceUnavailable
}
