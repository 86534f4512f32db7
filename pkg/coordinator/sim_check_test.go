package coordinator

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"autoresearch/internal/model"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

// checker holds the promises of a run against everything that is stored and said. It keeps a fold of its own, and the
// product's beside it; the first promise that is broken ends the history.
type checker struct {
	w    *simulation
	err  error
	seen map[string]int // how often what happened: a history in which nothing happens proves nothing

	seq, epoch, commit uint64
	writer             uint64 // of the epoch
	time               spec.EngineTime
	at                 time.Time       // when the newest record was stored
	told               spec.EngineTime // by the newest record
	still              time.Duration   // for how long until then nothing should have moved
	watermark          uint64
	meta               spec.Meta
	parts              []*bus.Record
	fold               *fold

	tasks    map[spec.TaskID]*spec.Task
	order    []spec.TaskID // as they were born
	versions map[spec.TaskID][]folded
	seqs     map[uint64]spec.TaskID
	orders   map[uint64]spec.TaskID

	held    map[spec.ClaimID]spec.AttemptRef // every claim that a worker drew
	reports map[spec.ClaimID]*bus.Report     // every result that a worker produced
	results []storedResult                   // in the results stream, beyond the watermark
	hooks   map[spec.TaskID][]*hookRun
	mirror  mirrored

	blobs    map[spec.Digest]bool // in the object store
	payloads map[spec.TaskID]spec.Payload
	garbled  map[spec.ClaimID]int // how often a result was sent cut short
	rubbish  map[spec.ClaimID]bool
}

// storedResult is one message of a results stream.
type storedResult struct {
	stream, seq uint64
	reports     []bus.Report
}

// hookRun is one call of the result hook.
type hookRun struct {
	children []spec.TaskSpec // what it returned and may be added; known says what was there before
	spoiled  bool            // it failed, panicked, hung or was cut short
	ended    bool
}

// mirrored is what the mirror holds.
type mirrored struct {
	epoch, seq uint64
	tasks      map[spec.TaskID]*bus.MirrorValue
	holed      bool      // keys were removed by hand, and are not all there again
	spoiled    time.Time // when that was last
}

func newChecker(w *simulation) *checker {
	return &checker{
		w: w, seen: make(map[string]int), fold: newFold(0), tasks: make(map[spec.TaskID]*spec.Task), versions: make(map[spec.TaskID][]folded),
		seqs: make(map[uint64]spec.TaskID), orders: make(map[uint64]spec.TaskID),
		held: make(map[spec.ClaimID]spec.AttemptRef), reports: make(map[spec.ClaimID]*bus.Report),
		hooks:  make(map[spec.TaskID][]*hookRun),
		mirror: mirrored{tasks: make(map[spec.TaskID]*bus.MirrorValue)},
		blobs:  make(map[spec.Digest]bool), payloads: make(map[spec.TaskID]spec.Payload),
		garbled: make(map[spec.ClaimID]int), rubbish: make(map[spec.ClaimID]bool),
	}
}

func (c *checker) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
		c.w.tracef("BROKEN: %v", c.err)
	}
}

// stored sees every message at the moment it is stored.
func (c *checker) stored(m model.Stored) {
	switch m.Stream {
	case bus.JournalStream(simRun):
		c.record(m.Seq, m.Data)
	case bus.ResultsStream(simRun):
		c.result(m)
	case bus.ObjectStream(bus.BucketArtifacts):
		c.blobStored(m)
	case model.MirrorStream(simRun):
		c.mirrorEntry(m.Subject, m.Data)
	}
}

// record takes one record of the journal.
func (c *checker) record(seq uint64, data []byte) {
	r, err := bus.DecodeRecord(data)
	if err != nil {
		c.fail("record %d: %v", seq, err)
		return
	}
	if c.w.traced {
		c.w.tracef("journal %d: %s", seq, recordText(r))
	}
	copied, _ := bus.DecodeRecord(data)
	if err := c.fold.read(seq, copied); err != nil {
		c.fail("the fold refuses what was stored: %v", err)
	}
	c.fence(seq, r)
	c.clock(seq, r)
	c.seq = seq
	if r.Kind == bus.RecordEpoch {
		c.seen["terms"]++
		if len(c.parts) > 0 {
			c.seen["voided series"]++
		}
		c.parts = nil
	}
	c.seen["records"]++
	if r.Part < r.Parts {
		c.seen["parts of a series"]++
		c.parts = append(c.parts, r)
		return
	}
	series := append(c.parts, r)
	c.parts = nil
	c.apply(series)
	c.commit, c.time = r.Commit, r.Time
	c.mark(r.Watermark)
}

