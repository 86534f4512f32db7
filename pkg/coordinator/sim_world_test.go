package coordinator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"autoresearch/internal/model"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/verify"
)

const simRun spec.RunName = "sim"

// simPlan is how often what goes wrong: probabilities at each chance, and the mean time between events.
type simPlan struct {
	lost, late, refused, unheard, slow, twice float64 // messages
	crash, pause, workerCrash                 float64 // processes, at a call or a step of an attempt
	garbled, rubbish                          float64 // results cut short on the way; results that nobody can read
	hook                                      float64 // hooks that fail, panic, hang or answer rubbish
	between                                   time.Duration
}

// simulation is one history: a modelled server, coordinators that run the product's code, modelled workers, callers, and
// chance.
type simulation struct {
	seed   uint64
	sched  *model.Scheduler
	server *model.Server
	check  *checker
	plan   simPlan
	trace  []string
	traced bool

	nodes   []*simNode
	workers []*simWorker

	budget     int
	leaseTTL   time.Duration
	workerTTL  time.Duration
	beat       time.Duration
	recordTo   int   // small: then a commit is often a series
	payloadMax int   // of the server
	purgeAbove int64 // bytes of the journal; 0: it is never purged
	tasksMax   int
	specs      int // drawn so far: ids are never drawn twice
	claims     uint64
	calm       bool
	quietSince time.Time
	downSince  time.Time
	outage     time.Duration // of the server, in all
	absence    *simAbsence
	done       bool
}

func newSimulation(seed uint64, traced bool) *simulation {
	w := &simulation{seed: seed, sched: model.NewScheduler(seed), traced: traced}
	w.check = newChecker(w)
	w.server = model.NewServer(w.sched.Now)
	w.server.OnStore = w.check.stored
	w.server.OnPurge = w.check.purged
	w.server.OnRing = w.rang
	w.draw()
	return w
}

// draw decides what kind of history this is.
func (w *simulation) draw() {
	w.budget = 1 + w.number(5)
	w.leaseTTL = w.oneOf(4*time.Second, 8*time.Second, 20*time.Second)
	w.workerTTL = w.oneOf(3*time.Second, 7*time.Second)
	w.beat = w.oneOf(time.Second, 2*time.Second)
	w.recordTo = []int{800, 900, 64 << 10, 64 << 10}[w.number(4)]
	w.payloadMax = bus.MaxPayloadDefault
	if w.number(2) == 0 {
		w.payloadMax = simPayloadSmall
		w.recordTo += 100 // the names of a task's blobs
	}
	w.tasksMax = 6 + w.number(20)
	w.purgeAbove = []int64{0, 0, 1, 4 << 10}[w.number(4)]
	w.plan = simPlan{
		lost: w.rate(.05), late: w.rate(.05), refused: w.rate(.05), unheard: w.rate(.05), slow: w.rate(.03), twice: w.rate(.1),
		crash: w.rate(.01), pause: w.rate(.004), workerCrash: w.rate(.04), hook: w.rate(.2), garbled: w.rate(.2), rubbish: w.rate(.1),
		between: w.oneOf(500*time.Millisecond, 2*time.Second, 6*time.Second),
	}
	w.absence = w.drawAbsence()
	w.tracef("seed %d: %+v", w.seed, w.plan)
}

// smallRecords reports whether a record holds little more than a task that failed, with its evidence.
func (w *simulation) smallRecords() bool { return w.recordTo < 1<<10 }

// rate is often zero, so that one kind of fault is met alone too.
func (w *simulation) rate(most float64) float64 {
	if w.number(2) == 0 {
		return 0
	}
	return most * w.sched.Rand.Float64()
}

func (w *simulation) number(n int) int { return w.sched.Rand.IntN(n) }

func (w *simulation) oneOf(choices ...time.Duration) time.Duration {
	return choices[w.number(len(choices))]
}

func (w *simulation) chance(p float64) bool { return p > 0 && w.sched.Rand.Float64() < p }

func (w *simulation) upTo(d time.Duration) time.Duration {
	return time.Duration(w.sched.Rand.Int64N(int64(d) + 1))
}

func (w *simulation) newClaim() spec.ClaimID {
	w.claims++
	return spec.ClaimID(w.claims)
}

