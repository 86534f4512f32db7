package coordinator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"autoresearch/internal/host"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
)

// term is one leader's term: the loop, and what follows it. Its goroutines all end before leadTerm returns.
type term struct {
	c      *Coordinator
	leader *leader
	inbox  *inbox
	ledger *ledger
	roster *roster
	events *eventLog
	cfg    engine.Config
	mirror *mirror
	packer packer
	files  *files // nil without a workdir
	hooks  *hookRunner
	intake *intake
	bases  bases
	ended  chan struct{} // closed when the term is over
	loaded bool          // at recovery: the first specs were all journaled
	live   int           // at recovery: tasks that were not finished
	begun  bool          // the run began in this term; the loop's own

	ctx    context.Context
	cancel context.CancelCauseFunc
	leave  func()   // gives the lease up
	joins  []func() // each waits for one of the term's goroutines
	deafen func()   // ends the subscriptions to workers and other runs
}

// errStopped ends a term whose run has stopped, when the coordinator is to exit then.
var errStopped = errors.New("the run has stopped")

// leadTerm recovers the run and leads it until the tenure ends or the term does.
func (c *Coordinator) leadTerm(tn *tenure) (Status, error) {
	began := c.host.Now()
	rec := recovery{ports: c.ports, run: c.o.Run, writer: c.writer, wall: spec.WallTimeOf(began)}
	rec.commit = committer{journal: c.ports.journal, run: string(c.o.Run), trouble: c.setTrouble, host: c.host}
	if err := c.readRunRecord(&rec); err != nil {
		return Status{}, err
	}
	err := rec.recover(tn.ctx)
	if err == nil {
		err = c.blobs.fill(tn.ctx, rec.fold)
	}
	if err != nil {
		return Status{}, causeOf(tn.ctx, err)
	}
	t, err := c.newTerm(tn.ctx, &rec)
	if err != nil {
		return Status{}, causeOf(tn.ctx, err)
	}
	t.leave = tn.leave
	c.log.Info("leading", "epoch", t.leader.epoch, "tasks", t.ledger.size(), "recovered_in", c.host.Now().Sub(began))
	err = t.run()
	status := t.ledger.status(c.host.Now())
	status.Run = c.o.Run
	if errors.Is(err, errStopped) {
		err = nil
	}
	return status, err
}