// fence holds the journal's rules: one writer an epoch, no record of an older one, no commit number twice or left out,
// engine time that never runs back, a term that begins where the last whole commit ended.
func (c *checker) fence(seq uint64, r *bus.Record) {
	switch {
	case seq != c.seq+1:
		c.fail("record %d follows record %d", seq, c.seq)
	case r.Kind == bus.RecordEpoch && r.Epoch != c.epoch+1:
		c.fail("record %d: epoch %d begins after epoch %d", seq, r.Epoch, c.epoch)
	case r.Kind != bus.RecordEpoch && (r.Epoch != c.epoch || r.Writer != c.writer):
		c.fail("record %d: of epoch %d, writer %x, in epoch %d of writer %x", seq, r.Epoch, r.Writer, c.epoch, c.writer)
	case r.Commit != c.commit+1:
		c.fail("record %d: commit %d after commit %d", seq, r.Commit, c.commit)
	case r.Kind == bus.RecordEpoch && r.Watermark != c.watermark:
		c.fail("record %d: a term begins with watermark %d, and the last commit's is %d", seq, r.Watermark, c.watermark)
	case r.Time < c.time:
		c.fail("record %d: engine time %v after %v", seq, r.Time, c.time)
	}
	if c.writer != r.Writer {
		c.at = time.Time{} // another process, another clock
	}
	c.epoch, c.writer = r.Epoch, r.Writer
}

// clock holds that engine time runs no faster than time, and not while the server was down or the leader stood still,
// but for what it takes to notice.
func (c *checker) clock(seq uint64, r *bus.Record) {
	const notice = deafAfter + 2*turnMax + 2*latencyMax
	now, still := c.w.sched.Now(), c.w.stoodStill(r.Writer)
	passed, moved := now.Sub(c.at)-(still-c.still), r.Time-c.told
	if !c.at.IsZero() && r.Writer == c.writer && moved > passed+notice {
		c.fail("record %d: engine time moved on by %v, and %v had passed in which anybody heard anything", seq, moved, passed)
	}
	c.at, c.still, c.told = now, still, r.Time
}

// apply takes one commit: all its parts.
func (c *checker) apply(series []*bus.Record) {
	last := series[len(series)-1]
	known := len(c.order)
	var fresh []*spec.Task // dispatched by this commit
	var ended []*spec.Task
	quarantined := c.meta.Quarantined
	defer func() { c.quarantines(series, quarantined) }()
	for _, r := range series {
		if r.Meta != nil {
			c.newMeta(*r.Meta, last)
		}
		for _, change := range r.Changes {
			before := c.tasks[change.Task.Spec.ID]
			after, err := change.Apply(before)
			if err != nil {
				c.fail("record %d: %v", c.seq, err)
				return
			}
			c.transition(before, after, change.Parts)
			c.named(after)
			c.tasks[after.Spec.ID] = after
			c.versions[after.Spec.ID] = append(c.versions[after.Spec.ID], folded{seq: c.seq, task: after})
			if after.Attempt > 0 && (before == nil || after.Attempt > before.Attempt) {
				fresh = append(fresh, after)
			}
			if after.State.Terminal() {
				ended = append(ended, after)
			}
		}
	}
	c.dispatched(fresh, last.Time)
	born := c.order[known:]
	for _, t := range ended {
		c.applied(t, born)
	}
}