func (w *simulation) tracef(format string, args ...any) {
	if w.traced {
		at := w.sched.Now().Sub(time.Unix(1_700_000_000, 0))
		w.trace = append(w.trace, fmt.Sprintf("%9.4f  ", at.Seconds())+fmt.Sprintf(format, args...))
	}
}

// Write takes the log of the coordinators.
func (w *simulation) Write(line []byte) (int, error) {
	w.tracef("  log %s", strings.TrimSpace(string(line)))
	return len(line), nil
}

func (w *simulation) logger(name string) *slog.Logger {
	if !w.traced {
		return slog.New(slog.DiscardHandler)
	}
	quiet := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "run" {
			return slog.Attr{}
		}
		return a
	}
	return slog.New(slog.NewTextHandler(io.Writer(w), &slog.HandlerOptions{ReplaceAttr: quiet})).With("node", name)
}

// simNode is one place at which a coordinator process runs, and runs again after it died.
type simNode struct {
	w             *simulation
	name          string
	p             *model.Proc
	c             *Coordinator
	stop          context.CancelFunc
	subscriptions []func()
	goOn          func() // ends a pause
	watched       *term
	cut           bool
	stood         time.Duration // for how long processes were paused here
	hooked        uint64        // the outcome whose hook the term called last
	busy          bool          // a commit is under way: the engine is ahead of the journal
}

// simPurgeAfter is how old a record is at least when it is purged: long enough that whoever was paused meets it.
const simPurgeAfter = time.Second

// simPacking is the time between rounds of the packer: short, so that in most histories readers meet packed tasks.
const simPacking = 300 * time.Millisecond

func (n *simNode) start() {
	n.busy = false
	n.w.tracef("%s starts", n.name)
	n.p = n.w.sched.Start(n.name, n.run)
}

// run is the life of one process: the product's Run on modelled ports.
func (n *simNode) run(p *model.Proc) {
	w := n.w
	link := &simLink{w: w, node: n, p: p}
	client := model.NewClient(w.server, link, p)
	c := newCoordinator(Options{
		Run: simRun, Workflow: &simWorkflow{w: w, node: n, p: p}, MaxConcurrency: w.budget, Seed: 1 + w.seed, Logger: w.logger(n.name),
		LeaderTTL: 3 * time.Second, LeaseTTL: w.leaseTTL, WorkerTTL: w.workerTTL, HookTimeout: 3 * time.Second, MaxLost: 2,
		PurgeJournalAbove: w.purgeAbove, PurgeJournalAfter: simPurgeAfter,
	}, p)
	c.packing = simPacking
	c.use(ports{
		journal: client.Journal(simRun, bus.StreamOptions{}), results: client.Results(simRun, bus.StreamOptions{}),
		doorbell: witnessedDoorbell{client.Doorbell(bus.StreamOptions{}, c.notRung), n}, uplinks: witnessedUplinks{client.Uplinks(), n},
		mirror: client.Mirror(simRun), lease: client.Lease(kv.LeaseOptions{TTL: c.o.LeaderTTL}),
		connected: func() bool { return !w.server.IsDown() && !n.cut }, payloadMax: func() int { return w.payloadMax },
		objects: client.Objects(simRun, bus.StreamOptions{}), rejects: client.Rejects(simRun),
		output: client.Objects(simRun+".output", bus.StreamOptions{}),
	})
	ctx, cancel := context.WithCancel(context.Background())
	n.c, n.stop = c, cancel
	_, err := c.Run(ctx)
	w.tracef("%s ends: %v", n.name, err)
	p.Kill() // with whatever hook it left behind
	n.again()
}

// again starts the next process here, as a supervisor does.
func (n *simNode) again() {
	n.leave()
	n.w.sched.After(n.w.upTo(4*time.Second), n.start)
}

// leave ends what the server keeps for the process.
func (n *simNode) leave() {
	for _, end := range n.subscriptions {
		end()
	}
	n.subscriptions, n.c, n.watched = nil, nil, nil
}

func (n *simNode) crash() {
	if n.p.Alive() {
		n.p.Kill()
		n.again()
	}
}

func (n *simNode) pause() {
	if n.p.Paused() || !n.p.Alive() {
		return
	}
	d := n.w.upTo(10 * time.Second)
	n.w.tracef("%s is paused for %v", n.name, d)
	p, since := n.p, n.w.sched.Now()
	p.Pause()
	n.goOn = func() {
		if n.p == p && p.Paused() {
			n.w.tracef("%s goes on", n.name)
			n.stood += n.w.sched.Now().Sub(since)
			p.Resume()
		}
	}
	n.w.sched.After(d, n.goOn)
}

