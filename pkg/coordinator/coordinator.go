package coordinator

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"autoresearch/internal/host"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
)

// Options say what to coordinate and how. Conn, Run and Workflow are required.
type Options struct {
	Conn *bus.Conn
	Run  spec.RunName
	// Workflow is the user's adapter; Name names it in reports.
	Workflow spec.Workflow
	Name     string
	// MaxConcurrency is the budget; below 1 it is 1.
	MaxConcurrency int
	// Weight is the run's part of the slots that it shares with other runs; 1 when it is not above 0.
	Weight float64
	// HTTP is where other coordinators reach this one's API, as http://host:port; it travels in the lease. "" is nowhere.
	HTTP string
	// Workdir receives the snapshot, the tree and the reports; "" writes no files.
	Workdir string
	// Keep, unless nil, is called with the workdir behind its files, now and then and at the end of a term, to keep a copy of
	// them elsewhere.
	Keep func(ctx context.Context, workdir string) error
	// WorkdirLock is the workdir's lock if the caller holds it already; Run takes it when nil.
	WorkdirLock *snapshot.WorkdirLock
	// AdoptEdits takes an engine_state.json that a person edited while nobody led; IgnoreEdits drops the edit. With
	// neither, an edited file is an *EditedError.
	AdoptEdits  bool
	IgnoreEdits bool
	// ExitWhenStopped makes Run return once the run has stopped; without it the coordinator stays for new tasks.
	ExitWhenStopped bool
	// Streams say how streams are made.
	Streams bus.StreamOptions
	// KeepCheckpoints is how long workers keep checkpoints after their last change, KeepCode source trees after their last use;
	// 0: as each worker says.
	KeepCheckpoints time.Duration
	KeepCode        time.Duration
	// LeaderTTL is how long the leader's lease lasts; kv.LeaseTTLDefault by default.
	LeaderTTL time.Duration
	// LeaseTTL, WorkerTTL and HookTimeout are those of the engine and the hooks; zero means their defaults. A lease must last
	// longer than two heartbeats and the three seconds after which an outage is noticed.
	LeaseTTL    time.Duration
	WorkerTTL   time.Duration
	HookTimeout time.Duration
	// MaxLost bounds how often a task may lose its worker; engine.MaxLostDefault by default.
	MaxLost int
	// Breaker stops the run once so many tasks in a row have failed for good in the same way; 0: never.
	Breaker int
	// Limits bound what single tasks and results may be. What is zero is what the workflow says, else engine.MaxChildrenDefault,
	// engine.MaxDepthDefault, engine.MaxPayloadDefault and MaxResultDefault.
	Limits spec.SizeLimits
	// PurgeJournalAbove is the size in bytes from which on the journal is purged of what the mirror holds; 0: never. What is
	// younger than PurgeJournalAfter, PurgeJournalAfterDefault by default, stays.
	PurgeJournalAbove int64
	PurgeJournalAfter time.Duration
	// Seed decides the jitter of backoffs; drawn when 0.
	Seed uint64
	// Logger is slog.Default() when nil. Registerer, unless nil, gets the metrics.
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Role is what a coordinator does for its run.
type Role string

// The roles.
const (
	RoleStandby    Role = "standby"    // somebody else leads
	RoleRecovering Role = "recovering" // it holds the lease and loads
	RoleLeader     Role = "leader"
	RoleAlarmed    Role = "alarmed" // the journal is gone or damaged: a person decides
)

// ErrNotLeader says that the coordinator does not lead the run, so it cannot answer for it.
var ErrNotLeader = errors.New("this coordinator does not lead the run")

// Coordinator serves one run: it stands by, and leads when nobody else does. Its methods are safe for concurrent use.
type Coordinator struct {
	o       Options
	id      string // random per process
	writer  uint64
	log     *slog.Logger
	ports   ports
	host    host.Host
	blobs   *blobs
	metrics *metrics
	state   *snapshot.StateFile // nil without a workdir
	broken  chan struct{}       // signal: the doorbell could not be rung
	packing time.Duration       // time between the packer's rounds

	mu      sync.Mutex
	role    Role
	trouble string    // why it is not ready; "" when it is
	current *term     // nil unless leading
	holder  kv.Holder // of the lease, as a standby saw it last
	edits   bool      // the workdir's file was already compared with the journal
}

// New returns a coordinator. It connects nothing and creates nothing until Run.
func New(o Options) (*Coordinator, error) {
	switch {
	case o.Conn == nil:
		return nil, errors.New("coordinator: option Conn is missing")
	case o.Run == "":
		return nil, errors.New("coordinator: option Run is missing")
	case o.Workflow == nil:
		return nil, errors.New("coordinator: option Workflow is missing")
	case o.AdoptEdits && o.IgnoreEdits:
		return nil, errors.New("coordinator: an edit is either adopted or ignored, not both")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.HookTimeout <= 0 {
		o.HookTimeout = HookTimeoutDefault
	}
	if o.LeaderTTL <= 0 {
		o.LeaderTTL = kv.LeaseTTLDefault
	}
	if o.PurgeJournalAfter <= 0 {
		o.PurgeJournalAfter = PurgeJournalAfterDefault
	}
	c := newCoordinator(o, host.Machine{})
	if o.Registerer != nil {
		if err := o.Registerer.Register(c.metrics); err != nil {
			return nil, fmt.Errorf("coordinator: register metrics: %w", err)
		}
	}
	c.use(c.connect())
	return c, nil
}

// MaxResultDefault is the most bytes of one encoded result.
const MaxResultDefault = 64 << 20

// use gives the coordinator its ports.
func (c *Coordinator) use(p ports) {
	c.ports = p
	c.blobs = newBlobs(p.objects, c.inlineMax, c.log, c.host)
}

// newCoordinator returns a coordinator without ports.
func newCoordinator(o Options, h host.Host) *Coordinator {
	c := &Coordinator{
		o: o, id: randomID(), writer: newWriter(), log: slog.New(newOutageLog(o.Logger.Handler(), h)).With("run", o.Run), role: RoleStandby, host: h,
		trouble: "it has not started", broken: make(chan struct{}, 1), packing: packInterval,
	}
	c.metrics = newMetrics(c)
	return c
}

func randomID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// connect makes the ports on real JetStream.
func (c *Coordinator) connect() ports {
	o := c.o
	o.Conn.OnReconnect(c.mendDoorbell) // a server that was restarted has forgotten it
	return ports{
		journal:    bus.NewJournal(o.Conn, o.Run, o.Streams),
		results:    bus.NewResults(o.Conn, o.Run, o.Streams),
		doorbell:   bus.NewDoorbell(o.Conn, o.Streams, c.notRung),
		uplinks:    bus.NewUplinks(o.Conn),
		mirror:     kv.NewMirror(o.Conn, o.Run, o.Streams),
		objects:    bus.NewObjects(o.Conn, o.Run, o.Streams),
		rejects:    bus.NewRejects(o.Conn, o.Run, o.Streams),
		logs:       bus.NewLogs(o.Conn, o.Run, o.Streams),
		output:     bus.NewOutput(o.Conn, o.Run, o.Streams),
		lease:      kv.NewLease(o.Conn, kv.LeaseOptions{TTL: o.LeaderTTL, Replicas: o.Streams.Replicas}),
		connected:  o.Conn.Connected,
		payloadMax: o.Conn.MaxPayload,
	}
}

// notRung is told that the doorbell could not be rung.
func (c *Coordinator) notRung(subject string, err error) {
	c.log.Warn("ring the doorbell; it rings again when overdue", "subject", subject, "err", err)
	c.mendDoorbell()
}

// mendDoorbell asks the term, if there is one, to make the doorbell anew should it be gone.
func (c *Coordinator) mendDoorbell() {
	select {
	case c.broken <- struct{}{}:
	default:
	}
}

// Run stands by and leads, until ctx ends, the run has stopped (with ExitWhenStopped), or something happens that only a
// person can mend: an edited or damaged workdir, a hook that cannot load, a journal that is gone. It returns the run's
// last known status.
func (c *Coordinator) Run(ctx context.Context) (Status, error) {
	unlock, err := c.openWorkdir()
	if err != nil {
		return Status{}, err
	}
	defer unlock()
	for {
		status, err := c.serve(ctx)
		switch {
		case errors.Is(err, errDeposed):
			c.log.Warn("deposed; standing by", "err", err)
			c.setRole(RoleStandby, "")
			continue
		case ctx.Err() != nil:
			return status, nil
		case err != nil && bus.Passing(err):
			c.log.Warn("NATS is away; trying again", "err", err)
			c.setRole(RoleStandby, err.Error())
			c.host.Wait(ctx, c.host.Jitter(retryInterval))
			continue
		}
		var alarm *journalAlarm
		if errors.As(err, &alarm) {
			c.setRole(RoleAlarmed, alarm.Error())
			c.log.Error("alarm", "err", err)
			if !c.o.ExitWhenStopped && c.awaitRestore(ctx) { // stay, so that readiness and metrics tell
				c.log.Info("the journal was made anew; standing for election")
				continue
			}
		}
		return status, err
	}
}

// awaitRestore waits until the journal is another one than it was, as after a restore, or ctx ends. It only looks: each
// try to lead would write into what is damaged.
func (c *Coordinator) awaitRestore(ctx context.Context) (restored bool) {
	var before *bus.Bounds
	for ctx.Err() == nil {
		now, err := c.ports.journal.Bounds(ctx)
		switch {
		case err != nil && !errors.Is(err, bus.ErrMissing):
		case before == nil:
			before = &now
		case err == nil && now.Last >= now.First && !now.Created.Equal(before.Created):
			return true
		}
		c.host.Wait(ctx, c.host.Jitter(restoreInterval))
	}
	return false
}

// restoreInterval is about how often an alarmed coordinator looks for a restored journal.
const restoreInterval = 2 * time.Second

// retryInterval is about how long a coordinator waits for NATS before it stands for election again.
const retryInterval = time.Second

// openWorkdir locks the workdir, unless the caller has, and opens its files.
func (c *Coordinator) openWorkdir() (unlock func(), err error) {
	unlock = func() {}
	if c.o.Workdir == "" {
		return unlock, nil
	}
	if c.o.WorkdirLock == nil {
		lock, err := snapshot.Lock(c.o.Workdir)
		if err != nil {
			return nil, err
		}
		unlock = func() {
			if err := lock.Unlock(); err != nil {
				c.log.Warn("unlock the workdir", "err", err)
			}
		}
	}
	if c.state, err = snapshot.Open(c.o.Workdir); err != nil {
		unlock()
		return nil, err
	}
	return unlock, nil
}

// serve stands by until the lease is ours, and leads one term.
func (c *Coordinator) serve(ctx context.Context) (Status, error) {
	tenure, err := c.campaign(ctx)
	if err != nil {
		return Status{}, err
	}
	defer tenure.leave()
	return c.leadTerm(tenure)
}

func (c *Coordinator) setRole(r Role, trouble string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.role, c.trouble = r, trouble
}

func (c *Coordinator) setHolder(h kv.Holder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.holder = h
}

func (c *Coordinator) setTrouble(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.trouble = ""
	if err != nil {
		c.trouble = err.Error()
	}
}

// Readiness says what the coordinator does and, when it is not ready, why. A standby is ready.
func (c *Coordinator) Readiness() (role Role, epoch uint64, trouble string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		epoch = c.current.leader.epoch
	}
	if c.trouble == "" && !c.ports.connected() {
		return c.role, epoch, "it is not connected to NATS"
	}
	return c.role, epoch, c.trouble
}

func (c *Coordinator) term() (*term, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil {
		return nil, fmt.Errorf("run %q: %w", c.o.Run, ErrNotLeader)
	}
	return c.current, nil
}

// Status returns the run at a glance; ErrNotLeader on a standby.
func (c *Coordinator) Status() (Status, error) {
	t, err := c.term()
	if err != nil {
		return Status{Run: c.o.Run}, err
	}
	s := t.ledger.status(c.host.Now())
	s.Run = c.o.Run
	return s, nil
}

// Submit adds specs to the run. It returns once they are journaled: one error per spec (nil when it was accepted or is
// there already), and how many were new.
func (c *Coordinator) Submit(ctx context.Context, specs []spec.TaskSpec) (errs []error, added int, err error) {
	r, err := c.Steer(ctx, engine.Submit{Specs: specs})
	return r.Errs, r.Count, err
}

// Steer hands a change that somebody asked for to the run and returns once it is journaled. The event's Ref is ignored.
func (c *Coordinator) Steer(ctx context.Context, ev engine.Event) (engine.Reply, error) {
	submit, ok := ev.(engine.Submit)
	if !ok {
		return c.ask(ctx, ev)
	}
	t, err := c.term()
	if err != nil {
		return engine.Reply{}, err
	}
	filled := make([]spec.TaskSpec, len(submit.Specs))
	for i, ts := range submit.Specs {
		filled[i] = ts.WithDefaults()
	}
	if err := t.pin(ctx, filled); err != nil {
		return engine.Reply{}, err
	}
	unstored := t.spill(ctx, filled)
	submit.Specs = filled
	r, err := c.ask(ctx, submit)
	for i := range r.Errs {
		if unstored[i] != nil {
			r.Errs[i] = unstored[i] // the engine says only that it is too large
		}
	}
	return r, err
}

// Cancel ends a task, and with subtree its descendants; it returns how many it reached once that is journaled.
func (c *Coordinator) Cancel(ctx context.Context, id spec.TaskID, subtree bool, reason string) (int, error) {
	r, err := c.ask(ctx, engine.Cancel{Task: id, Subtree: subtree, Asked: engine.Asked{Reason: reason}})
	return r.Count, err
}

// Reprioritise changes the priority of a task, and with subtree of its descendants: the lower number runs first.
func (c *Coordinator) Reprioritise(ctx context.Context, id spec.TaskID, subtree bool, priority float64) (int, error) {
	r, err := c.ask(ctx, engine.Reprioritise{Task: id, Subtree: subtree, Priority: priority})
	return r.Count, err
}

// Pause stops or resumes dispatching of a class, or of the run when class is empty.
func (c *Coordinator) Pause(ctx context.Context, class string, on bool) error {
	_, err := c.ask(ctx, engine.Pause{Class: class, On: on})
	return err
}

// SetBudget changes the cap on leases of a class, or of the run when class is empty.
func (c *Coordinator) SetBudget(ctx context.Context, class string, budget int) error {
	_, err := c.ask(ctx, engine.SetBudget{Class: class, Budget: budget})
	return err
}

// Interrupt stops dispatching for good in this process and marks what runs as interrupted. It returns once that is
// journaled; what runs goes back to the queue as its workers give it up.
func (c *Coordinator) Interrupt(ctx context.Context) error {
	_, err := c.ask(ctx, engine.Interrupt{})
	return err
}

// Idle waits until no lease is held, or ctx ends.
func (c *Coordinator) Idle(ctx context.Context) error {
	t, err := c.term()
	if err != nil {
		return err
	}
	return t.idle(ctx)
}

// ask hands an event to the loop and waits for its reply.
func (c *Coordinator) ask(ctx context.Context, ev engine.Event) (engine.Reply, error) {
	t, err := c.term()
	if err != nil {
		return engine.Reply{}, err
	}
	var reply engine.Reply
	replied := make(chan struct{})
	err = t.inbox.put(ctx, arrival{event: ev, reply: func(r engine.Reply) { reply = r; close(replied) }, replied: replied})
	if err != nil {
		return engine.Reply{}, err
	}
	c.host.Wait(ctx, host.Forever, replied, t.ended)
	switch {
	case host.Done(replied):
		return reply, reply.Err
	case ctx.Err() != nil:
		t.inbox.withdraw(replied)
		return engine.Reply{}, ctx.Err()
	}
	return engine.Reply{}, fmt.Errorf("run %q: %w", c.o.Run, ErrNotLeader)
}

func (c *Coordinator) hostname() string {
	host, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return host
}