// quarantines holds that a GPU's quarantine is told of once, and its end once, whoever leads. Before are those that were known.
func (c *checker) quarantines(series []*bus.Record, before []spec.Quarantine) {
	known := map[spec.Quarantine]bool{}
	for _, q := range before {
		known[q] = true
	}
	for _, r := range series {
		for _, act := range r.Acts {
			q := spec.Quarantine{Worker: spec.WorkerID(act.By), GPU: act.GPU}
			if act.GPU == "" {
				continue
			}
			if known[q] != (act.Kind == spec.ActRelease) {
				c.fail("commit %d: %s of %v, which was told of before", r.Commit, act.Kind, q)
			}
			known[q] = act.Kind == spec.ActQuarantine
			c.seen["GPUs "+string(act.Kind)]++
		}
	}
	for _, q := range c.meta.Quarantined {
		if !known[q] {
			c.fail("%v counts as quarantined, and nobody was told", q)
		}
	}
}

func (c *checker) newMeta(m spec.Meta, last *bus.Record) {
	if m.ResultsID != c.meta.ResultsID {
		c.watermark = 0
	}
	if m.NextSeq < c.meta.NextSeq || m.NextOrder < c.meta.NextOrder {
		c.fail("record %d of commit %d: the numbers to come went back: %+v", c.seq, last.Commit, m)
	}
	c.meta = m
}

// transition holds what may become of one task in one commit.
func (c *checker) transition(before, after *spec.Task, parts spec.ChangeParts) {
	id := after.Spec.ID
	if before == nil {
		c.birth(after)
		before = &spec.Task{}
	} else if parts&spec.PartSpec != 0 {
		c.fail("task %q is born again", id)
	}
	switch {
	case before.State.Terminal():
		c.fail("task %q changed after its end: %s", id, taskText(after))
	case after.Attempt < before.Attempt || after.Attempt > before.Attempt+1:
		c.fail("task %q: attempt %d after attempt %d", id, after.Attempt, before.Attempt)
	case after.Attempt > before.Attempt && (after.State != spec.StateDispatched || after.Lease.Attempt != after.Attempt):
		c.fail("task %q: attempt %d was not dispatched: %s", id, after.Attempt, taskText(after))
	case after.Attempt == before.Attempt && after.State == spec.StateDispatched && before.State != spec.StateDispatched:
		c.fail("task %q: attempt %d is dispatched again", id, after.Attempt)
	case after.Closed < before.Closed || after.Closed > after.Attempt:
		c.fail("task %q: attempt %d closed after attempt %d", id, after.Closed, before.Closed)
	case after.State == spec.StateRunning && !c.drew(after):
		c.fail("task %q: its lease is of a claim that nobody drew: %s", id, taskText(after))
	case len(after.Children) > 0 && !after.State.Terminal():
		c.fail("task %q has children before its end", id)
	case (after.Outcome != nil) != (after.State >= spec.StateReported):
		c.fail("task %q: %s", id, taskText(after))
	case before.Outcome != nil && before.Outcome.Order != after.Outcome.Order:
		c.fail("task %q has two outcomes", id)
	}
	c.count(before, after)
	if after.Failures > before.Failures {
		c.counted(before, after)
	}
	if before.Outcome == nil && after.Outcome != nil {
		c.outcome(before, after)
	}
}

// count counts what happens to tasks.
func (c *checker) count(before, after *spec.Task) {
	for name, happened := range map[string]bool{
		"dispatched": after.Attempt > before.Attempt, "lost": after.Lost > before.Lost, "adopted again": after.Lost < before.Lost,
		"failures": after.Failures > before.Failures, "preempted": after.Preempted > before.Preempted,
		"interrupted": after.Interrupted && !before.Interrupted,
		"completed":   after.State == spec.StateCompleted,
		"cancelled":   after.State == spec.StateFailed && after.Cancelled,
		"failed":      after.State == spec.StateFailed && !after.Cancelled,
		"won by an earlier attempt": before.Outcome == nil && after.Outcome != nil && after.Outcome.Claim != 0 &&
			after.Outcome.Attempt < after.Attempt,
	} {
		if happened {
			c.seen[name]++
		}
	}
}

func (c *checker) birth(t *spec.Task) {
	if other, taken := c.seqs[t.Seq]; taken || t.Seq == 0 {
		c.fail("task %q has the arrival number of %q: %d", t.Spec.ID, other, t.Seq)
	}
	c.seqs[t.Seq] = t.Spec.ID
	c.order = append(c.order, t.Spec.ID)
}

