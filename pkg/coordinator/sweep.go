package coordinator

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"autoresearch/internal/host"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// sweeper takes doorbell messages back, off the loop. One that is missed does no harm: whoever picks it up is told to
// stop.
type sweeper struct {
	doorbell bus.Doorbell
	run      spec.RunName
	log      *slog.Logger
	host     host.Host

	mu      sync.Mutex
	waiting []engine.Withdrawal
	arrived chan struct{}
}

// purgeTimeout bounds one purge.
const purgeTimeout = 2 * time.Second

func newSweeper(d bus.Doorbell, run spec.RunName, log *slog.Logger, h host.Host) *sweeper {
	return &sweeper{doorbell: d, run: run, log: log, host: h, arrived: make(chan struct{}, 1)}
}

func (s *sweeper) purge(w engine.Withdrawal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, w)
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

// run purges until ctx is done.
func (s *sweeper) sweep(ctx context.Context) {
	for {
		s.host.Wait(ctx, host.Forever, s.arrived)
		if ctx.Err() != nil {
			return
		}
		for _, w := range s.take() {
			s.purgeOne(ctx, w)
		}
	}
}

func (s *sweeper) take() []engine.Withdrawal {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.waiting
	s.waiting = nil
	return waiting
}

func (s *sweeper) purgeOne(ctx context.Context, w engine.Withdrawal) {
	ctx, cancel := s.host.Within(ctx, purgeTimeout)
	defer cancel()
	if err := s.doorbell.Purge(ctx, w.Class, s.run, w.Task, w.Attempt); err != nil && ctx.Err() == nil {
		s.log.Debug("take a doorbell message back", "task", w.Task, "attempt", w.Attempt, "err", err)
	}
}
