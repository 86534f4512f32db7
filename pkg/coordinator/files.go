package coordinator

import (
	"context"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"autoresearch/pkg/report"
	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
)

// Cadence of the workdir's files: never more often than this, and never so often that writing them takes more than a
// twentieth of the time, however long the run has become.
const (
	snapshotInterval = 2 * time.Second
	reportInterval   = 10 * time.Second
	keepInterval     = 15 * time.Second
	costShare        = 20
)

// files writes the workdir behind the journal: engine_state.json, engine/run.json and the checkpoint hook at every change
// of status and otherwise conflated; the tree, the tables and the pictures more rarely.
type files struct {
	t         *term
	workdir   string
	state     *snapshot.StateFile
	objective spec.Objective
	log       *slog.Logger
	snapshots pace
	reports   pace
	copies    pace // kept elsewhere
	unkept    bool // files are newer than their copy

	mu      sync.Mutex
	dirty   bool
	urgent  bool
	arrived chan struct{}
}

// pace says when something that costs may happen again.
type pace struct {
	interval time.Duration
	next     time.Time
}

// due reports whether it is time, or the status changed.
func (p *pace) due(now time.Time, urgent bool) bool { return urgent || !now.Before(p.next) }

// took notes how long the last time took.
func (p *pace) took(began, ended time.Time) {
	p.next = ended.Add(max(p.interval, costShare*ended.Sub(began)))
}

func newFiles(t *term, o spec.Objective) *files {
	return &files{
		t: t, workdir: t.c.o.Workdir, state: t.c.state, objective: o, log: t.c.log,
		snapshots: pace{interval: snapshotInterval}, reports: pace{interval: reportInterval},
		copies: pace{interval: keepInterval},
		dirty:  true, urgent: true, arrived: make(chan struct{}, 1),
	}
}

// follow implements follower.
func (f *files) follow(c *committed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dirty = true
	f.urgent = f.urgent || c.ended
	if c.ended {
		select {
		case f.arrived <- struct{}{}:
		default:
		}
	}
}

// run writes until ctx is done.
func (f *files) run(ctx context.Context) {
	if err := f.writeRun(); err != nil {
		f.log.Warn("write engine/run.json", "err", err)
	}
	tick := time.NewTicker(snapshotInterval / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-f.arrived:
		}
		f.write(time.Now())
		f.keep(ctx, time.Now())
	}
}

// keep has the files copied elsewhere, if somebody wants that and something is new.
func (f *files) keep(ctx context.Context, now time.Time) {
	if f.t.c.o.Keep == nil || !f.unkept || !f.copies.due(now, false) {
		return
	}
	if err := f.t.c.o.Keep(ctx, f.workdir); err != nil && ctx.Err() == nil {
		f.log.Warn("keep a copy of the workdir's files", "err", err)
	}
	f.unkept = false
	f.copies.took(now, time.Now())
}

func (f *files) write(now time.Time) {
	f.mu.Lock()
	dirty, urgent := f.dirty, f.urgent
	f.mu.Unlock()
	if !dirty || !f.t.ledger.meta().Loaded {
		return // before the first specs are all there, the file they came from must stay as it is
	}
	if f.snapshots.due(now, urgent) {
		f.mu.Lock()
		f.dirty, f.urgent = false, false
		f.mu.Unlock()
		f.snapshot()
		f.snapshots.took(now, time.Now())
	}
	if now = time.Now(); f.reports.due(now, urgent) {
		f.report()
		f.reports.took(now, time.Now())
		f.unkept = true
		if urgent {
			f.copies.next = time.Time{}
		}
	}
}

// snapshot writes engine_state.json and calls the checkpoint hook.
func (f *files) snapshot() {
	reach := f.t.ledger.meta().NextSeq
	state, at := f.t.ledger.stateAt()
	if err := f.state.WriteAt(state, at); err != nil {
		f.log.Error("write the snapshot; the run goes on without it", "err", err)
		f.t.c.metrics.snapshotFailures.Inc()
		return
	}
	if err := f.writeRunAt(reach); err != nil {
		f.log.Warn("write engine/run.json", "err", err)
	}
	f.t.c.metrics.snapshotWritten.SetToCurrentTime()
	f.t.hooks.queue.put(hookCall{do: func(ctx context.Context) { f.checkpoint(ctx, state) }})
}

func (f *files) checkpoint(ctx context.Context, state spec.EngineState) {
	err := f.t.hooks.call(ctx, "Checkpoint", func(ctx context.Context) error {
		return f.t.c.o.Workflow.Checkpoint(ctx, state.Queued, state.Running, state.Status)
	})
	if err != nil {
		f.log.Warn("the checkpoint hook failed", "err", err)
	}
}

func (f *files) writeRun() error { return f.writeRunAt(f.t.ledger.meta().NextSeq) }

// writeRunAt writes the evidence of how far the journal is acknowledged.
func (f *files) writeRunAt(reach uint64) error {
	p := f.t.ledger.position()
	return snapshot.WriteRun(f.workdir, snapshot.RunRecord{
		RunID: p.runID, Run: f.t.c.o.Run, JournalSeq: p.seq, Epoch: p.epoch,
		Extra: []spec.Field{{Name: reachField, Value: strconv.AppendUint(nil, reach, 10)}},
	})
}

// treeFile is the hypothesis tree's name below the engine's folder of a workdir.
const treeFile = "tree.json"

// report writes the tree, the tables and the pictures.
func (f *files) report() {
	search, at := f.search()
	if err := report.SaveSearch(f.workdir, search); err != nil {
		f.log.Warn("write engine/search.json", "err", err)
	}
	if err := snapshot.WriteMarked(filepath.Join(f.workdir, snapshot.EngineDir, treeFile), spec.EncodeTree(search.Nodes), at); err != nil {
		f.log.Warn("write engine/tree.json", "err", err)
	}
	if err := report.WriteAll(f.workdir, search); err != nil {
		f.log.Warn("write the reports", "err", err)
	}
}

// search returns what the reports show, and the journal position of its nodes.
func (f *files) search() (report.Search, uint64) {
	status := f.t.ledger.status(time.Now())
	nodes, at := f.t.ledger.nodes()
	return report.Search{
		Run: string(f.t.c.o.Run), Name: f.t.c.o.Name, Objective: f.objective, Status: status.Status,
		StopReason: status.Reason, MaxConcurrency: f.t.c.o.MaxConcurrency, Nodes: nodes,
	}, at
}

// final writes everything once more when a term ends, and the report of a run that ended, stopped or was interrupted.
func (f *files) final(ctx context.Context) {
	if !f.t.ledger.meta().Loaded {
		return
	}
	state, at := f.t.ledger.stateAt()
	if err := f.state.WriteAt(state, at); err != nil {
		f.log.Error("write the last snapshot", "err", err)
	}
	if err := f.writeRun(); err != nil {
		f.log.Warn("write engine/run.json", "err", err)
	}
	f.checkpoint(ctx, state)
	f.report()
	f.summarize(ctx)
	f.unkept, f.copies.next = true, time.Time{}
	f.keep(ctx, time.Now())
}

func (f *files) summarize(ctx context.Context) {
	var text string
	err := f.t.hooks.call(ctx, "Summarize", func(ctx context.Context) (err error) {
		text, err = f.t.c.o.Workflow.Summarize(ctx, f.workdir)
		return err
	})
	if err == nil {
		err = report.WriteReport(f.workdir, text)
	}
	if err != nil {
		f.log.Warn("write report.md", "err", err)
	}
}