func (c *checker) drew(t *spec.Task) bool {
	ref, drawn := c.held[t.Lease.Claim]
	return drawn && ref.Task == t.Spec.ID && ref.Attempt == t.Lease.Attempt
}

// counted holds that a failure counts only from the holder of the lease, or who held it last.
func (c *checker) counted(before, after *spec.Task) {
	lease := before.Lease
	if before.State != spec.StateRunning || lease.Attempt == after.Closed {
		return // else the claim may have come in the same commit
	}
	if k := c.w.worker(lease.Worker); k != nil && k.boot > lease.Boot {
		return // its holder had died
	}
	c.fail("task %q: a failure of attempt %d was counted while attempt %d held the lease", after.Spec.ID, after.Closed, lease.Attempt)
}

// outcome holds that what decides a task was produced by the claim that it names.
func (c *checker) outcome(before, after *spec.Task) {
	o, id := after.Outcome, after.Spec.ID
	if other, taken := c.orders[o.Order]; taken || o.Order == 0 {
		c.fail("tasks %q and %q have outcome %d", other, id, o.Order)
	}
	c.orders[o.Order] = id
	if o.Claim == 0 {
		return
	}
	report := c.reports[o.Claim]
	switch {
	case report == nil && o.Failure != nil && o.Failure.Kind == spec.LaunchFailed:
	case report != nil && report.Task == id && report.Attempt == o.Attempt && c.unusable(o):
		c.seen["unusable"]++
	case report != nil && c.rubbish[o.Claim] && o.Failure == nil:
		c.fail("task %q was decided by rubbish", id)
	case report != nil && c.rubbish[o.Claim] && o.Body == nil && report.Task == id: // a failure counts without what it brought
	case report == nil || report.Task != id || report.Attempt != o.Attempt || !isReport(o, report):
		c.fail("task %q was decided by a result that nobody produced: attempt %d, claim %d", id, o.Attempt, o.Claim)
	case report.Failure != nil && o.Failure == nil:
		c.fail("task %q: a failure became a success", id)
	case report.Failure == nil && !report.Preempted && o.Failure != nil && !after.Cancelled:
		c.fail("task %q: a success became a failure: %v", id, o.Failure)
	case report.Failure != nil && before.State == spec.StateRunning && before.Lease.Claim != o.Claim && !c.gone(before.Lease):
		c.fail("task %q: a failure of claim %d decided it while claim %d held the lease", id, o.Claim, before.Lease.Claim)
	}
}

// gone reports whether the process that holds a lease is dead.
func (c *checker) gone(l *spec.Lease) bool {
	k := c.w.worker(l.Worker)
	return k == nil || k.boot > l.Boot || !k.up
}

// dispatched holds the budget, the pauses and the order at this position of the journal.
func (c *checker) dispatched(fresh []*spec.Task, now spec.EngineTime) {
	if len(fresh) == 0 {
		return
	}
	leases, budget := 0, c.w.budget
	for _, t := range c.tasks {
		if t.State.Leased() {
			leases++
		}
	}
	if c.meta.Budget > 0 {
		budget = c.meta.Budget
	}
	if leases > budget {
		c.fail("record %d dispatches %d tasks; then %d leases are held, the budget is %d", c.seq, len(fresh), leases, budget)
	}
	if c.meta.Paused || c.meta.Status != spec.StatusRunning || !c.meta.Loaded {
		c.fail("record %d dispatches while the run is %s, paused %v, loaded %v", c.seq, c.meta.Status, c.meta.Paused, c.meta.Loaded)
	}
	for _, t := range fresh {
		if slices.Contains(c.meta.PausedClasses, t.Lease.Class) {
			c.fail("task %q was dispatched to a paused class", t.Spec.ID)
		}
		c.inTurn(t, now)
	}
}

// inTurn holds that nothing more urgent of its class was left waiting.
func (c *checker) inTurn(t *spec.Task, now spec.EngineTime) {
	for _, id := range c.order {
		u := c.tasks[id]
		if u.State != spec.StateQueued || u.NotBefore > now || classOf(u.Spec.Kind) != t.Lease.Class {
			continue
		}
		if u.Priority < t.Priority || u.Priority == t.Priority && u.Seq < t.Seq {
			c.fail("task %q (%v, %d) was dispatched before %q (%v, %d)", t.Spec.ID, t.Priority, t.Seq, id, u.Priority, u.Seq)
		}
	}
}

