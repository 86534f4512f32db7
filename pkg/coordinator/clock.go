package coordinator

import (
	"time"

	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// turnMax is the most that engine time advances in one turn: a leader that slept for an hour wakes a second later.
const turnMax = time.Second

// deafAfter is how long after the last sign of NATS engine time stands still.
const deafAfter = 3 * time.Second

// engineClock turns wall time into engine time.
type engineClock struct {
	engine spec.EngineTime
	last   time.Time // wall time of the last advance; its monotonic part is what counts
}

// advance moves engine time on by the wall time since the last call, at most turnMax, and not at all if NATS was not
// heard lately.
func (c *engineClock) advance(wall, heard time.Time) engine.Now {
	if passed := wall.Sub(c.last); passed > 0 && wall.Sub(heard) < deafAfter {
		c.engine += min(passed, turnMax)
	}
	c.last = wall
	return engine.Now{Engine: c.engine, Wall: spec.WallTimeOf(wall)}
}