// causeOf prefers the reason that a context was cancelled for over the error that this led to.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// readRunRecord takes what the workdir says of the journal.
func (c *Coordinator) readRunRecord(rec *recovery) error {
	if c.o.Workdir == "" {
		return nil
	}
	run, err := snapshot.ReadRun(c.o.Workdir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if run.Run != c.o.Run {
		return fmt.Errorf("workdir %s holds run %q, not %q: name that run with --run, or use another workdir",
			c.o.Workdir, run.Run, c.o.Run)
	}
	rec.acknowledged, rec.runID = run.JournalSeq, run.RunID
	return nil
}

// newTerm builds the loop and its followers on what was recovered.
func (c *Coordinator) newTerm(ctx context.Context, rec *recovery) (*term, error) {
	f := rec.fold
	t := &term{c: c, inbox: newInbox(c.host), ended: make(chan struct{})}
	t.ctx, t.cancel = context.WithCancelCause(ctx)
	cfg, recipe, objective := c.plan()
	t.ledger = newLedger(objective, cfg.Kinds)
	t.packer = packer{ledger: t.ledger, host: c.host, interval: c.packing, rested: t.rested}
	t.mirror = newMirror(c.ports.mirror, t.ledger, f.epoch, rec.mirror, c.log, c.host)
	queue := newHookQueue(c.host)
	t.hooks = &hookRunner{workflow: c.o.Workflow, queue: queue, inbox: t.inbox, timeout: c.o.HookTimeout, log: c.log, host: c.host, complete: t.complete}
	t.leader = &leader{
		run: c.o.Run, runID: f.runID, epoch: f.epoch, log: c.log, host: c.host, ports: c.ports, engine: engine.New(cfg),
		commit: &rec.commit, number: f.commit, writer: c.writer, recordTo: c.recordLimit(),
		watermark: f.watermark, marked: f.watermark, resultsID: f.meta.ResultsID, rules: rulesOf(cfg), proofDue: true,
		timed: f.time, clock: engineClock{engine: f.time, last: c.host.Now()}, heard: c.host.Now(),
		inbox: t.inbox, refs: make(map[uint64]func(engine.Reply)), recipe: recipe, leaseTTL: cfg.LeaseTTL, resultMax: cfg.Limits.Size.Result,
		keepCheckpoints: c.o.KeepCheckpoints, keepCode: c.o.KeepCode, hooks: queue, sweeper: newSweeper(c.ports.doorbell, c.o.Run, c.log, c.host),
		stalls: newStallWatch(c.broken), weight: cfg.Weight, metrics: c.metrics,
		answers: answerSet{byWorker: make(map[spec.WorkerID]int)},
	}
	t.leader.courier = newCourier(c.ports.doorbell, c.blobs, t.leader.unpublishable, c.log, c.host)
	t.leader.rejects = newRejectKeeper(c.ports.rejects, c.o.Run, f.epoch, c.metrics, c.log, c.host)
	t.intake = newIntake(t, cfg.Limits.Size, c.blobs, t.leader.rejects)
	t.leader.metaDue = !t.leader.rules.Equal(f.meta.Rules)
	t.cfg, t.roster, t.events = cfg, newRoster(c.o.Run), newEventLog(rec.commit.last)
	t.restore(f)
	rec.fold = nil // the committer keeps the rest of rec for as long as the term lasts
	t.leader.ledger = t.ledger
	t.leader.followers = []follower{t.events, t.mirror, newClaimWatch(c.metrics.claimSeconds), t}
	if c.o.Workdir != "" {
		t.files = newFiles(t, objective)
		t.leader.followers = append(t.leader.followers, t.files)
	}
	if err := t.attachResults(ctx); err != nil {
		return nil, err
	}
	return t, t.prepare(ctx)
}

// recordLimit is the most bytes of one journal message: what the server takes, less room for headers.
func (c *Coordinator) recordLimit() int {
	payload := c.ports.payloadMax()
	return payload - min(payload/16, 4<<10)
}

// inlineMax is the most bytes of a spec, and of a result, that records and messages hold; what is larger goes to the object
// store. taskMax is the most bytes of a whole task: its mirror value holds a spec, a result and the ids of its children,
// and the rest is room for what else a task says.
func (c *Coordinator) inlineMax() int { return c.recordLimit() / 4 }
func (c *Coordinator) taskMax() int   { return c.recordLimit() / 16 * 15 }

// plan asks the workflow how its tasks are scheduled and executed.
func (c *Coordinator) plan() (engine.Config, func(spec.TaskSpec) (spec.Recipe, error), spec.Objective) {
	o := c.o
	cfg := engine.Config{
		Run: o.Run, Weight: o.Weight, Budget: o.MaxConcurrency, Hooks: true, Seed: o.Seed, LeaseTTL: o.LeaseTTL, WorkerTTL: o.WorkerTTL,
		MaxLost: o.MaxLost, Breaker: o.Breaker, MaxSpecSize: c.inlineMax(), MaxTaskSize: c.taskMax(),
	}
	if cfg.Seed == 0 {
		cfg.Seed = c.writer
	}
	if cfg.LeaseTTL <= 0 {
		cfg.LeaseTTL = engine.LeaseTTLDefault
	}
	if s, ok := o.Workflow.(spec.Scheduler); ok {
		cfg.Kinds, cfg.Strict = s.Policies()
		cfg.Limits = s.Limits()
	}
	if p, ok := o.Workflow.(spec.Pricer); ok {
		cfg.Prices = p.Prices()
	}
	size := o.Limits.Or(cfg.Limits.Size).Or(sizeLimitsDefault)
	cfg.Limits.Size = size
	cfg.MaxChildren, cfg.MaxDepth, cfg.MaxPayload = size.Children, size.Depth, size.Payload
	recipe := func(spec.TaskSpec) (spec.Recipe, error) { return spec.Recipe{}, nil }
	if w, ok := o.Workflow.(spec.Commander); ok {
		recipe = w.Recipe
	}
	var objective spec.Objective
	if w, ok := o.Workflow.(spec.Scorer); ok {
		objective = w.Objective()
	}
	return cfg, recipe, objective
}

// sizeLimitsDefault are the limits where neither the options nor the workflow name any.
var sizeLimitsDefault = spec.SizeLimits{
	Children: engine.MaxChildrenDefault, Depth: engine.MaxDepthDefault, Payload: engine.MaxPayloadDefault, Result: MaxResultDefault,
}

// rulesOf is what the journal says of how this term schedules.
func rulesOf(cfg engine.Config) *spec.Rules {
	r := &spec.Rules{Budget: max(1, cfg.Budget)}
	if len(cfg.Kinds) > 0 {
		r.Kinds = make(map[string]spec.KindRule, len(cfg.Kinds))
	}
	for kind, p := range cfg.Kinds {
		r.Kinds[kind] = spec.KindRule{Class: p.Class, Uncounted: p.Uncounted}
	}
	return r
}

// restore gives the fold to the engine, the ledger and the mirror: none of them changes a task that was handed over.
func (t *term) restore(f *fold) {
	e, order := t.leader.engine, f.inOrder()
	for _, folded := range order {
		if folded.seq > f.mirrored {
			t.mirror.restore(folded)
		}
	}
	t.mirror.restoreBase(f.base)
	join := t.c.host.Go(func() { t.ledger.restore(order) }) // beside the engine's: with a million tasks it takes seconds
	e.Restore(f.meta, len(order))
	for _, folded := range order {
		e.Load(folded.task)
	}
	join()
	e.Recover(t.leader.clock.advance(t.c.host.Now(), time.Time{}))
	t.ledger.last = *t.leader.committed()
	t.ledger.take(e.Purses())
	t.ledger.tick(t.leader.clock.engine)
	t.loaded, t.live = f.meta.Loaded, e.Counts().Live()
}

// rested has the engine let go of records that the ledger has packed.
func (t *term) rested(ctx context.Context, records []*spec.Task) {
	t.put(ctx, arrival{call: func(l *leader) { l.engine.Rest(records, t.ledger) }})
}

// attachResults finds the results stream and where to read on. A stream that is not the one the watermark belongs to, or
// that ends below it, was made anew: the watermark starts again, and the workers still hold what was not receipted.
func (t *term) attachResults(ctx context.Context) error {
	l := t.leader
	if err := l.ports.results.Ensure(ctx); err != nil {
		return fmt.Errorf("run %q: create the results stream: %w", l.run, err)
	}
	b, err := l.ports.results.Bounds(ctx)
	if err != nil {
		return fmt.Errorf("run %q: look up the results stream: %w", l.run, err)
	}
	if id := resultsID(b); id != l.resultsID || b.Last < l.watermark {
		if l.resultsID != 0 {
			l.log.Warn("the results stream was made anew; workers send again what was not receipted")
		}
		l.resultsID, l.watermark, l.marked, l.metaDue = id, 0, 0, true
	}
	return nil
}

// follow implements follower: it ends the term when the run has stopped and the coordinator is to exit then.
func (t *term) follow(c *committed) {
	if t.begun && c.meta.Status == spec.StatusStopped && c.meta.Loaded && t.c.o.ExitWhenStopped {
		t.cancel(errStopped)
	}
}

// run leads the term: it starts what surrounds the loop, runs the loop, and takes everything down in reverse.
func (t *term) run() error {
	defer close(t.ended)
	defer t.join()
	defer t.cancel(context.Canceled)
	if err := t.start(); err != nil {
		return causeOf(t.ctx, err)
	}
	t.c.setCurrent(t)
	defer t.c.setCurrent(nil)
	err := t.leader.lead(t.ctx)
	t.cancel(context.Canceled)
	t.handOver(err)
	t.join()
	t.close(err)
	return causeOf(t.ctx, err)
}

func (c *Coordinator) setCurrent(t *term) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = t
	if t != nil {
		c.role, c.trouble = RoleLeader, ""
	}
}