// applied holds that a finished task has the children that one run of its hook returned, all of them new in its commit.
func (c *checker) applied(t *spec.Task, born []spec.TaskID) {
	for _, child := range t.Children {
		if !slices.Contains(born, child) {
			c.fail("task %q: its child %q was not born in its commit", t.Spec.ID, child)
		}
	}
	if (t.State == spec.StateCompleted) != (t.Outcome.Failure == nil) {
		c.fail("task %q: %s", t.Spec.ID, taskText(t))
	}
	runs := c.hooks[t.Spec.ID]
	for _, run := range runs {
		if run.ended && sameChildren(t.Children, run.children) {
			return
		}
		if run.spoiled && len(t.Children) == 0 && t.Outcome.Failure != nil {
			return
		}
	}
	if len(runs) == 0 && t.Cancelled && t.Outcome.Attempt == 0 {
		return // born cancelled
	}
	c.fail("task %q: its children %v are those of no run of its hook (%d)", t.Spec.ID, t.Children, len(runs))
}

func sameChildren(ids []spec.TaskID, specs []spec.TaskSpec) bool {
	return slices.EqualFunc(ids, specs, func(id spec.TaskID, ts spec.TaskSpec) bool { return id == ts.ID })
}

// result remembers what lies in the results stream until the watermark passes it.
func (c *checker) result(m model.Stored) {
	message, err := bus.DecodeResultMessage(m.Data)
	if err != nil {
		return
	}
	c.results = append(c.results, storedResult{stream: uint64(m.Created.UnixNano()), seq: m.Seq, reports: message.Reports})
}

// purged sees every purge of a stream. A purge that was on its way when the results stream was made anew may remove what
// nobody has read: the workers still have it. Any other must leave alone what the journal does not reflect.
func (c *checker) purged(stream string, created time.Time, below uint64) {
	switch stream {
	case bus.JournalStream(simRun):
		c.purgedJournal(below)
		return
	case bus.ResultsStream(simRun):
	default:
		return
	}
	c.w.tracef("results below %d are removed", below)
	c.results = slices.DeleteFunc(c.results, func(s storedResult) bool {
		if s.stream != uint64(created.UnixNano()) || s.seq >= below {
			return false
		}
		for i := range s.reports {
			if c.w.sched.Now().Sub(created) > onItsWay {
				c.mustBeDecided(&s.reports[i], "it was removed from the results stream")
			}
		}
		return true
	})
}

// purgedJournal holds that nothing of the journal is removed that the mirror does not have, or may still be asked for.
func (c *checker) purgedJournal(below uint64) {
	c.seen["purges"]++
	c.w.tracef("journal records below %d are removed", below)
	if below > c.mirror.seq {
		c.fail("records below %d are removed from the journal, and the mirror reaches record %d", below, c.mirror.seq)
	}
}

// onItsWay is the longest that a call is under way.
const onItsWay = 15 * time.Second

// mark holds that every result up to the watermark is reflected in the journal.
func (c *checker) mark(watermark uint64) {
	if watermark < c.watermark {
		c.fail("record %d: watermark %d after %d", c.seq, watermark, c.watermark)
	}
	c.watermark = watermark
	c.results = slices.DeleteFunc(c.results, func(s storedResult) bool {
		if s.stream != c.meta.ResultsID || s.seq > watermark {
			return false
		}
		for i := range s.reports {
			c.mustBeDecided(&s.reports[i], "the watermark passed it")
		}
		return true
	})
}

// receipt holds that a worker deletes a result only when the journal has its outcome.
func (c *checker) receipt(_ spec.WorkerID, ref spec.AttemptRef) {
	if report := c.reports[ref.Claim]; report != nil && report.AttemptRef == ref {
		c.mustBeDecided(report, "it was receipted")
	}
}

