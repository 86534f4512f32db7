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
// then as soon as it may be. So they do when they begin and ask, as it does itself.
func TestTell(t *testing.T) {
	t.Parallel()
	heard := &heardDemands{}
	l := &leader{engine: engine.New(engine.Config{Budget: 8}), ports: ports{uplinks: heard}, run: "mine"}
	l.engine.Step(engine.Now{}, engine.Loaded{})
	other := &term{leader: l, inbox: newInbox(nil)}
	began := time.Unix(1000, 0)
	for _, c := range []struct {
		at    time.Duration
		event engine.Event
		asked bool  // by another run's leader
		wants []int // of what was told then
		late  bool
	}{
		{0, engine.Submit{Specs: []spec.TaskSpec{task("a")}}, false, []int{1}, false},
		{10 * time.Millisecond, engine.Submit{Specs: []spec.TaskSpec{task("b")}}, false, nil, true},
		{20 * time.Millisecond, engine.Pause{On: true}, false, []int{0}, false},
		{time.Second, engine.Loaded{}, true, nil, false},
		{time.Second, engine.Pause{}, false, []int{2}, false},
		{time.Second + 10*time.Millisecond, engine.Loaded{}, false, nil, false},
		{time.Second + 20*time.Millisecond, engine.Loaded{}, true, nil, true},
		{time.Second + demandIntervalMin, engine.Loaded{}, false, []int{2}, false},
		{time.Second + 2*demandIntervalMin, engine.Loaded{}, true, []int{2}, false},
		{time.Second + 3*demandIntervalMin, engine.Loaded{}, false, nil, false},
		{3 * time.Second, engine.Loaded{}, false, []int{2}, false},
	} {
		heard.told = nil
		other.demanded(bus.Demand{Run: "other", Asks: c.asked})
		for _, a := range other.inbox.items {
			l.step(engine.Now{}, &a)
		}
		other.inbox.items = nil
		l.engine.Step(engine.Now{}, c.event)
		l.tell(began.Add(c.at))
		var wants []int
		for _, d := range heard.told {
			if d.Asks != (c.at == 0) {
				t.Errorf("after %v it asks the others: %t", c.at, d.Asks)
			}
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
