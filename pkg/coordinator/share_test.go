package coordinator

import (
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// heardDemands are what a leader told.
type heardDemands struct {
	bus.Uplinks
	told []bus.Demand
}

func (h *heardDemands) Tell(d bus.Demand) error {
	h.told = append(h.told, d)
	return nil
}

// TestTell: other runs hear at once that a run wants nothing any more, as slots wait for that; of other changes not too often, and
// then as soon as it may be.
func TestTell(t *testing.T) {
	t.Parallel()
	heard := &heardDemands{}
	l := &leader{engine: engine.New(engine.Config{Budget: 8}), ports: ports{uplinks: heard}, run: "mine"}
	l.engine.Step(engine.Now{}, engine.Loaded{})
	began := time.Unix(1000, 0)
	for _, c := range []struct {
		at    time.Duration
		event engine.Event
		wants []int // of what was told then
		late  bool
	}{
		{0, engine.Submit{Specs: []spec.TaskSpec{task("a")}}, []int{1}, false},
		{10 * time.Millisecond, engine.Submit{Specs: []spec.TaskSpec{task("b")}}, nil, true},
		{20 * time.Millisecond, engine.Pause{On: true}, []int{0}, false},
		{30 * time.Millisecond, engine.Pause{}, nil, true},
		{30*time.Millisecond + demandIntervalMin, engine.Loaded{}, []int{2}, false},
		{50*time.Millisecond + demandIntervalMin, engine.Loaded{}, nil, false},
		{2 * time.Second, engine.Loaded{}, []int{2}, false},
	} {
		heard.told = nil
		l.engine.Step(engine.Now{}, c.event)
		l.tell(began.Add(c.at))
		var wants []int
		for _, d := range heard.told {
			for _, class := range d.Classes {
				wants = append(wants, class.Wants)
			}
		}
		if len(wants) != len(c.wants) || len(wants) > 0 && wants[0] != c.wants[0] || l.claim.late != c.late {
			t.Errorf("after %v it told %v and is late: %t; want %v, %t", c.at, wants, l.claim.late, c.wants, c.late)
		}
		if wait := l.patience(); c.late != (wait <= demandIntervalMin) {
			t.Errorf("after %v it waits %v, late: %t", c.at, wait, c.late)
		}
	}
}