// mustBeDecided fails unless the journal reflects a result: its task is decided, or it was counted, superseded or
// rejected.
func (c *checker) mustBeDecided(r *bus.Report, why string) {
	t := c.tasks[r.Task]
	own := c.reports[r.Claim]
	produced := own != nil && own.AttemptRef == r.AttemptRef
	switch {
	case r.Run != simRun, t == nil && !produced, r.Claim == 0:
		return // rejected
	case t == nil:
	case t.Outcome != nil, r.Attempt == 0, r.Attempt > t.Attempt:
		return
	case r.Failure == nil && !r.Preempted && !c.rubbish[r.Claim] && c.garbled[r.Claim] < faultsMax:
		if t.Cancelled && !(t.State == spec.StateRunning && t.Lease.Attempt == r.Attempt && t.Lease.Claim == r.Claim) {
			return
		}
	case !lastHeld(t, r.AttemptRef):
		return
	}
	c.fail("the result %s (failure %v) is not in the journal, and %s", refName(r.AttemptRef), r.Failure != nil, why)
}

// lastHeld reports whether a failure of this attempt would still count.
func lastHeld(t *spec.Task, ref spec.AttemptRef) bool {
	if t.State == spec.StateRunning {
		return t.Lease.Attempt == ref.Attempt && t.Lease.Claim == ref.Claim
	}
	return t.Lease != nil && ref.Attempt > t.Closed && t.Lease.Attempt == ref.Attempt &&
		(t.Lease.Claim == 0 || t.Lease.Claim == ref.Claim)
}

// began and produced are told by workers.
func (c *checker) began(ref spec.AttemptRef) {
	c.held[ref.Claim] = ref
	if t := c.tasks[ref.Task]; t == nil || ref.Attempt > t.Attempt {
		c.fail("%s runs and was never journaled as dispatched", refName(ref))
	}
}

func (c *checker) produced(_ spec.WorkerID, r *bus.Report) { c.reports[r.Claim] = r }

// published holds that nothing is dispatched before it is journaled.
func (c *checker) published(d *bus.Dispatch) {
	if t := c.tasks[d.Task.ID]; t == nil || t.Attempt < d.Attempt {
		c.fail("attempt %d of %q is published before it is journaled", d.Attempt, d.Task.ID)
	}
}

// hooked holds that a hook sees only what is journaled, in that order, and remembers the run.
func (c *checker) hooked(n *simNode, id spec.TaskID, r spec.TaskResult) *hookRun {
	switch t := c.tasks[id]; {
	case t == nil || t.Outcome == nil || t.Outcome.Attempt != r.Attempt:
		c.fail("the hook of %q sees a result that is not in the journal", id)
	case t.Outcome.Order <= n.hooked:
		c.fail("the hook of %q, outcome %d, comes after that of outcome %d", id, t.Outcome.Order, n.hooked)
	default:
		n.hooked = t.Outcome.Order
	}
	run := &hookRun{}
	c.hooks[id] = append(c.hooks[id], run)
	return run
}

// returned notes what a hook returned: only children that are sound, and new.
func (c *checker) returned(run *hookRun, parent spec.TaskID, children []spec.TaskSpec) {
	run.ended = true
	seen := make(map[spec.TaskID]bool)
	for _, child := range children {
		if child.ID == "" || child.ID == parent || c.tasks[child.ID] != nil || seen[child.ID] {
			continue
		}
		seen[child.ID] = true
		run.children = append(run.children, child)
	}
}

// accepted holds that a caller is told only of what is durable.
func (c *checker) accepted(id spec.TaskID) {
	if c.tasks[id] == nil {
		c.fail("the caller was told that %q is accepted, and the journal does not have it", id)
	}
}

// cancelled does the same for a cancellation that reached its task.
func (c *checker) cancelled(id spec.TaskID) {
	if t := c.tasks[id]; t == nil || !t.Cancelled && t.Outcome == nil {
		c.fail("the caller was told that %q is cancelled, and the journal does not say so", id)
	}
}