// leads returns the term that the process leads; nil when it does not.
func (n *simNode) leads() *term {
	if n.c == nil {
		return nil
	}
	return n.c.current
}

// look adds the checker to the followers of a new term, and finds alarms.
func (n *simNode) look() {
	if n.c != nil && n.c.role == RoleAlarmed {
		n.w.check.fail("%s raises an alarm: %s", n.name, n.c.trouble)
	}
	if t := n.leads(); t != nil && t != n.watched {
		n.watched, n.busy, n.hooked = t, false, 0
		t.leader.recordTo = n.w.recordTo
		t.leader.followers = append(t.leader.followers, watch{node: n, c: n.w.check, t: t})
	}
}

// deafLeader reports whether pings go to a process that stands still.
func (w *simulation) deafLeader() bool {
	deaf := false
	for _, n := range w.nodes {
		if n.c == nil || n.c.role == RoleStandby {
			continue
		}
		if !n.p.Paused() && !n.cut {
			return false
		}
		deaf = true
	}
	return deaf
}

func (w *simulation) worker(id spec.WorkerID) *simWorker {
	for _, k := range w.workers {
		if k.id == id {
			return k
		}
	}
	return nil
}

// rang lets workers pull when the doorbell rings.
func (w *simulation) rang(class string) {
	for _, k := range w.workers {
		if k.up && k.slots(class) > 0 {
			k.after(w.latency(), func() { k.pull(class) })
		}
	}
}

// build puts up coordinators and workers.
func (w *simulation) build() {
	for i := range 1 + w.number(2) {
		n := &simNode{w: w, name: fmt.Sprintf("C%d", i+1)}
		w.nodes = append(w.nodes, n)
		n.start()
	}
	for i := range 1 + w.number(3) {
		k := &simWorker{w: w, id: spec.WorkerID(fmt.Sprintf("W%d", i+1))}
		k.classes = []spec.ClassSlots{{Class: spec.ClassDefault, Total: 1 + w.number(3)}}
		if i == 0 {
			k.classes = append(k.classes, spec.ClassSlots{Class: "gpu", Total: 1 + w.number(2)})
		}
		k.batches = w.chance(.7)
		w.server.ListenControl(k.id, k.hear)
		w.workers = append(w.workers, k)
		k.start()
	}
}

// How long a history goes on in virtual time: chaos, then healing, then at most so long until all is done.
const (
	chaosMax = 40 * time.Second
	healMax  = 10 * time.Minute
)

// play lets the history happen. It returns the first promise that was broken.
func (w *simulation) play(stepsMax int) error {
	w.build()
	w.sched.After(0, w.chaos)
	w.sched.After(w.upTo(chaosMax), w.heal)
	for w.check.err == nil && !w.done && w.sched.Steps < stepsMax && w.sched.Step() {
		for _, n := range w.nodes {
			n.look()
		}
	}
	err := w.check.err
	w.bury()
	return err
}

// bury ends every process, so that no goroutine is left.
func (w *simulation) bury() {
	for _, n := range w.nodes {
		if n.p != nil {
			n.p.Kill()
		}
	}
	w.sched.Bury()
}

// chaos lets one thing happen, and plans the next.
func (w *simulation) chaos() {
	if w.calm {
		return
	}
	w.disturb()
	w.sched.After(w.upTo(2*w.plan.between), w.chaos)
}

func (w *simulation) disturb() {
	n, k := w.nodes[w.number(len(w.nodes))], w.workers[w.number(len(w.workers))]
	switch w.number(25) {
	case 0:
		n.crashNow()
	case 1:
		if n.p.Alive() {
			n.pause()
		}
	case 2:
		w.cut(&n.cut, n.name)
	case 3, 4:
		k.crash()
	case 5:
		k.pause()
	case 6:
		w.cut(&k.cut, string(k.id))
	case 7:
		k.drain()
	case 8:
		w.restartServer()
	case 9:
		w.tracef("the results stream is deleted")
		w.server.Delete(bus.ResultsStream(simRun))
	case 10:
		w.tracef("the doorbell is deleted")
		w.server.Delete(bus.StreamTasks)
	case 11:
		w.rubbish(k)
	case 12:
		n.interrupt()
	case 17:
		class := []string{spec.ClassDefault, "gpu"}[w.number(2)]
		w.tracef("the consumer of %s stalls", class)
		w.server.Stall(class)
	case 15:
		w.tracef("the leases are deleted")
		w.server.Delete("KV_" + bus.BucketLease)
	case 16:
		w.tracef("the leases are emptied")
		w.server.Empty("KV_" + bus.BucketLease)
	case 13, 14:
		w.spoilMirror()
	default:
		w.call()
	}
}

