package coordinator

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"autoresearch/pkg/bus"
)

// outageLog is a log handler that passes each message about a NATS that is away at most once in outageInterval: while it
// is, everybody tries again and again and has the same to say. Other messages pass.
type outageLog struct {
	slog.Handler
	host interface{ Now() time.Time }
	said *saidTimes
}

const outageInterval = time.Minute

// saidTimes says when each message was passed last.
type saidTimes struct {
	mu sync.Mutex
	at map[string]time.Time
}

func newOutageLog(h slog.Handler, host interface{ Now() time.Time }) *outageLog {
	return &outageLog{Handler: h, host: host, said: &saidTimes{at: make(map[string]time.Time)}}
}

// Handle implements slog.Handler.
func (o *outageLog) Handle(ctx context.Context, r slog.Record) error {
	if aboutOutage(r) && !o.said.due(r.Message, o.host.Now()) {
		return nil
	}
	return o.Handler.Handle(ctx, r)
}

// aboutOutage reports whether one of a message's attributes is an error that passes by itself.
func aboutOutage(r slog.Record) (about bool) {
	r.Attrs(func(a slog.Attr) bool {
		err, ok := a.Value.Any().(error)
		about = ok && bus.Passing(err)
		return !about
	})
	return about
}

func (s *saidTimes) due(message string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, said := s.at[message]; said && now.Sub(last) < outageInterval {
		return false
	}
	s.at[message] = now
	return true
}

// WithAttrs implements slog.Handler.
func (o *outageLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &outageLog{Handler: o.Handler.WithAttrs(attrs), host: o.host, said: o.said}
}

// WithGroup implements slog.Handler.
func (o *outageLog) WithGroup(name string) slog.Handler {
	return &outageLog{Handler: o.Handler.WithGroup(name), host: o.host, said: o.said}
}