// mirrorEntry holds that the mirror says what the journal said, and never of an older epoch.
func (c *checker) mirrorEntry(key string, data []byte) {
	switch key {
	case kv.KeyMeta:
		c.mirrorMeta(data)
		return
	case kv.KeyBase:
		return // verify reads it
	}
	v, err := bus.DecodeMirrorValue(data)
	if err != nil {
		c.fail("mirror: %v", err)
		return
	}
	id := v.Task.Spec.ID
	want := c.version(id, v.JournalSeq)
	switch {
	case want == nil || v.JournalSeq > c.seq:
		c.fail("the mirror has task %q as of record %d, the journal has not", id, v.JournalSeq)
	case difference(want.task, v.Task) != "":
		c.fail("mirror, task %q as of record %d: %s", id, v.JournalSeq, difference(want.task, v.Task))
	}
	c.mirror.tasks[id] = v
}

// version returns a task as the journal said it at a position.
func (c *checker) version(id spec.TaskID, seq uint64) *folded {
	versions := c.versions[id]
	for i := len(versions) - 1; i >= 0; i-- {
		if versions[i].seq <= seq {
			return &versions[i]
		}
	}
	return nil
}

// mirrorSpoiled is told when somebody removes what the mirror holds.
func (c *checker) mirrorSpoiled() {
	c.mirror = mirrored{tasks: make(map[spec.TaskID]*bus.MirrorValue), holed: true, spoiled: c.w.sched.Now()}
}

func (c *checker) mirrorMeta(data []byte) {
	m, err := bus.DecodeMirrorMeta(data)
	if err != nil {
		c.fail("mirror: %v", err)
		return
	}
	c.w.tracef("mirror: epoch %d up to record %d", m.Epoch, m.JournalSeq)
	// A batch on its way to a bucket that was deleted may land in the next one.
	free := c.mirror.holed || !c.mirror.spoiled.IsZero() && c.w.sched.Now().Sub(c.mirror.spoiled) < onItsWay
	switch {
	case m.JournalSeq <= c.seq && free:
	case m.Epoch < c.mirror.epoch:
		c.fail("the mirror is written by epoch %d after epoch %d", m.Epoch, c.mirror.epoch)
	case m.JournalSeq < c.mirror.seq:
		c.fail("the mirror reaches record %d after record %d", m.JournalSeq, c.mirror.seq)
	case m.JournalSeq > c.seq:
		c.fail("the mirror reaches record %d, the journal ends at %d", m.JournalSeq, c.seq)
	}
	c.mirror.epoch, c.mirror.seq = m.Epoch, m.JournalSeq
	whole := true
	for _, id := range c.order {
		want, have := c.version(id, m.JournalSeq), c.mirror.tasks[id]
		if want != nil && (have == nil || have.JournalSeq < want.seq) {
			whole = false
			if !free {
				c.fail("the mirror reaches record %d without task %q as of record %d", m.JournalSeq, id, want.seq)
			}
		}
	}
	c.mirror.holed = !whole
}

// watch is a follower of one term: at each commit, engine and ledger must say what the journal says.
type watch struct {
	node *simNode
	c    *checker
	t    *term
}

func (f watch) follow(c *committed) {
	f.node.busy = false
	check := f.c
	if check.seq != c.position.seq {
		return // another leader's record stands behind ours already
	}
	if n := f.t.ledger.size(); n != len(check.tasks) {
		check.fail("record %d: the ledger has %d tasks, the journal %d", check.seq, n, len(check.tasks))
	}
	ledger := f.ledger()
	live := 0
	var spent spec.Spent
	for _, id := range check.order {
		want := check.tasks[id]
		spent = spent.Plus(want.Spent)
		if want.State == spec.StateRunning {
			spent = spent.Plus(want.Lease.Spent(c.position.time))
		}
		if have := ledger[id]; have == nil || difference(want, have) != "" {
			check.fail("record %d, ledger, task %q: %s", check.seq, id, difference(want, have))
		}
		have, alive := f.t.leader.engine.Task(id)
		switch {
		case alive == want.State.Terminal() || !f.t.leader.engine.Known(id):
			check.fail("record %d: task %q is %s in the journal, live %v in the engine", check.seq, id, want.State, alive)
		case alive:
			live++
			if d := difference(want, have); d != "" {
				check.fail("record %d, engine, task %q: %s", check.seq, id, d)
			}
		}
	}
	if n := f.t.leader.engine.Counts().Live(); n != live {
		check.fail("record %d: the engine counts %d live tasks, the journal has %d", check.seq, n, live)
	}
	check.spent(spent, c.spending.By(c.position.time), spec.Cost(c.counts.Running))
}