// spoilMirror removes what the mirror holds. Of a journal that is purged it is half of the truth: then it is left alone.
func (w *simulation) spoilMirror() {
	switch {
	case w.purgeAbove > 0:
	case w.number(2) == 0:
		w.tracef("the mirror is deleted")
		w.server.Delete(model.MirrorStream(simRun))
		w.check.mirrorSpoiled()
	default:
		w.tracef("the mirror is emptied")
		w.server.Empty(model.MirrorStream(simRun))
		w.check.mirrorSpoiled()
	}
}

func (n *simNode) crashNow() {
	if n.p.Alive() {
		n.w.tracef("%s is killed", n.name)
		n.crash()
	}
}

// cut separates a process from the server for a while.
func (w *simulation) cut(flag *bool, name string) {
	if *flag {
		return
	}
	*flag = true
	d := w.upTo(2 * w.leaseTTL)
	w.tracef("%s is cut off for %v", name, d)
	w.sched.After(d, func() { *flag = false })
}

func (w *simulation) restartServer() {
	if w.server.IsDown() {
		return
	}
	d := w.upTo(5 * time.Second)
	if w.number(4) == 0 {
		d = w.upTo(30 * time.Second)
	}
	w.tracef("the server is down for %v", d)
	w.server.Down()
	w.downSince = w.sched.Now()
	w.sched.After(d, func() {
		if !w.calm { // else it was brought up, and may be away again
			w.serverUp()
		}
	})
}

func (w *simulation) serverUp() {
	if w.server.IsDown() {
		w.outage += w.sched.Now().Sub(w.downSince)
		w.server.Up()
		w.tracef("the server is up")
	}
}

// stoodStill returns for how long in all the server was down, or the process of a writer stood still: the longer.
func (w *simulation) stoodStill(writer uint64) time.Duration {
	for _, n := range w.nodes {
		if n.c != nil && n.c.writer == writer {
			return max(w.outage, n.stood)
		}
	}
	return w.outage
}

// rubbish is what a broken or hostile worker says.
func (w *simulation) rubbish(k *simWorker) {
	if w.server.IsDown() {
		return
	}
	id := spec.TaskID("nobody")
	if n := len(w.check.order); n > 0 && w.number(3) > 0 {
		id = w.check.order[w.number(n)]
	}
	forged := []spec.AttemptRef{
		{Run: simRun, Task: id, Attempt: 99, Claim: 1 << 40}, {Run: simRun, Task: id, Attempt: 1}, {Run: simRun, Task: "nobody", Attempt: 1, Claim: 5},
		{Run: "another", Task: id, Attempt: 1, Claim: 5}, {Run: simRun, Task: id, Claim: 7},
	}
	m := bus.ResultMessage{Version: 1, Worker: k.id, Boot: k.boot}
	for _, ref := range forged[:1+w.number(len(forged))] {
		m.Reports = append(m.Reports, bus.Report{AttemptRef: ref, Body: []byte("rubbish")})
	}
	data, err := bus.EncodeResultMessage(&m)
	if err != nil {
		panic(err)
	}
	if w.number(4) == 0 {
		data = data[:w.number(len(data))]
	}
	w.tracef("rubbish about %q arrives", id)
	_ = w.server.PublishRaw(simRun, "evil", data) // when there is no stream there is no rubbish
}

// heal ends every fault.
func (w *simulation) heal() {
	w.tracef("from here on all is well")
	w.calm, w.plan, w.quietSince = true, simPlan{}, w.sched.Now()
	w.serverUp()
	w.verify(model.NewClient(w.server, model.Direct{Server: w.server}, nil))
	for _, n := range w.nodes {
		n.cut = false
		if n.p.Paused() {
			n.goOn()
		}
	}
	for _, k := range w.workers {
		k.cut = false
		if k.paused {
			k.resume()
		}
	}
	w.absence.plan()
	w.settle()
}

