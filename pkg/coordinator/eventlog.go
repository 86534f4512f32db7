package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"autoresearch/internal/host"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// Position names one event of a run: the journal record it happened in, and its place among the events of that record. It
// is the same from every leader, for as long as the journal holds the record.
type Position struct {
	Seq   uint64
	Index int
}

// Event is one thing that happened. Exactly one of Act, Change, Meta and Epoch is set.
type Event struct {
	Position
	// Wall is the leader's wall clock at the commit; 0 when unknown.
	Wall spec.WallTime
	// Act is a change that somebody asked for. What it changed follows it.
	Act *spec.Act
	// Change is a task's new state. Only the parts it names are there.
	Change *spec.Change
	// Meta is the run-level state.
	Meta *spec.Meta
	// Epoch is the term of a leader that took over.
	Epoch uint64
}

// eventsOf derives the events of one commit: first what somebody asked for, then the tasks, then the run.
func eventsOf(seq uint64, wall spec.WallTime, acts []spec.Act, changes []spec.Change, meta *spec.Meta) []Event {
	events := make([]Event, 0, len(acts)+len(changes)+1)
	add := func(e Event) {
		e.Position, e.Wall = Position{Seq: seq, Index: len(events)}, wall
		events = append(events, e)
	}
	for i := range acts {
		add(Event{Act: &acts[i]})
	}
	for i := range changes {
		add(Event{Change: &changes[i]})
	}
	if meta != nil {
		add(Event{Meta: meta})
	}
	return events
}

// events derives the events of a commit that followers were told of.
func (c *committed) events() []Event {
	changes := make([]spec.Change, len(c.changed))
	for i, t := range c.changed {
		changes[i] = spec.Change{Task: t, Parts: c.parts[i]}
	}
	var meta *spec.Meta
	if c.metaNew {
		meta = &c.meta
	}
	return eventsOf(c.position.seq, c.wall, c.acts, changes, meta)
}

// eventLog keeps the newest commits, so that whoever follows a run seldom reads the journal. Readers come with the
// position they have reached; nothing is kept for them, and a slow one reads the journal.
type eventLog struct {
	mu      sync.Mutex
	commits []*committed
	size    int    // of commits: their changes, and one each
	began   uint64 // the newest record when the term began
	floor   uint64 // everything after this record is in commits
	last    uint64 // the newest record
	wake    chan struct{}
}

// eventLogMax bounds the size of what the log keeps.
const eventLogMax = 16384

func (c *committed) weight() int { return 1 + len(c.changed) + len(c.acts) }

func newEventLog(last uint64) *eventLog {
	return &eventLog{began: last, floor: last, last: last, wake: make(chan struct{})}
}

// follow implements follower.
func (l *eventLog) follow(c *committed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.commits = append(l.commits, c)
	l.size += c.weight()
	l.last = c.position.seq
	for l.size > eventLogMax && len(l.commits) > 1 {
		l.size -= l.commits[0].weight()
		l.floor = l.commits[0].position.seq
		l.commits[0] = nil
		l.commits = l.commits[1:]
	}
	close(l.wake)
	l.wake = make(chan struct{})
}

// after returns the commits that may hold events after a position, and whether they hold all of them.
func (l *eventLog) after(p Position) (commits []*committed, all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first, _ := slices.BinarySearchFunc(l.commits, p.Seq, func(c *committed, seq uint64) int {
		return int(min(1, max(-1, int64(c.position.seq)-int64(seq))))
	})
	return slices.Clone(l.commits[first:]), p.Seq > l.floor || p == Position{Seq: l.floor, Index: maxIndex}
}

// news returns the newest record and a channel that is closed when there is a newer one.
func (l *eventLog) news() (last uint64, wake <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last, l.wake
}

// ErrPurged says that events were asked for that the journal no longer holds.
var ErrPurged = errors.New("the journal begins after that event")

// Last is the position after which nothing has happened yet.
func (v *View) Last() Position {
	last, _ := v.t.events.news()
	return Position{Seq: last, Index: maxIndex}
}

// Beginning is the position after which the term's own events are.
func (v *View) Beginning() Position { return Position{Seq: v.t.events.began, Index: maxIndex} }

// maxIndex is above every event of a record.
const maxIndex = 1 << 40

// Await waits until something happened after a position, the term is over, or ctx ends.
func (v *View) Await(ctx context.Context, p Position) error {
	for {
		last, wake := v.t.events.news()
		if last > p.Seq {
			return nil
		}
		v.t.c.host.Wait(ctx, host.Forever, wake, v.t.ended)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case host.Done(v.t.ended):
			return fmt.Errorf("run %q: %w", v.t.c.o.Run, ErrNotLeader)
		}
	}
}

// Events returns events after a position, the oldest first: at most about limit of them, of one record at least. None means
// that there are none yet. ErrPurged comes with what there is after the gap.
func (v *View) Events(ctx context.Context, p Position, limit int) ([]Event, error) {
	commits, all := v.t.events.after(p)
	if !all {
		return v.journaled(ctx, p, limit)
	}
	var events []Event
	for _, c := range commits {
		if len(events) >= limit {
			break
		}
		events = append(events, c.events()...)
	}
	return since(events, p), nil
}