// ledger reads the ledger, task by task.
func (f watch) ledger() map[spec.TaskID]*spec.Task {
	p, tasks := f.t.ledger.look(), make(map[spec.TaskID]*spec.Task)
	for t := range p.all() {
		tasks[t.Spec.ID] = t
	}
	for _, t := range p.tasks {
		if t == nil {
			f.c.seen["packed"]++
		}
	}
	return tasks
}

// spent holds that what a run has spent is what its tasks have, but for a millionth a lease.
func (c *checker) spent(journal, engine spec.Spent, leases spec.Cost) {
	if engine.Reported != journal.Reported || engine.LeaseTime != journal.LeaseTime || engine.GPUTime != journal.GPUTime || engine.Cost < journal.Cost || engine.Cost > journal.Cost+leases {
		c.fail("record %d: the engine has spent %+v, the journal %+v", c.seq, engine, journal)
	}
}

// difference says how two records of a task differ in what decides; "" when they do not.
func difference(a, b *spec.Task) string {
	if b == nil {
		return "it is missing"
	}
	if a == b || sameTask(a, b) {
		return ""
	}
	return taskText(a) + " is not " + taskText(b)
}

func sameTask(a, b *spec.Task) bool {
	return a.State == b.State && a.Priority == b.Priority && a.Seq == b.Seq && a.Parent == b.Parent &&
		a.Attempt == b.Attempt && a.Failures == b.Failures && a.Lost == b.Lost && a.Preempted == b.Preempted &&
		a.Closed == b.Closed && a.Cancelled == b.Cancelled && a.Interrupted == b.Interrupted &&
		a.Spent == b.Spent && sameLease(a.Lease, b.Lease) && sameOutcome(a.Outcome, b.Outcome) && slices.Equal(a.Children, b.Children)
}

func sameLease(a, b *spec.Lease) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, y := *a, *b
	x.Until, y.Until = 0, 0 // extended by heartbeats, which are not journaled
	return x == y
}

func sameOutcome(a, b *spec.Outcome) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Order == b.Order && a.Attempt == b.Attempt && a.Claim == b.Claim && (a.Failure == nil) == (b.Failure == nil) &&
		a.Stored == b.Stored && (!a.Stored.IsZero() || bytes.Equal(a.Body, b.Body))
}

func taskText(t *spec.Task) string {
	s := fmt.Sprintf("%s p%v seq%d a%d f%d l%d p%d closed%d below %q", t.State, t.Priority, t.Seq, t.Attempt, t.Failures, t.Lost,
		t.Preempted, t.Closed, t.Parent)
	if !t.Spent.IsZero() {
		s += fmt.Sprintf(" spent%+v", t.Spent)
	}
	if t.Cancelled {
		s += " cancelled"
	}
	if t.Interrupted {
		s += " interrupted"
	}
	if l := t.Lease; l != nil {
		s += fmt.Sprintf(" lease{%d #%d %s/%d %s}", l.Attempt, l.Claim, l.Worker, l.Boot, l.Class)
	}
	if o := t.Outcome; o != nil {
		s += fmt.Sprintf(" outcome{%d a%d #%d failed %v %dB}", o.Order, o.Attempt, o.Claim, o.Failure != nil, len(o.Body))
	}
	if len(t.Children) > 0 {
		s += fmt.Sprintf(" children%q", t.Children)
	}
	return s
}

func recordText(r *bus.Record) string {
	s := fmt.Sprintf("epoch %d commit %d part %d/%d at %v mark %d", r.Epoch, r.Commit, r.Part, r.Parts, r.Time, r.Watermark)
	if r.Meta != nil {
		s += fmt.Sprintf(" meta{%s loaded %v}", r.Meta.Status, r.Meta.Loaded)
	}
	for _, c := range r.Changes {
		s += "\n      " + fmt.Sprintf("%q ", c.Task.Spec.ID) + taskText(c.Task)
	}
	return s
}