// start brings up what surrounds the loop.
func (t *term) start() error {
	l, p := t.leader, t.leader.ports
	if err := t.ensureDoorbell(t.ctx); err != nil {
		return fmt.Errorf("run %q: create the doorbell: %w", l.run, err)
	}
	stopDemands, err := p.uplinks.ListenDemands(t.demanded)
	if err != nil {
		return fmt.Errorf("run %q: listen to other runs: %w", l.run, err)
	}
	l.tell(t.c.host.Now()) // and asks: what others want is to be known before slots are
	stopUplinks, err := p.uplinks.Listen(t.heartbeat)
	if err != nil {
		stopDemands()
		return fmt.Errorf("run %q: listen to workers: %w", l.run, err)
	}
	t.deafen = func() { stopUplinks(); stopDemands() }
	after := l.watermark // the loop's own from now on
	t.goes(func(ctx context.Context) { t.readResults(ctx, after) })
	t.goes(t.pinger)
	t.goes(l.sweeper.sweep)
	t.mirror.join = t.c.host.Go(func() { t.mirror.run(t.ctx) })
	t.joins = append(t.joins, t.mirror.join)
	t.goes(t.packer.run)
	t.goes(t.upkeep)
	t.goes(l.courier.run)
	t.goes(l.rejects.storeAll)
	t.goes(t.callWorkflow)
	if t.files != nil {
		t.goes(t.files.run)
	}
	t.hello()
	return nil
}