// settle looks now and then whether all is done, and undoes what callers did that would keep the run from its end.
func (w *simulation) settle() {
	if why := w.unfinished(); why == "" {
		w.done = true
		w.finalCheck()
		return
	} else if w.sched.Now().Sub(w.quietSince) > healMax+w.absence.length {
		w.check.fail("%v after the last fault the run is not over: %s", healMax, why)
		return
	}
	w.resumeRun()
	w.sched.After(500*time.Millisecond, w.settle)
}

// unfinished says what keeps the run from its end; "" when nothing does.
func (w *simulation) unfinished() string {
	if w.absence.pending() {
		return "the server is to be away once more"
	}
	if w.leader() == nil {
		return "nobody leads"
	}
	for _, n := range w.nodes {
		if n.busy && n.leads() == w.leader() {
			return n.name + " has a commit under way"
		}
	}
	for _, id := range w.check.order {
		if task := w.check.tasks[id]; !task.State.Terminal() {
			return fmt.Sprintf("task %q: %s", id, taskText(task))
		}
	}
	for _, k := range w.workers {
		if !k.up || !k.idle() {
			return fmt.Sprintf("worker %s is up %v, %d attempts, %d results", k.id, k.up, len(k.attempts), len(k.spool))
		}
	}
	switch {
	case !w.check.meta.Loaded || w.check.meta.Status != spec.StatusStopped:
		return fmt.Sprintf("the run is %s, loaded %v", w.check.meta.Status, w.check.meta.Loaded)
	case w.check.mirror.holed:
		return "the mirror has lost keys"
	case w.check.mirror.seq != w.check.seq:
		return fmt.Sprintf("the mirror reaches record %d of %d", w.check.mirror.seq, w.check.seq)
	}
	return ""
}

// leader returns the term that leads; nil when none does.
func (w *simulation) leader() *term {
	for _, n := range w.nodes {
		if t := n.leads(); t != nil && n.p.Alive() && t.leader.epoch == w.check.epoch {
			return t
		}
	}
	return nil
}

// resumeRun ends pauses, budgets and interruptions.
func (w *simulation) resumeRun() {
	m := w.check.meta
	for _, n := range w.nodes {
		t := n.leads()
		if t == nil || t.leader.epoch != w.check.epoch || !n.p.Alive() {
			continue
		}
		if m.Status == spec.StatusInterrupted {
			n.stop()
			return
		}
		c := n.c
		n.p.Go(func() {
			if m.Paused {
				_ = c.Pause(context.Background(), "", false) // asked again until it is so
			}
			for _, class := range m.PausedClasses {
				_ = c.Pause(context.Background(), class, false)
			}
		})
	}
}

// finalCheck recovers the run once more and compares: journal, mirror with tail, ledger and engine say the same.
func (w *simulation) finalCheck() {
	rec := recovery{run: simRun, writer: 1}
	client := model.NewClient(w.server, model.Direct{Server: w.server}, nil)
	rec.ports = ports{journal: client.Journal(simRun, bus.StreamOptions{}), mirror: client.Mirror(simRun)}
	rec.commit = committer{journal: rec.ports.journal, run: string(simRun), trouble: func(error) {}}
	last := w.leader().leader.committed()
	last.position.seq = w.check.seq
	watch{node: w.nodes[0], c: w.check, t: w.leader()}.follow(last)
	if err := rec.recover(context.Background()); err != nil {
		w.check.fail("recover at the end: %v", err)
		return
	}
	w.verify(client)
	w.absence.judge()
	for _, f := range []*fold{rec.fold, w.check.fold} {
		if len(f.tasks) != len(w.check.tasks) {
			w.check.fail("a fold has %d tasks, the journal %d", len(f.tasks), len(w.check.tasks))
		}
		for _, id := range w.check.order {
			have := f.tasks[id]
			if have == nil {
				w.check.fail("a fold has lost task %q", id)
			} else if d := difference(w.check.tasks[id], have.task); d != "" {
				w.check.fail("at the end, task %q: %s", id, d)
			}
		}
	}
}

