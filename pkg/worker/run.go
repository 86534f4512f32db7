package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// Defaults of Options.
const (
	HeartbeatDefault = 2 * time.Second
	GraceDefault     = 10 * time.Second
)

// publishOnExit is how long a leaving worker tries at least to publish its last results: what its drain timeout leaves, if that
// is more. The rest stays in the spool, of which a pod that goes leaves nothing.
const publishOnExit = 5 * time.Second

// returnOnExit bounds how long a leaving worker waits for runners that ignore that they were given up.
const returnOnExit = pipeDrainMax + time.Second

// Options say what a worker offers and where it stands. Dir and Slots are required.
type Options struct {
	// Conn is a connection to use, which stays open; without one Bus says how to connect, by default with an inbox prefix
	// of the worker's own: bus.InboxPrefix.
	Conn *bus.Conn
	Bus  bus.Options

	// Dir holds the worker's identity, its spool and its attempts' files. One process at a time may use it.
	Dir string
	// ID is the worker's name, which no other worker may have; one is drawn and kept in Dir when it is empty. Group is the
	// group whose credential it has, which its id then begins with: permissions in NATS name it.
	ID    spec.WorkerID
	Group string
	// AttemptDir names the directory of an attempt, absolute; below Dir when nil. It must be pure and give different
	// attempts different directories, one of a task's above them, and above those one that holds attempts only: there the
	// worker notes how long the run keeps checkpoints.
	AttemptDir func(run spec.RunName, task spec.TaskID, attempt uint32) string
	// CheckpointRoot is a path that workers share, below which checkpoint directories lie: the next attempt of a task finds the
	// last one's wherever it runs. Empty: in the attempts' directories, for this machine alone.
	CheckpointRoot string
	// KeepAttempts is how long the directory of an attempt is kept after its last change, where AttemptDir is nil, and
	// KeepCheckpoints the same below CheckpointRoot; KeepAttemptsDefault and KeepCheckpointsDefault when 0, for ever when
	// negative. Of checkpoints a run that says how long it keeps them has the last word.
	KeepAttempts    time.Duration
	KeepCheckpoints time.Duration
	// Slots is the number of slots of each class.
	Slots map[string]int
	// GPUs says which slots have GPUs; none when nil. Their class is added to Slots.
	GPUs *GPUSlots
	// Labels are what the worker says of itself, as "zone=a".
	Labels []string
	// Runners execute kinds in this process and take precedence over recipes.
	Runners map[string]spec.Runner
	// PassEnv says which of this process's environment variables commands get; all when nil, but never those that begin
	// with AUTORESEARCH_.
	PassEnv func(name string) bool
	// OutputMax bounds each of standard output and error on disk, in bytes; 64 MiB when 0.
	OutputMax int64

	// CodeCache is how many bytes of source trees are kept for the attempts to come; CodeCacheDefault when 0, none when negative.
	CodeCache int64

	// KeepTimeout bounds how long a result waits until what the attempt left besides it is stored; KeepTimeoutDefault when 0.
	KeepTimeout time.Duration

	// ArtifactBytes bounds what is kept of one file that an attempt leaves, ArtifactsBytes of all of them, and Artifacts how many
	// there are; spec.ArtifactBytesDefault, spec.ArtifactsBytesDefault and spec.ArtifactsDefault when 0, nothing is kept when
	// one is negative.
	ArtifactBytes  int64
	ArtifactsBytes int64
	Artifacts      int

	// Heartbeat is the interval between heartbeats; HeartbeatDefault when 0.
	Heartbeat time.Duration
	// Grace is the time between SIGTERM and SIGKILL where the recipe names none; GraceDefault when 0.
	Grace time.Duration
	// Limits bound each process of experiments that name none.
	Limits spec.ProcessLimits
	// DrainTimeout is how long attempts may go on once Run's context is done. 0: they are stopped at once.
	DrainTimeout time.Duration
	// Kill, when closed, ends everything at once: SIGKILL to all processes, nothing more is reported.
	Kill <-chan struct{}

	// Breaker is after how many tasks in a row that failed in the same way the worker takes itself out; BreakerDefault when
	// 0, never when negative. BreakerPause is how long until it tries again; BreakerPauseDefault when 0.
	Breaker      int
	BreakerPause time.Duration

	// HTTPAddr is where /healthz, /readyz and /metrics are served; nowhere when empty.
	HTTPAddr string
	// Registerer takes the worker's metrics while Run runs; a registry of its own when nil. /metrics shows all that the
	// registry has if it is a prometheus.Gatherer.
	Registerer prometheus.Registerer
	// Logger hears what happens; slog.Default() when nil.
	Logger *slog.Logger
}

