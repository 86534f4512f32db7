package coordinator

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"autoresearch/internal/host"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// turnLimit is how many arrivals one turn takes: the most that one group commit holds.
const turnLimit = 4096

// idleMax is the longest the loop waits for an arrival: engine time advances at least so often.
const idleMax = 500 * time.Millisecond

// leader is one term of leading one run. One goroutine, the loop, calls its methods; others reach it through the inbox.
type leader struct {
	run      spec.RunName
	runID    string
	epoch    uint64
	log      *slog.Logger
	host     host.Host
	ports    ports
	engine   *engine.Engine
	commit   *committer
	number   uint64 // of the last commit
	writer   uint64
	recordTo int // the most bytes of one journal message

	watermark uint64
	marked    uint64 // the watermark that the last record carried
	resultsID uint64
	rules     *spec.Rules
	metaDue   bool // resultsID or rules changed: the next record must say so
	proofDue  bool // a record is due, whether or not there is something to write: it proves that nobody else leads

	clock   engineClock
	heard   time.Time       // the last sign of NATS, wall time
	timed   spec.EngineTime // of the last record
	wasDeaf bool            // it came after a silence, of which the engine was not told yet
	wall    spec.WallTime   // of the last record

	inbox     *inbox
	refs      map[uint64]func(engine.Reply)
	nextRef   uint64
	recipe    func(spec.TaskSpec) (spec.Recipe, error)
	leaseTTL  time.Duration
	resultMax int64
	hooks     *hookQueue
	sweeper   *sweeper
	courier   *courier
	rejects   *rejectKeeper
	stalls    *stallWatch
	claim     claim
	weight    float64 // the run's part of the slots that it shares
	ledger    *ledger
	followers []follower // besides the ledger
	metrics   *metrics

	encoder    bus.RecordEncoder
	dispatches dispatches // of the turn
	answers    answerSet  // of the turn

	keepCheckpoints, keepCode time.Duration // as recipes say it
}

// follower is told of every commit, after it: on the loop's goroutine, so it must be quick.
type follower interface {
	follow(c *committed)
}

// committed is what followers are told. Changed holds copies that never change again.
type committed struct {
	position position
	changed  []*spec.Task
	parts    []spec.ChangeParts // of the changes, in their order
	acts     []spec.Act
	wall     spec.WallTime
	meta     spec.Meta
	metaNew  bool // the record carries meta
	counts   engine.Counts
	parked   map[string]int // engine.Engine.Parked
	spending engine.Spending
	purses   []engine.PurseState // that changed
	reason   string              // why the run is stopped, or dispatching is halted
	ended    bool                // the run's status changed in this commit
}

// position names a commit and all that the journal said up to it.
type position struct {
	seq       uint64 // of the journal
	commit    uint64
	epoch     uint64
	writer    uint64
	runID     string
	time      spec.EngineTime
	watermark uint64
}

// lead runs the loop until ctx ends or the term does: errDeposed, or a *journalAlarm.
func (l *leader) lead(ctx context.Context) error {
	var batch []arrival
	for ctx.Err() == nil {
		clear(batch)
		batch = l.inbox.take(ctx, batch[:0], turnLimit, l.patience())
		if err := l.turn(ctx, l.host.Now(), batch); err != nil {
			return err
		}
		l.tell(l.host.Now())
	}
	return nil
}

// patience is how long the loop may wait: until the engine's next deadline, or until it may tell what its run wants.
func (l *leader) patience() time.Duration {
	most := idleMax
	if l.claim.late {
		most = demandIntervalMin
	}
	at, ok := l.engine.NextDeadline()
	if !ok {
		return most
	}
	return min(most, max(time.Millisecond, at-l.clock.engine))
}

// turn is the protocol: take what arrived, step the engine, journal, and only when the record is durable act on it.
func (l *leader) turn(ctx context.Context, wall time.Time, batch []arrival) error {
	for i := range batch {
		if batch[i].heard {
			l.hear(wall)
		}
	}
	now := l.clock.advance(wall, l.heard)
	defer l.ledger.tick(now.Engine)
	if l.wasDeaf {
		l.wasDeaf = false
		l.engine.Step(now, engine.Reconnected{})
	}
	for i := range batch {
		l.step(now, &batch[i])
	}
	out := l.engine.Collect(now)
	defer l.engine.Reset()
	var c *committed
	if out.NeedsAppend() || l.metaDue || l.proofDue || l.lagging() {
		if err := l.journal(ctx, now, out); err != nil {
			return err
		}
		l.hear(l.host.Now())
		c = l.committedWith(out)
		l.ledger.follow(c)
	}
	l.begin(out)
	l.announce(c)
	l.perform(out)
	return nil
}

// hear notes a sign of NATS. After a silence the next turn begins with leases that last anew: the part of the silence that
// passed as engine time is the workers' no more than the rest.
func (l *leader) hear(at time.Time) {
	l.wasDeaf = l.wasDeaf || at.Sub(l.heard) >= deafAfter
	l.heard = at
}

// step hands one arrival to the engine.
func (l *leader) step(now engine.Now, a *arrival) {
	l.watermark = max(l.watermark, a.results)
	if a.call != nil {
		a.call(l)
	}
	if a.event == nil {
		return
	}
	if a.reply != nil {
		a.event = withRef(a.event, l.expect(a.reply))
	}
	l.engine.Step(now, a.event)
}

