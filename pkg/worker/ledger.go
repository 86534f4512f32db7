package worker

import (
	"container/list"
	"slices"
	"strings"
	"sync"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

const (
	// finishedMax is how many unreceipted results one heartbeat lists: the oldest.
	finishedMax = 1000
	// headlinesMax bounds the progress and metrics of one heartbeat, in bytes; attempts beyond it are listed without.
	headlinesMax = 256 << 10
)

// attemptKey names an attempt whoever claimed it.
type attemptKey struct {
	run     spec.RunName
	task    spec.TaskID
	attempt uint32
}

func keyOf(ref bus.AttemptRef) attemptKey { return attemptKey{ref.Run, ref.Task, ref.Attempt} }

// sameClaim reports whether what somebody says of an attempt is said of our claim. A zero claim is any.
func sameClaim(ours, theirs spec.ClaimID) bool { return theirs == 0 || ours == theirs }

// pool is the slots of one class. The ledger's lock guards it.
type pool struct {
	class string
	size  int
	busy  int
	// base has the slots that this pool uses, and then this one's own are 0; sharers are those that use this one's.
	base    *pool
	sharers []*pool
	giveUp  func(error) // ends the request for tasks under way; nil when there is none
	// units are the GPUs of the slots, nil where they have none. out counts those that are being checked or quarantined.
	units []*unit
	out   int
	// told is how many free slots the last heartbeat named.
	told int
	// deaf says that the class cannot pull: it offers no slot.
	deaf bool
	// freed has a token after slots became free.
	freed chan struct{}
	// unserved says that no coordinator has made the class's queue.
	unserved bool
	// wanting says that there are free slots to pull for, heard is when a pull last worked or wanting began; for health.
	wanting bool
	heard   time.Time
}

// result is an outcome on its way to the leader, kept until the leader's receipt.
type result struct {
	ref  bus.AttemptRef
	size int // encoded, in bytes
	took time.Duration
	// ending is how the attempt ended, for the attempt log.
	ending string
	// late hands it on should the disk take too long.
	late *time.Timer
	// queued says that it is in its outbox; the lock of outboxes guards it.
	queued bool

	// The ledger's lock guards the rest.

	// committed is set when it was handed on.
	committed bool

	// attempt is nil once the result was published for the first time, and for one that an earlier process left.
	attempt *attempt
	// report and encoded are the result itself and its form for the spool. Both may be nil once it is there.
	report  *bus.Report
	encoded []byte
	// large names the body of a result that is too large for a message, which has a file of its own. body may be nil once the
	// spool names it too.
	large spec.Blob
	body  []byte
	// seq is its number in the spool, 0 while it is not there.
	seq     uint64
	element *list.Element // its place in ledger.order, nil when it is not there
	gone    bool          // receipted, or lost by the disk
}

// syncFirst reports whether the result must be synced before it is published.
func (r *result) syncFirst() bool { return r.took >= syncFirstMin }

// unload is the ledger's unload, with its lock held.
func (r *result) unload() {
	if r.seq != 0 {
		r.report, r.body = nil, nil
	}
}

// ledger is what the worker holds: slots, running attempts, results without receipt. An attempt is listed under running
// until its result was published for the first time, and from then on under finished until the receipt, so that at no
// moment a heartbeat lists it nowhere. All methods may be called concurrently and none blocks.
type ledger struct {
	mu       sync.Mutex
	pools    []*pool // in order of class, and then shared
	shared   []*pool // those that use others' slots
	running  map[attemptKey]*attempt
	fresh    []*attempt // started and not yet announced, oldest first
	finished map[attemptKey]*result
	order    list.List // of *result: finished, oldest first
	epochs   map[spec.RunName]uint64
	leaving  bool
	most     int           // attempts a class may run at once; -1: as many as it has slots
	active   int           // attempts without an outcome
	unlooked chan struct{} // has a token after GPUs were given back; nil where slots have none
	idle     chan struct{} // has a token after active became 0
}

func newLedger(slots map[string]int, now time.Time) *ledger {
	l := &ledger{
		running: map[attemptKey]*attempt{}, finished: map[attemptKey]*result{}, epochs: map[spec.RunName]uint64{},
		idle: make(chan struct{}, 1), most: -1,
	}
	for class, size := range slots {
		l.pools = append(l.pools, &pool{class: class, size: size, freed: make(chan struct{}, 1), heard: now})
	}
	slices.SortFunc(l.pools, func(a, b *pool) int { return strings.Compare(a.class, b.class) })
	return l
}

// free returns the number of free slots of a pool. Only the pool's own pull loop takes slots, so there it is a
// reservation: the number can only grow until that loop starts something.
func (l *ledger) free(p *pool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return p.size - p.busy
}

// offered returns how many of a pool's free slots may be filled now.
func (l *ledger) offered(p *pool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.room(p)
}

// freeUntold reports whether more of a pool's slots are free than the last heartbeat said.
func (l *ledger) freeUntold(p *pool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !p.deaf && !l.leaving && l.room(p) > p.told
}

// room is offered, under the lock.
func (l *ledger) room(p *pool) int {
	p = p.root()
	room := p.size - p.busy - p.out
	if l.most >= 0 {
		room = min(room, l.most-p.busy)
	}
	return max(0, room)
}

// bound changes how many attempts a class may run at once; -1 is no bound.
func (l *ledger) bound(most int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = most
	for _, p := range l.pools {
		p.wake()
	}
}

// hold takes a slot for the attempt and lists it as running. It reports false, and does nothing, when this worker runs the
// attempt already or has its result.
func (l *ledger) hold(a *attempt) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := keyOf(a.ref)
	if l.running[key] != nil || l.finished[key] != nil {
		return false
	}
	l.running[key] = a
	l.fresh = append(l.fresh, a)
	a.surplus = a.pool.busy+a.pool.out >= a.pool.size
	a.pool.busy++
	a.unit = a.pool.take(a.started)
	l.active++
	return true
}