// ErrKilled is what Run returns when Options.Kill ended it.
var ErrKilled = errors.New("the worker was killed")

// withDefaults fills what was left out and refuses what cannot work.
func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" {
		return o, errors.New("worker options: no directory")
	}
	slots := 0
	for class, size := range o.Slots {
		if class == "" || size < 0 {
			return o, fmt.Errorf("worker options: class %q with %d slots", class, size)
		}
		slots += size
	}
	if slots == 0 {
		return o, errors.New("worker options: no slots")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, fmt.Errorf("worker directory: %w", err)
	}
	o.Dir = dir
	if o.CheckpointRoot != "" {
		if o.CheckpointRoot, err = filepath.Abs(o.CheckpointRoot); err != nil {
			return o, fmt.Errorf("checkpoint root: %w", err)
		}
	}
	setDefault(&o.KeepAttempts, KeepAttemptsDefault)
	setDefault(&o.KeepCheckpoints, KeepCheckpointsDefault)
	if o.AttemptDir != nil {
		o.KeepAttempts = -1 // whoever lays them out keeps them
	} else {
		o.AttemptDir = attemptDirDefault(dir)
	}
	setDefault(&o.CodeCache, CodeCacheDefault)
	setDefault(&o.KeepTimeout, KeepTimeoutDefault)
	setDefault(&o.ArtifactBytes, spec.ArtifactBytesDefault)
	setDefault(&o.ArtifactsBytes, spec.ArtifactsBytesDefault)
	setDefault(&o.Artifacts, spec.ArtifactsDefault)
	o.Artifacts = min(o.Artifacts, spec.ArtifactsMax-1)
	setDefault(&o.Heartbeat, HeartbeatDefault)
	setDefault(&o.Grace, GraceDefault)
	setDefault(&o.OutputMax, outputMaxDefault)
	setDefault(&o.Breaker, BreakerDefault)
	setDefault(&o.BreakerPause, BreakerPauseDefault)
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, nil
}

func setDefault[T comparable](value *T, byDefault T) {
	var zero T
	if *value == zero {
		*value = byDefault
	}
}

// worker is one run of a worker process.
type worker struct {
	o       Options
	log     *slog.Logger
	host    string
	who     identity
	link    link
	spool   *spool
	notes   *attemptLog
	oom     oomCounter
	groups  *groups
	metrics *metrics
	health  *health

	code     codeCache
	ledger   *ledger
	gpus     *gpus // nil where no slot has any
	commits  commits
	larges   commits // large results that are to get files of their own first
	outboxes outboxes
	breaker  breaker

	shared   chan *pool    // classes to serve beside the worker's own
	beat     chan struct{} // a token asks for a heartbeat at once
	notice   chan struct{} // a token asks for a start notice
	retryNow broadcast
	leaving  atomic.Bool
	killing  atomic.Bool
	laidOut  placeSet        // where runs said how long to keep checkpoints
	killed   chan struct{}   // closed when everything must end at once
	sendCtx  context.Context // of senders
	keepCtx  context.Context // of what attempts leave besides their results
	stopKeep context.CancelFunc
	reading  chan struct{}  // a token for each artifact that is in memory
	shippers sync.WaitGroup // of attempts' output
	shipped  atomic.Int64   // bytes that they hold
	attempts *executors

	writeFile func(path string, data []byte) error // writeFileSync
}

// Run is a whole worker: it takes the directory, connects, works until ctx is done, and then drains. What is published
// or on disk when it returns is not lost: the next start on the same directory sends it again.
//
// It returns nil after a drain, ErrKilled after Options.Kill, ErrDirInUse when another worker has the directory, and
// otherwise why it could not start.
func Run(ctx context.Context, o Options) error { return run(ctx, o, dial) }

// run is Run over any link.
func run(ctx context.Context, o Options, dial func(context.Context, *Options, spec.WorkerID) (link, error)) (err error) {
	found, err := findGPUs(ctx, &o)
	if err != nil {
		return err
	}
	o, err = o.withDefaults()
	if err != nil {
		return err
	}
	w, closeFiles, err := open(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeFiles()) }()
	w.equip(found)
	unregister, err := w.metrics.register(o.Registerer)
	if err != nil {
		return err
	}
	defer unregister()
	stopServing, err := w.serve()
	if err != nil {
		return err
	}
	defer stopServing()
	if w.link, err = dial(ctx, &w.o, w.who.ID); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer func() { err = errors.Join(err, w.link.close()) }()
	return w.run(ctx)
}