// hello asks every worker for a heartbeat, and makes those that wait try again.
func (t *term) hello() {
	l := t.leader
	if err := l.ports.uplinks.Hello(bus.Answer{Version: bus.MessageVersion, Run: l.run, Epoch: l.epoch, Hello: true}); err != nil {
		l.log.Warn("ask workers for a heartbeat", "err", err)
	}
}

// ensureDoorbell makes the doorbell where it is missing. If it was, what was published is published again as soon as
// workers have said what they picked up.
func (t *term) ensureDoorbell(ctx context.Context) error {
	created, err := t.leader.ports.doorbell.Ensure(ctx, t.classes())
	if created {
		t.inbox.force(arrival{event: engine.DoorbellLost{}, call: func(*leader) { t.hello() }})
	}
	return err
}

// classes returns the classes that the workflow's kinds run in.
func (t *term) classes() []string {
	cfg, _, _ := t.c.plan()
	seen := map[string]bool{spec.ClassDefault: true}
	classes := []string{spec.ClassDefault}
	for _, p := range cfg.Kinds {
		if p.Class != "" && !seen[p.Class] {
			seen[p.Class] = true
			classes = append(classes, p.Class)
		}
	}
	return classes
}

// goes starts a goroutine that ends with the term.
func (t *term) goes(f func(context.Context)) {
	t.joins = append(t.joins, t.c.host.Go(func() { f(t.ctx) }))
}

// join ends the subscriptions and waits for the term's goroutines, whose context must be done. It is
// idempotent.
func (t *term) join() {
	if t.deafen != nil {
		t.deafen()
	}
	for _, join := range t.joins {
		join()
	}
	t.deafen, t.joins = nil, nil
}

// handOver makes way for the next leader before anything that takes time: it brings the mirror as far as the journal
// goes, if that is soon done, and gives the lease up. A deposed leader writes nothing.
func (t *term) handOver(err error) {
	t.mirror.join()
	if !t.deposed(err) {
		t.flushLast()
	}
	t.leave()
}

func (t *term) deposed(err error) bool {
	return errors.Is(err, errDeposed) || errors.Is(context.Cause(t.ctx), errDeposed)
}

func (t *term) flushLast() {
	ctx, cancel := t.c.host.Within(context.WithoutCancel(t.ctx), handOverMax)
	defer cancel()
	err := t.mirror.flush(ctx, hurry)
	if errors.Is(err, errRenewed) {
		err = t.mirror.flush(ctx, hurry)
	}
	if err != nil {
		t.leader.log.Warn("flush the mirror; the next leader reads the journal instead", "err", err)
	}
}

// close writes the workdir's files as the term leaves them.
func (t *term) close(err error) {
	if t.files == nil || t.deposed(err) {
		return
	}
	ctx, cancel := t.c.host.Within(context.WithoutCancel(t.ctx), closeTimeout)
	defer cancel()
	t.files.final(ctx)
}

// How long a term may take at its end before it gives the lease up, and for its last files.
const (
	handOverMax  = 500 * time.Millisecond
	closeTimeout = 20 * time.Second
)

// readResults brings results to the loop, and finds the stream again when it was lost.
func (t *term) readResults(ctx context.Context, after uint64) {
	for ctx.Err() == nil {
		lost := make(chan struct{}, 1)
		var reason error
		stop, err := t.leader.ports.results.Consume(ctx, after, func(seq uint64, from spec.WorkerID, data []byte) {
			t.intake.take(ctx, seq, from, data)
		}, func(err error) { reason = err; lost <- struct{}{} })
		if err == nil {
			t.c.host.Wait(ctx, host.Forever, lost)
			stop()
			err = reason
		}
		if ctx.Err() != nil {
			return
		}
		t.leader.log.Warn("the results stream was lost; looking for it", "err", err)
		after = t.reattach(ctx)
	}
}

