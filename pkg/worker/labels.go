package worker

import (
	"errors"
	"slices"

	"autoresearch/pkg/spec"
)

// A class that requires labels which this worker has is served with the slots of its base: as a pool of its own that has none,
// and shares those of the base's. Each pool asks for as many tasks as there are free slots; once one of them got some, the
// others take back what they asked for and ask anew. What comes all the same is handed back.

// sharersMax bounds how many classes a worker serves beside its own.
const sharersMax = 64

// errShared ends a request for tasks: another class has taken slots meanwhile.
var errShared = errors.New("another class has taken slots")

// root is the pool that has the slots.
func (p *pool) root() *pool {
	if p.base != nil {
		return p.base
	}
	return p
}

// wake makes everyone who waits for slots of the pool look again.
func (p *pool) wake() {
	notify(p.freed)
	for _, s := range p.sharers {
		notify(s.freed)
	}
}

// serveClasses begins to serve those of the classes that this worker can and does not yet.
func (w *worker) serveClasses(classes []string) {
	for _, class := range classes {
		if !spec.ClassMatches(class, w.o.Labels) || len(class) > classMax {
			continue
		}
		if p := w.ledger.share(class); p != nil {
			w.log.Info("serving a class that requires labels", "class", class)
			w.shared <- p // there is room for all
			notify(w.beat)
		}
	}
}

// classMax bounds the name of a class that a leader tells, in bytes.
const classMax = 500

// share returns a new pool with the slots of the class's base; nil when there is no base, or a pool already.
func (l *ledger) share(class string) *pool {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := slices.IndexFunc(l.pools, func(p *pool) bool { return p.class == spec.BaseClass(class) && p.base == nil })
	known := slices.ContainsFunc(l.pools, func(p *pool) bool { return p.class == class })
	if at < 0 || known || len(l.shared) == sharersMax {
		return nil
	}
	base := l.pools[at]
	p := &pool{class: class, base: base, freed: make(chan struct{}, 1), heard: base.heard}
	base.sharers = append(base.sharers, p)
	l.shared = append(l.shared, p)
	l.pools = append(slices.Clone(l.pools), p) // readers without the lock keep the old list
	return p
}

// interrupt ends the requests of those who share slots with a pool that has just taken some.
func (l *ledger) interrupt(taker *pool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	root := taker.root()
	for _, p := range append(slices.Clone(root.sharers), root) {
		if p != taker && p.giveUp != nil {
			p.giveUp(errShared)
		}
	}
}

// asking notes how to end the request that a pool makes; nil when it makes none.
func (l *ledger) asking(p *pool, giveUp func(error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.giveUp = giveUp
}

// own returns the pools that have slots of their own.
func (l *ledger) own() []*pool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.pools), func(p *pool) bool { return p.base != nil })
}