// open takes the directory and reads what it holds. Nothing runs yet.
func open(o Options) (w *worker, closeFiles func() error, err error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, nil, fmt.Errorf("make worker directory: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, nil, err
	}
	host, err := os.Hostname()
	if err != nil {
		o.Logger.Warn("this machine has no name", "error", err)
	}
	who, damaged, err := nextIdentity(o.Dir, o.ID, o.Group, host)
	if damaged != nil {
		o.Logger.Error("the worker's identity was unreadable and is put aside: this is a new worker now", "error", damaged)
	}
	if err != nil {
		return nil, nil, errors.Join(err, unlockDir(lock))
	}
	spool, err := openSpoolOf(o)
	if err != nil {
		return nil, nil, errors.Join(err, unlockDir(lock))
	}
	notes, err := openAttemptLog(o.Dir, who, o.Logger)
	if err != nil {
		return nil, nil, errors.Join(err, spool.close(), unlockDir(lock))
	}
	w = newWorker(o, who, host, spool)
	w.notes = notes
	w.groups.endLeft()
	return w, func() error {
		w.groups.close()
		return errors.Join(w.notes.close(), w.spool.close(), unlockDir(lock))
	}, nil
}

// openSpoolOf opens the spool and says what was wrong with it.
func openSpoolOf(o Options) (*spool, error) {
	path := filepath.Join(o.Dir, spoolFileName)
	if err := os.Remove(path + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove an unfinished spool: %w", err)
	}
	spool, damage, err := openSpool(path, createSpoolFile)
	switch {
	case err != nil:
		return nil, err
	case damage.inside > 0:
		o.Logger.Error("the spool is damaged: results in it are lost and their tasks will run again", "path", path,
			"bytes", damage.inside)
	case damage.torn > 0:
		o.Logger.Info("the spool ends in the middle of a write, as a crash leaves it", "path", path, "bytes", damage.torn)
	}
	return spool, nil
}

func newWorker(o Options, who identity, host string, spool *spool) *worker {
	w := &worker{
		o: o, who: who, host: host, spool: spool, oom: findOOMCounter(),
		log:      o.Logger.With("worker", who.ID),
		groups:   &groups{dir: o.Dir, log: o.Logger},
		code:     codeCache{dir: filepath.Join(o.Dir, codeDirName), max: o.CodeCache},
		ledger:   newLedger(o.Slots, time.Now()),
		breaker:  breaker{limit: o.Breaker, first: o.BreakerPause},
		commits:  commits{wake: make(chan struct{}, 1)},
		larges:   commits{wake: make(chan struct{}, 1)},
		outboxes: outboxes{lanes: map[lane]*outbox{}, empty: make(chan struct{}, 1)},
		shared:   make(chan *pool, sharersMax),
		beat:     make(chan struct{}, 1),
		notice:   make(chan struct{}, 1),
		killed:   make(chan struct{}),
		reading:  make(chan struct{}, artifactsAtOnce),
	}
	w.attempts = newExecutors(w.execute, w.commits.flush)
	w.keepCtx, w.stopKeep = context.WithCancel(context.Background())
	w.writeFile = writeFileSync
	w.metrics = newMetrics(w)
	w.health = &health{began: time.Now()}
	return w
}

// run works until ctx is done or the worker is killed. Its parts stop in the reverse order of their start.
func (w *worker) run(ctx context.Context) error {
	w.log.Info("worker starts", "boot", w.who.Boot, "host", w.host, "slots", w.o.Slots, "dir", w.o.Dir)
	sendCtx, stopSending := context.WithCancel(context.Background())
	w.sendCtx = sendCtx
	defer w.shippers.Wait()
	defer w.stopKeep()
	defer w.outboxes.senders.Wait()
	defer stopSending()

	stopCommits := w.startCommits()
	defer stopCommits()
	stopListening, err := w.listen()
	if err != nil {
		return err
	}
	defer stopListening()
	stopBeating := w.startHeartbeats()
	defer stopBeating()

	defer w.startGPUs()()
	stopSweeping := w.startSweeps()
	defer stopSweeping()

	pullCtx, stopPulling := context.WithCancel(ctx)
	defer stopPulling()
	stopWatching := w.watchKill(stopPulling)
	defer stopWatching()
	w.pullUntil(pullCtx)
	return w.drain()
}