// reattach re-creates the results stream if need be, from the loop's side, and returns where to read on.
func (t *term) reattach(ctx context.Context) uint64 {
	for {
		t.c.host.Wait(ctx, reattachInterval)
		if ctx.Err() != nil {
			return 0
		}
		var after uint64
		found, looked := false, make(chan struct{})
		err := t.leader.ports.results.Ensure(ctx)
		if err == nil {
			err = t.inbox.put(ctx, arrival{call: func(l *leader) {
				found = t.attachResults(ctx) == nil
				after = l.watermark
				close(looked)
			}})
		}
		if err == nil {
			t.c.host.Wait(ctx, host.Forever, looked)
			if host.Done(looked) && found {
				return after
			}
		}
	}
}

// reattachInterval is how often a lost results stream is looked for, the first time too: a server removes the files of a
// deleted stream behind its answer, and with them, now and then, those of one that was made at once under its name.
const reattachInterval = time.Second

func (t *term) put(ctx context.Context, a arrival) {
	if err := t.inbox.put(ctx, a); err != nil && ctx.Err() == nil {
		t.leader.log.Error("the loop takes nothing", "err", err)
	}
}

// heartbeat brings what a worker says to the loop. When the loop is far behind it is dropped: the next one says it again.
func (t *term) heartbeat(from spec.WorkerID, u bus.Uplink) {
	if !bus.IsFrom(from, u.Worker) {
		t.intake.forged(from, u.Worker, u.Boot, nil)
		return
	}
	t.tellClasses(&u)
	for _, g := range t.roster.hear(&u, t.c.host.Now()) {
		t.leader.log.Warn("a worker has quarantined a GPU", "worker", u.Worker, "host", u.Host, "gpu", g.UUID, "model", g.Model,
			"class", g.Class, "reason", g.Reason)
	}
	hb := engine.Heartbeat{
		Worker: u.Worker, Boot: u.Boot, Full: u.Full, Leaving: u.Leaving, Slots: u.Slots, Batches: u.Batches, GPUs: gpusOf(&u),
	}
	for _, h := range u.Running {
		if h.Run == t.leader.run {
			hb.Running = append(hb.Running, h)
		} else {
			hb.Others++
		}
	}
	for _, ref := range u.Finished {
		if ref.Run == t.leader.run {
			hb.Finished = append(hb.Finished, ref)
		}
	}
	if ok, _ := t.inbox.offer(arrival{event: hb, heard: true}); !ok {
		t.c.metrics.dropped.Inc()
	}
}

// pingInterval is how often the leader asks whether NATS is there.
const pingInterval = time.Second

// pinger keeps the evidence that NATS is heard, on which engine time depends.
func (t *term) pinger(ctx context.Context) {
	for {
		t.c.host.Wait(ctx, pingInterval)
		if ctx.Err() != nil {
			return
		}
		ping, cancel := t.c.host.Within(ctx, pingTimeout)
		_, err := t.leader.ports.uplinks.RTT(ping)
		cancel()
		if err == nil {
			t.inbox.offer(arrival{heard: true})
		}
	}
}

