package coordinator

import (
	"sync"
	"time"

	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// When a class counts as stalled: its tasks were published again, or taken back, again and again for so long, and nobody
// picked anything up. After its consumer was made anew it is given time.
const (
	stallAfter   = 9 * time.Second
	stallPatient = time.Minute
)

// stallWatch finds classes whose consumer delivers nothing, from what the loop sees: tasks were dispatched to slots that
// workers had announced, are overdue, and none is claimed. The loop tells; upkeep asks. To be wrong does no harm.
type stallWatch struct {
	mu      sync.Mutex
	since   map[string]time.Time // when a task of the class was first overdue, without a claim since
	renewed map[string]time.Time
	stalled []string
	found   chan<- struct{} // gets a token when there are some
}

func newStallWatch(found chan<- struct{}) *stallWatch {
	return &stallWatch{since: make(map[string]time.Time), renewed: make(map[string]time.Time), found: found}
}

// saw takes what a turn did.
func (s *stallWatch) saw(now time.Time, out *engine.Output) {
	again := out.Publish[len(out.Publish)-out.Again:]
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range again {
		s.overdue(now, t.Lease.Class)
	}
	for _, w := range out.Purge {
		s.overdue(now, w.Class)
	}
	for _, c := range out.Changes {
		if c.Task.State == spec.StateRunning {
			delete(s.since, c.Task.Lease.Class)
		}
	}
}

func (s *stallWatch) overdue(now time.Time, class string) {
	began, waiting := s.since[class]
	switch {
	case !waiting:
		s.since[class] = now
	case now.Sub(began) >= stallAfter && now.Sub(s.renewed[class]) >= stallPatient:
		s.renewed[class] = now
		s.stalled = append(s.stalled, class)
		select {
		case s.found <- struct{}{}:
		default:
		}
	}
}

// take returns the classes that were found stalled since it was asked last.
func (s *stallWatch) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	stalled := s.stalled
	s.stalled = nil
	return stalled
}