// startCommits starts the commit loop, with what an earlier process left, and the loop of large results before it.
func (w *worker) startCommits() (stop func()) {
	earlier := w.recover()
	w.ledger.recovered(earlier)
	w.enqueue(earlier)
	var large, commits sync.WaitGroup
	large.Go(w.largeLoop)
	commits.Go(w.commitLoop)
	return func() {
		w.larges.close()
		large.Wait()
		w.commits.close()
		commits.Wait()
	}
}

// startHeartbeats starts the heartbeat loop; the last heartbeat is sent when it stops.
func (w *worker) startHeartbeats() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.heartbeatLoop(ctx)
	}()
	return func() {
		cancel()
		<-done
		w.heartbeat()
	}
}

// listen begins to hear leaders and reconnects.
func (w *worker) listen() (stop func(), err error) {
	stopAnswers, err := w.link.listen(w.onAnswer)
	if err != nil {
		return nil, fmt.Errorf("listen for leaders: %w", err)
	}
	w.health.connect(w.link.connected)
	stopReconnects := w.link.onReconnect(w.onReconnect)
	return func() {
		stopReconnects()
		stopAnswers()
	}, nil
}

// watchKill makes Options.Kill end everything.
func (w *worker) watchKill(stopPulling func()) (stop func()) {
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-over:
		case <-w.o.Kill:
			w.kill()
			stopPulling()
		}
	}()
	return func() {
		close(over)
		<-done
	}
}

// kill ends every attempt at once, without a report.
func (w *worker) kill() {
	w.log.Warn("killed: ending every attempt at once")
	w.leaving.Store(true)
	w.killing.Store(true)
	for _, a := range w.ledger.all() {
		a.cancel(errKilled)
	}
	close(w.killed)
	w.stopKeep()
}

func (w *worker) isKilled() bool {
	select {
	case <-w.killed:
		return true
	default:
		return false
	}
}

// pullUntil runs the pull loops until ctx is done.
func (w *worker) pullUntil(ctx context.Context) {
	var loops sync.WaitGroup
	for _, p := range w.ledger.own() {
		if p.size > 0 {
			loops.Go(func() { w.pullLoop(ctx, p) })
		}
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case p := <-w.shared:
			loops.Go(func() { w.pullLoop(ctx, p) })
		}
	}
	w.leaving.Store(true)
	loops.Wait()
}

// drain lets attempts finish for a while, then stops them, and waits until what they report is published. Every wait ends
// at once when the worker is killed.
func (w *worker) drain() error {
	w.log.Info("worker leaves: it takes nothing more", "drain timeout", w.o.DrainTimeout)
	began := time.Now()
	w.ledger.leave()
	notify(w.beat)
	if !w.await(w.ledger.isIdle, w.ledger.idle, w.o.DrainTimeout) {
		for _, a := range w.ledger.all() {
			w.stop(a, errPreempted)
		}
	}
	w.await(w.ledger.isIdle, w.ledger.idle, forever)
	published := func() bool { return w.ledger.isSettled() && w.outboxes.isEmpty() }
	if !w.await(published, w.outboxes.empty, max(publishOnExit, w.o.DrainTimeout-time.Since(began))) {
		w.log.Warn("results wait in the spool for the next start", "results", w.ledger.unreceiptedCount())
	}
	w.awaitRunners()
	w.awaitShippers()
	if w.isKilled() {
		return ErrKilled
	}
	return nil
}

// forever is longer than any wait: what it bounds is bounded otherwise.
const forever = time.Duration(1<<63 - 1)

// await waits until done, which is asked again at each token of news, for at most limit. It reports what done said last.
func (w *worker) await(done func() bool, news <-chan struct{}, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for !done() {
		select {
		case <-news:
		case <-timer.C:
			return done()
		case <-w.killed:
			return done()
		}
	}
	return true
}

// awaitShippers gives the last output of attempts a while to be sent.
func (w *worker) awaitShippers() {
	timer := time.AfterFunc(publishOnExit, w.stopKeep)
	defer timer.Stop()
	w.shippers.Wait()
}

// awaitRunners waits for every attempt's goroutine, except those of runners that ignore that they were stopped.
func (w *worker) awaitRunners() {
	w.attempts.end()
	limit := time.NewTimer(returnOnExit)
	defer limit.Stop()
	for _, p := range w.ledger.own() {
		for w.ledger.free(p) < p.size {
			select {
			case <-p.freed:
			case <-limit.C:
				w.log.Error("a runner does not return and is left behind", "class", p.class)
				return
			}
		}
	}
	w.attempts.wait()
}
