package coordinator

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"autoresearch/pkg/spec"
)

// claimWatch measures how long a dispatched attempt waits for its claim, from commit to commit. It remembers what is
// dispatched and no more.
type claimWatch struct {
	seconds prometheus.Observer
	since   map[spec.TaskID]dispatched
}

type dispatched struct {
	attempt uint32
	at      spec.WallTime
}

func newClaimWatch(seconds prometheus.Observer) *claimWatch {
	return &claimWatch{seconds: seconds, since: make(map[spec.TaskID]dispatched)}
}

// follow implements follower.
func (w *claimWatch) follow(c *committed) {
	for _, t := range c.changed {
		d, known := w.since[t.Spec.ID]
		switch {
		case t.State == spec.StateDispatched && d.attempt != t.Attempt:
			w.since[t.Spec.ID] = dispatched{attempt: t.Attempt, at: c.wall}
		case t.State == spec.StateDispatched: // published again
		case known:
			if t.State == spec.StateRunning {
				w.seconds.Observe(max(0, time.Duration(c.wall-d.at)).Seconds())
			}
			delete(w.since, t.Spec.ID)
		}
	}
}