// ended notes that a held attempt has an outcome.
func (l *ledger) ended() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active--; l.active == 0 {
		notify(l.idle)
	}
}

// isIdle reports whether every held attempt has an outcome.
func (l *ledger) isIdle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active == 0
}

// letGo ends one of the reasons why the attempt's slot is taken, and frees the slot with the last.
func (l *ledger) letGo(a *attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.release(a)
}

// release is letGo with the lock held.
func (l *ledger) release(a *attempt) {
	if a.slotHolds--; a.slotHolds > 0 {
		return
	}
	a.pool.busy--
	if a.unit != nil {
		a.pool.move(a.unit, spec.GPUChecking, "an attempt on it has just ended", time.Now())
		notify(l.unlooked)
	}
	a.pool.wake()
}

// notify leaves a token in ch unless there is one.
func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// isSettled reports whether no attempt runs and every result's publish was tried.
func (l *ledger) isSettled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.running) == 0
}

// unreceiptedCount returns the number of results without a receipt whose publish was tried.
func (l *ledger) unreceiptedCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.finished)
}

// slots returns a copy of all pools.
func (l *ledger) slots() []pool {
	l.mu.Lock()
	defer l.mu.Unlock()
	pools := make([]pool, len(l.pools))
	for i, p := range l.pools {
		pools[i] = *p
	}
	return pools
}

// drop forgets a running attempt whose result nobody wants.
func (l *ledger) drop(a *attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unlist(a)
}

// unlist takes an attempt out of running.
func (l *ledger) unlist(a *attempt) { delete(l.running, keyOf(a.ref)) }

// tried moves results to finished: their publish was tried. What is on disk need not stay in memory.
func (l *ledger) tried(results []*result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range results {
		r.unload()
		if r.gone || r.element != nil {
			continue
		}
		l.finish(r)
		if r.attempt != nil {
			l.unlist(r.attempt)
			r.attempt = nil
		}
	}
}

func (l *ledger) finish(r *result) {
	l.finished[keyOf(r.ref)] = r
	r.element = l.order.PushBack(r)
}

// recovered lists results of an earlier process as finished.
func (l *ledger) recovered(results []*result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range results {
		l.finish(r)
	}
}

// committed notes that these outcomes are as safe as they will be before they are sent: their slots are free unless a
// runner has not returned. It returns those of which this was not noted before.
func (l *ledger) committed(results []*result) (fresh []*result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range results {
		if r.committed {
			continue
		}
		r.committed = true
		r.attempt.result = r
		l.release(r.attempt)
		fresh = append(fresh, r)
	}
	return fresh
}

// spooled notes the numbers under which results are on disk. It returns the numbers of those that were receipted while
// they were being written.
func (l *ledger) spooled(results []*result, seqs []uint64) (receipted []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, r := range results {
		r.seq, r.encoded = seqs[i], nil
		if r.element != nil {
			r.unload() // it was sent before it was on disk
		}
		if r.gone {
			receipted = append(receipted, r.seq)
		}
	}
	return receipted
}

// unreceipted returns those of the results that are still to be kept, and their encoded forms.
func (l *ledger) unreceipted(results []*result) (kept []*result, encoded [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept, encoded = make([]*result, 0, len(results)), make([][]byte, 0, len(results))
	for _, r := range results {
		if !r.gone {
			kept, encoded = append(kept, r), append(encoded, r.encoded)
		}
	}
	return kept, encoded
}

// unload drops a result from memory if the disk has it.
func (l *ledger) unload(r *result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.unload()
}

// held returns what memory has of a result, or the number it has in the spool; gone says that it is not wanted any more.
func (l *ledger) held(r *result) (report *bus.Report, seq uint64, gone bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return r.report, r.seq, r.gone
}

// inMemory returns a large result's bytes; nil when only its file has them, or nobody wants them any more.
func (l *ledger) inMemory(r *result) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return r.body
}