// verify lets the offline checker judge the run as it stands: it must find nothing, whatever is under way.
func (w *simulation) verify(client *model.Client) {
	sources := verify.Sources{
		Run: simRun, Journal: client.Journal(simRun, bus.StreamOptions{}),
		Results: func(_ context.Context, fn func(uint64, []byte) error) (time.Time, error) {
			return w.server.ReadResults(simRun, fn)
		},
	}
	if w.done || w.check.mirror.spoiled.IsZero() { // else somebody may just have emptied it
		sources.Mirror = client.Mirror(simRun)
	}
	r, err := verify.Run(context.Background(), sources)
	if errors.Is(err, verify.ErrNoRun) {
		return // nothing has begun
	}
	if err != nil {
		w.check.fail("verify: %v", err)
		return
	}
	for _, v := range r.Violations {
		w.check.fail("verify says: %v", v)
	}
	for _, doubt := range r.Doubts {
		w.check.seen["doubts"]++
		if strings.Contains(doubt, "engine time") { // no clock is set back here
			w.check.fail("verify doubts: %s", doubt)
		}
	}
}

// call lets somebody ask the leader for something.
func (w *simulation) call() {
	for _, n := range w.nodes {
		if n.leads() != nil && n.p.Alive() && !n.p.Paused() {
			c := n.c
			n.p.Go(func() { w.ask(c) })
			return
		}
	}
}

func (w *simulation) ask(c *Coordinator) {
	ctx := context.Background()
	id := spec.TaskID("nobody")
	if n := len(w.check.order); n > 0 {
		id = w.check.order[w.number(n)]
	}
	switch w.number(8) {
	case 0, 1:
		w.submit(ctx, c)
	case 2, 3:
		w.tracef("cancel %q", id)
		n, err := c.Cancel(ctx, id, w.number(2) == 0, "")
		if err == nil && n > 0 && !errors.Is(err, engine.ErrFinished) {
			w.tracef("cancelled %d", n)
		}
	case 4:
		w.cancelOne(ctx, c, id)
	case 5:
		_, _ = c.Reprioritise(ctx, id, w.number(2) == 0, float64(w.number(5)-2)) // finished tasks refuse
	case 6:
		class := []string{"", "", spec.ClassDefault, "gpu"}[w.number(4)]
		_ = c.Pause(ctx, class, w.number(2) == 0) // a leader that falls does not answer
	case 7:
		_ = c.SetBudget(ctx, "", w.number(5)) // likewise
	}
}

func (w *simulation) cancelOne(ctx context.Context, c *Coordinator, id spec.TaskID) {
	n, err := c.Cancel(ctx, id, false, "not needed")
	if err == nil && n == 1 {
		w.check.cancelled(id)
	}
}

func (w *simulation) submit(ctx context.Context, c *Coordinator) {
	var specs []spec.TaskSpec
	for range 1 + w.number(3) {
		specs = append(specs, w.newSpec("s"))
	}
	errs, _, err := c.Submit(ctx, specs)
	w.tracef("submitted %d: %v %v", len(specs), errs, err)
	if err != nil {
		return
	}
	for i := range specs {
		if errs[i] == nil {
			w.check.accepted(specs[i].ID)
		}
	}
}

// newSpec draws a task.
func (w *simulation) newSpec(prefix string) spec.TaskSpec {
	w.specs++
	kind := []string{"train", "train", "train", "big", "broken"}[w.number(5)]
	if kind == "broken" && w.number(4) > 0 {
		kind = "train"
	}
	ts := spec.TaskSpec{
		ID: spec.TaskID(fmt.Sprintf("%s%d", prefix, w.specs)), Kind: kind, Priority: float64(w.number(3)),
		Payload: w.payload(),
	}
	w.check.payloads[ts.ID] = ts.Payload
	return ts
}

func classOf(kind string) string {
	if kind == "big" {
		return "gpu"
	}
	return spec.ClassDefault
}

// interrupt is a person's first Ctrl-C, and the restart afterwards.
func (n *simNode) interrupt() {
	if n.leads() == nil || !n.p.Alive() || n.p.Paused() {
		return
	}
	c, stop := n.c, n.stop
	n.w.tracef("%s is interrupted", n.name)
	n.p.Go(func() {
		ctx, cancel := n.p.Within(context.Background(), 3*time.Second)
		defer cancel()
		if err := c.Interrupt(ctx); err == nil {
			_ = c.Idle(ctx) // the process ends all the same
		}
		stop()
	})
}