// idle waits until no lease is held.
func (t *term) idle(ctx context.Context) error {
	for t.ledger.status(t.c.host.Now()).Counts.Leases() > 0 && !host.Done(t.ended) {
		t.c.host.Wait(ctx, idlePoll, t.ended)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// idlePoll is how often idle looks.
const idlePoll = 20 * time.Millisecond

// Cadence of upkeep.
const upkeepInterval = 10 * time.Second

// upkeep removes results that the journal has, makes doorbell streams again that a server restart took, gives streams that
// were configured otherwise their configuration back, makes stalled consumers anew, and looks whether the journal is still
// ours.
func (t *term) upkeep(ctx context.Context) {
	purged, pause := t.c.host.Now(), upkeepInterval
	swept := purged
	stores := t.makeStores(ctx, nil)
	for {
		t.c.host.Wait(ctx, pause, t.c.broken)
		if ctx.Err() != nil {
			return
		}
		if now := t.c.host.Now(); now.Sub(purged) >= upkeepInterval {
			purged = now
			t.c.purgeResults(ctx, t)
			t.purgeJournal(ctx)
			t.checkJournal(ctx)
			t.checkLease(ctx)
			stores = t.makeStores(ctx, stores)
		}
		for _, class := range t.leader.stalls.take() {
			t.renewConsumer(ctx, class)
		}
		if now := t.c.host.Now(); now.Sub(swept) >= blobSweepInterval {
			swept = now
			t.sweepBlobs(ctx)
		}
		pause = upkeepInterval
		if err := t.ensureDoorbell(ctx); err != nil && ctx.Err() == nil {
			t.leader.log.Warn("look after the doorbell", "err", err)
			pause = reattachInterval
		}
	}
}

// makeStores makes the object stores, so that workers, which may not, find them. Without the first one large payloads and
// results fail, without the other what attempts leave besides their results is lost. It says so once: before is what the
// last try returned.
func (t *term) makeStores(ctx context.Context, before error) error {
	err := errors.Join(t.leader.ports.objects.Ensure(ctx), t.leader.ports.output.Ensure(ctx))
	if logs := t.leader.ports.logs; logs != nil {
		err = errors.Join(err, logs.Ensure(ctx))
	}
	if err != nil && before == nil && ctx.Err() == nil {
		t.leader.log.Warn("make the stores of what is too large for a message, of logs, and of what attempts leave besides their results", "err", err)
	}
	return err
}

// sweepBlobs removes what no task names, after an append has proved that this leader knows every task.
func (t *term) sweepBlobs(ctx context.Context) {
	err := t.c.blobs.sweep(ctx, func() (map[spec.Digest]bool, error) {
		if err := t.proven(ctx); err != nil {
			return nil, err
		}
		return t.ledger.blobs(), nil
	})
	if err != nil && !errors.Is(err, bus.ErrMissing) && ctx.Err() == nil {
		t.leader.log.Warn("look after the object store", "err", err)
	}
}

// proven returns once a record was appended after the call.
func (t *term) proven(ctx context.Context) error {
	before := t.ledger.position().seq
	t.c.prove()
	for t.ledger.position().seq == before {
		t.c.host.Wait(ctx, idlePoll)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// spill stores the payloads of specs that no record holds.
func (t *term) spill(ctx context.Context, specs []spec.TaskSpec) []error {
	return t.c.blobs.spill(ctx, specs, t.cfg.MaxPayload)
}

// checkLease looks after the lease's bucket, whose configuration decides when a lease lapses.
func (t *term) checkLease(ctx context.Context) {
	if err := t.leader.ports.lease.Ensure(ctx); err != nil && ctx.Err() == nil {
		t.leader.log.Warn("look after the leader's lease", "err", err)
	}
}

// renewConsumer makes the consumer of a class anew that delivers nothing.
func (t *term) renewConsumer(ctx context.Context, class string) {
	t.leader.log.Warn("tasks are published and nobody gets them; making the class's consumer anew", "class", class)
	t.c.metrics.stalls.Inc()
	if err := t.leader.ports.doorbell.Renew(ctx, class); err != nil && ctx.Err() == nil {
		t.leader.log.Warn("make a consumer anew", "class", class, "err", err)
	}
	t.hello() // workers pull again
}

// checkJournal makes the leader append when the journal is not as it left it: gone, or continued by somebody else. A
// leader that has nothing to write would never know.
func (t *term) checkJournal(ctx context.Context) {
	b, err := t.leader.ports.journal.Bounds(ctx)
	if errors.Is(err, bus.ErrMissing) || err == nil && b.Last != t.ledger.position().seq {
		t.c.prove()
	}
}

// purgeResults removes the results up to the watermark, from the stream that it belongs to: one that was made anew has
// other results at the same positions.
func (c *Coordinator) purgeResults(ctx context.Context, t *term) {
	id, mark := t.ledger.watermark()
	if mark == 0 {
		return
	}
	b, err := c.ports.results.Bounds(ctx)
	if err == nil && resultsID(b) == id {
		err = errors.Join(c.ports.results.Purge(ctx, mark), c.ports.results.Ensure(ctx))
	}
	if err != nil && ctx.Err() == nil {
		c.log.Warn("remove journaled results", "err", err)
	}
}

// resultsID identifies one results stream among those that the run has had.
func resultsID(b bus.Bounds) uint64 { return uint64(b.Created.UnixNano()) }