// receipted forgets the results that refs name and returns what there is to do on the disk for them. more says that the last
// heartbeat could not list all that are left.
func (l *ledger) receipted(refs []bus.AttemptRef) (work diskWork, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	long := len(l.finished) > finishedMax
	for _, ref := range refs {
		r := l.resultOf(ref)
		if r == nil {
			continue
		}
		l.forget(r)
		work.receipted = append(work.receipted, r)
		if r.seq != 0 {
			work.dropped = append(work.dropped, r.seq)
		}
		if !r.large.IsZero() {
			work.large = append(work.large, r.large)
		}
	}
	return work, long && len(l.finished) > 0
}

// resultOf returns the result that ref names, nil when there is none.
func (l *ledger) resultOf(ref bus.AttemptRef) *result {
	key := keyOf(ref)
	r := l.finished[key]
	if r == nil {
		if a := l.running[key]; a != nil {
			r = a.result
		}
	}
	if r == nil || !sameClaim(r.ref.Claim, ref.Claim) {
		return nil
	}
	return r
}

func (l *ledger) forget(r *result) {
	r.gone, r.report, r.encoded, r.body = true, nil, nil, nil
	if r.element != nil {
		l.order.Remove(r.element)
		delete(l.finished, keyOf(r.ref))
	}
	if r.attempt != nil {
		l.unlist(r.attempt)
	}
}

// lost forgets a result whose bytes the disk does not give back: its task will run again when the lease lapses.
func (l *ledger) lost(r *result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !r.gone {
		l.forget(r)
	}
}

// wanted returns the finished results that refs name.
func (l *ledger) wanted(refs []bus.AttemptRef) (results []*result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ref := range refs {
		if r := l.resultOf(ref); r != nil {
			results = append(results, r)
		}
	}
	return results
}

// runs returns the running attempt that ref names, nil when there is none or it has ended.
func (l *ledger) runs(ref bus.AttemptRef) *attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.running[keyOf(ref)]
	if a == nil || !sameClaim(a.ref.Claim, ref.Claim) || a.decided.Load() {
		return nil
	}
	return a
}

// all returns every attempt that has not ended.
func (l *ledger) all() (attempts []*attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.running {
		if !a.decided.Load() {
			attempts = append(attempts, a)
		}
	}
	return attempts
}

// everyRunning returns every attempt that is listed as running, those that have ended too.
func (l *ledger) everyRunning() (attempts []*attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.running {
		attempts = append(attempts, a)
	}
	return attempts
}

// current reports whether an answer of this epoch counts, and remembers it.
func (l *ledger) current(run spec.RunName, epoch uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch < l.epochs[run] {
		return false
	}
	l.epochs[run] = epoch
	return true
}

// leave makes the worker offer nothing more.
func (l *ledger) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaving = true
}

// setDeaf notes whether the pool's pulls work, and reports whether that is news.
func (l *ledger) setDeaf(p *pool, deaf bool, now time.Time) (changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed = p.deaf != deaf
	p.deaf = deaf
	if !deaf {
		p.heard = now
	}
	return changed
}

// setUnserved notes whether the pool's queue is missing, and reports whether that is news.
func (l *ledger) setUnserved(p *pool, unserved bool) (changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed = p.unserved != unserved
	p.unserved = unserved
	return changed
}

// setWanting notes whether the pool has free slots to pull for.
func (l *ledger) setWanting(p *pool, wanting bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if wanting && !p.wanting {
		p.heard = now
	}
	p.wanting = wanting
}

// heartbeat returns a full Uplink without the worker's name, and the shortest lease of what runs (0: none).
func (l *ledger) heartbeat() (u *bus.Uplink, lease time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u = &bus.Uplink{Full: true, Leaving: l.leaving, Running: make([]bus.Holding, 0, len(l.running))}
	for _, p := range l.pools {
		free := l.room(p)
		if p.deaf || l.leaving {
			free = 0
		}
		p.told = free
		u.Slots = append(u.Slots, bus.ClassSlots{Class: p.class, Total: p.root().size, Free: free})
	}
	room := headlinesMax
	for _, a := range l.running {
		holding := bus.Holding{AttemptRef: a.ref, Started: a.started, GPUs: a.gpus()}
		if room > 0 {
			var size int
			holding.Progress, holding.Metrics, size = a.news.headline()
			room -= size
		}
		u.Running = append(u.Running, holding)
		if ttl := a.dispatch.LeaseTTL; ttl > 0 && (lease == 0 || ttl < lease) {
			lease = ttl
		}
	}
	for e := l.order.Front(); e != nil && len(u.Finished) < finishedMax; e = e.Next() {
		u.Finished = append(u.Finished, e.Value.(*result).ref)
	}
	clear(l.fresh)
	l.fresh = l.fresh[:0] // they are all in Running, or over
	return u, lease
}

// startNotice returns an Uplink that lists what started since the last one and still runs, nil when nothing did.
func (l *ledger) startNotice() *bus.Uplink {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := &bus.Uplink{}
	for _, a := range l.fresh {
		if !a.decided.Load() {
			u.Running = append(u.Running, bus.Holding{AttemptRef: a.ref, Started: a.started, GPUs: a.gpus()})
		}
	}
	clear(l.fresh)
	l.fresh = l.fresh[:0]
	if len(u.Running) == 0 {
		return nil
	}
	return u
}