// expect registers who waits for a reply and returns its reference.
func (l *leader) expect(reply func(engine.Reply)) uint64 {
	l.nextRef++
	l.refs[l.nextRef] = reply
	return l.nextRef
}

func withRef(ev engine.Event, ref uint64) engine.Event {
	switch ev := ev.(type) {
	case engine.Submit:
		ev.Ref = ref
		return ev
	case engine.Cancel:
		ev.Ref = ref
		return ev
	case engine.Reprioritise:
		ev.Ref = ref
		return ev
	case engine.Pause:
		ev.Ref = ref
		return ev
	case engine.SetBudget:
		ev.Ref = ref
		return ev
	case engine.SetAllowance:
		ev.Ref = ref
		return ev
	case engine.Drain:
		ev.Ref = ref
		return ev
	case engine.Configured:
		ev.Ref = ref
		return ev
	case engine.Interrupt:
		ev.Ref = ref
		return ev
	}
	panic(fmt.Sprintf("coordinator: a reply was asked of %T, which has none", ev))
}

// What may be ahead of its last record before it is worth a record of its own: the watermark, and, while leases are held,
// engine time. So much of what they spend, and of the run's active time, is forgotten when the leader dies.
const (
	watermarkLagMax = 1000
	timeLagMax      = 10 * time.Second
)

func (l *leader) lagging() bool {
	return l.watermark > l.marked+watermarkLagMax || l.clock.engine > l.timed+timeLagMax && l.engine.Counts().Leases() > 0
}

// journal commits the output's changes as one record.
func (l *leader) journal(ctx context.Context, now engine.Now, out *engine.Output) error {
	record := bus.Record{
		Version: bus.RecordVersion, Kind: bus.RecordCommit, RunID: l.runID, Epoch: l.epoch, Commit: l.number + 1,
		Writer: l.writer, Part: 1, Parts: 1, Time: now.Engine, Watermark: l.watermark, Meta: out.Meta,
		Changes: out.Changes, Acts: out.Acts, Wall: spec.WallTimeOf(l.host.Now()),
	}
	if l.metaDue && record.Meta == nil {
		meta := l.engine.Meta()
		record.Meta = &meta
	}
	if record.Meta != nil {
		record.Meta.ResultsID, record.Meta.Rules = l.resultsID, l.rules
	}
	parts, err := l.encoder.Encode(&record, l.recordTo)
	if err != nil {
		return fmt.Errorf("run %q: commit %d: %w", l.run, record.Commit, err)
	}
	began := l.host.Now()
	if err := l.commit.append(ctx, parts); err != nil {
		return err
	}
	l.metrics.commitSeconds.Observe(l.host.Now().Sub(began).Seconds())
	l.metrics.commits.Inc()
	l.metrics.commitChanges.Add(float64(len(out.Changes)))
	l.number++
	l.wall = record.Wall
	l.metaDue, l.proofDue = false, false
	l.marked, l.timed = l.watermark, now.Engine
	return nil
}

// committedWith is what followers are told of a turn's commit.
func (l *leader) committedWith(out *engine.Output) *committed {
	c := l.committed()
	c.ended = out.StatusChanged
	c.changed = make([]*spec.Task, len(out.Changes))
	c.parts = make([]spec.ChangeParts, len(out.Changes))
	for i, change := range out.Changes {
		c.changed[i], c.parts[i] = change.Task, change.Parts
	}
	c.acts, c.wall, c.metaNew = slices.Clone(out.Acts), l.wall, out.Meta != nil
	c.purses = slices.Clone(out.Purses)
	return c
}

func (l *leader) committed() *committed {
	meta := l.engine.Meta()
	meta.ResultsID, meta.Rules = l.resultsID, l.rules
	_, reason := l.engine.Status()
	return &committed{
		position: position{
			seq: l.commit.last, commit: l.number, epoch: l.epoch, writer: l.writer, runID: l.runID,
			time: l.clock.engine, watermark: l.watermark,
		},
		meta: meta, counts: l.engine.Counts(), parked: l.engine.Parked(), spending: l.engine.Spending(), reason: reason,
	}
}

// announce tells the followers of a commit, if there was one.
func (l *leader) announce(c *committed) {
	if c == nil {
		return
	}
	for _, f := range l.followers {
		f.follow(c)
	}
}

// begin does what workers and hooks wait for, before all else: only the ledger knows of the commit already, for the results that
// come. What workers are told leaves at once, so that it shares a write, and wakes server and worker once.
func (l *leader) begin(out *engine.Output) {
	l.publish(out)
	l.answer(out)
	for _, t := range out.Hooks {
		l.hooks.put(hookCall{task: t})
	}
}

// perform does what else the output asks, in its order, once whoever looks on was told: a caller finds everywhere what it is answered.
// Nothing here or in begin waits: what is lost is said again, by a timer, a heartbeat or a caller.
func (l *leader) perform(out *engine.Output) {
	l.stalls.saw(l.host.Now(), out)
	for _, w := range out.Purge {
		l.sweeper.purge(w)
	}
	for _, r := range out.Rejections {
		l.rejected(r)
	}
	for _, r := range out.Renames {
		l.log.Warn("a spec's id is taken by another task; it was given a new one", "id", r.From, "new_id", r.To)
	}
	for _, r := range out.Replies {
		if reply, ok := l.refs[r.Ref]; ok {
			delete(l.refs, r.Ref)
			reply(r)
		}
	}
}