// since drops the events up to a position.
func since(events []Event, p Position) []Event {
	return slices.DeleteFunc(events, func(e Event) bool {
		return e.Seq < p.Seq || e.Seq == p.Seq && e.Index <= p.Index
	})
}

// journaled reads events from the journal.
func (v *View) journaled(ctx context.Context, p Position, limit int) ([]Event, error) {
	b, err := v.t.leader.ports.journal.Bounds(ctx)
	if err != nil {
		return nil, fmt.Errorf("look up the journal: %w", err)
	}
	from, err := v.beginning(ctx, b.First, p.Seq)
	if err != nil {
		return nil, err
	}
	var events []Event
	err = v.readEvents(ctx, from, func(_ uint64, found []Event) bool {
		events = append(events, since(found, p)...)
		return len(events) < limit
	})
	if err == nil && p.Seq > 0 && p.Seq+1 < b.First {
		err = ErrPurged
	}
	return events, err
}

// beginning is where the series of a record begins, of which the journal may hold only the part from first on.
func (v *View) beginning(ctx context.Context, first, seq uint64) (uint64, error) {
	if seq <= first {
		return first, nil
	}
	record, err := v.record(ctx, seq)
	if errors.Is(err, bus.ErrMissing) {
		return first, nil
	}
	if err != nil {
		return 0, err
	}
	return max(first, seq-uint64(record.Part-1)), nil
}

// errEnough ends a reading of the journal.
var errEnough = errors.New("enough was read")

// readEvents calls f with the last record and the events of every commit from a record on, until f returns false or the journal ends. What is
// left of a series whose beginning was purged is passed over, and so is one that an epoch record voided.
func (v *View) readEvents(ctx context.Context, from uint64, f func(seq uint64, events []Event) bool) error {
	var series []*bus.Record
	err := v.t.leader.ports.journal.Read(ctx, from, func(seq uint64, data []byte) error {
		record, err := bus.DecodeRecord(data)
		if err != nil {
			return fmt.Errorf("journal record %d: %w", seq, err)
		}
		if record.Kind == bus.RecordEpoch {
			series = nil
			if !f(seq, []Event{{Position: Position{Seq: seq}, Wall: record.Wall, Epoch: record.Epoch}}) {
				return errEnough
			}
			return nil
		}
		if record.Part != len(series)+1 {
			series = nil
			return nil
		}
		if series = append(series, record); record.Part < record.Parts {
			return nil
		}
		events := eventsOfSeries(seq, series)
		series = nil
		if !f(seq, events) {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func eventsOfSeries(seq uint64, series []*bus.Record) []Event {
	var acts []spec.Act
	var changes []spec.Change
	for _, r := range series {
		acts = append(acts, r.Acts...)
		changes = append(changes, r.Changes...)
	}
	return eventsOf(seq, series[0].Wall, acts, changes, series[0].Meta)
}

// Tail returns the newest events that match, the oldest first: at most limit of them. It looks back a bounded way; complete
// is false when there may be older ones.
func (v *View) Tail(ctx context.Context, limit int, match func(*Event) bool) (events []Event, complete bool, err error) {
	commits, _ := v.t.events.after(Position{})
	keep := func(found []Event) []Event {
		return slices.DeleteFunc(found, func(e Event) bool { return !match(&e) })
	}
	for i := len(commits) - 1; i >= 0 && len(events) < limit; i-- {
		events = append(keep(commits[i].events()), events...)
	}
	end, _ := v.t.events.news()
	if len(commits) > 0 {
		end = commits[0].position.seq - 1
	}
	b, err := v.t.leader.ports.journal.Bounds(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("look up the journal: %w", err)
	}
	for read := 0; len(events) < limit && end >= b.First && read < tailMax; read += tailWindow {
		older, from, err := v.window(ctx, b.First, end)
		if err != nil {
			return nil, false, err
		}
		events = append(keep(older), events...)
		end = from - 1
	}
	complete = end < b.First && b.First <= 1
	if extra := len(events) - limit; extra > 0 {
		events, complete = events[extra:], false
	}
	return events, complete, nil
}

// How far back Tail looks, in records, and how many it reads at once.
const (
	tailMax    = 50_000
	tailWindow = 5_000
)

// window reads the events of the records up to end, of which end is the last of a commit, and returns where it began.
func (v *View) window(ctx context.Context, first, end uint64) (events []Event, from uint64, err error) {
	from = first
	if end-first >= tailWindow {
		if from, err = v.beginning(ctx, first, end-tailWindow+1); err != nil {
			return nil, 0, err
		}
	}
	err = v.readEvents(ctx, from, func(seq uint64, found []Event) bool {
		if seq > end {
			return false
		}
		events = append(events, found...)
		return true
	})
	return events, from, err
}
