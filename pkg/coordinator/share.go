package coordinator

import (
	"slices"
	"sync/atomic"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// How often a leader tells the others what its run wants: again and again while it wants anything, and sooner when that
// changed or another leader asks, as it does when it begins; at once when it wants nothing any more, as the others' slots
// stand idle until they hear it.
const (
	demandInterval    = time.Second
	demandIntervalMin = 100 * time.Millisecond
)

// claim tells the leaders of other runs what this one wants of the slots that they share. The loop's own.
type claim struct {
	last   []spec.ClassDemand // as it was told
	told   time.Time
	asked  bool                           // by a leader that has begun since
	late   bool                           // it changed, or was asked for, too soon after that to be told yet
	shares atomic.Pointer[map[string]int] // for readers: as the engine worked them out
}

// tell tells what the run wants, if it is time. The first time it asks the others too: until they answer they seem to want
// nothing. What is lost is told again.
func (l *leader) tell(now time.Time) {
	since, classes := now.Sub(l.claim.told), l.engine.Demands()
	if since >= demandIntervalMin {
		shares := l.engine.Shares()
		l.claim.shares.Store(&shares)
	}
	begins, released := l.claim.told.IsZero(), idle(classes) && !idle(l.claim.last)
	changed := begins || l.claim.asked && !idle(classes) || !slices.Equal(classes, l.claim.last)
	l.claim.late = changed && since < demandIntervalMin && !released
	if l.claim.late || !changed && (since < demandInterval || idle(classes)) {
		return
	}
	l.claim.last, l.claim.told, l.claim.asked = slices.Clone(classes), now, false
	d := bus.Demand{Version: bus.MessageVersion, Run: l.run, Weight: l.weight, Classes: l.claim.last, Asks: begins}
	if err := l.ports.uplinks.Tell(d); err != nil {
		l.log.Debug("tell other runs what this one wants", "err", err)
	}
}

func idle(classes []spec.ClassDemand) bool {
	return !slices.ContainsFunc(classes, func(d spec.ClassDemand) bool { return d.Wants > 0 })
}

// Share returns how many slots of a class are the run's; shared is false while no other run wants any.
func (v *View) Share(class string) (slots int, shared bool) {
	if shares := v.t.leader.claim.shares.Load(); shares != nil {
		slots, shared = (*shares)[class]
	}
	return slots, shared
}

// demanded brings what another run wants to the loop. When the loop is far behind it is dropped: it is told again.
func (t *term) demanded(d bus.Demand) {
	if d.Run == t.leader.run {
		return
	}
	a := arrival{event: engine.Demand{Run: d.Run, Weight: d.Weight, Classes: d.Classes}}
	if d.Asks {
		a.call = func(l *leader) { l.claim.asked = true }
	}
	t.inbox.offer(a)
}
