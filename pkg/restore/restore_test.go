package restore_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/bus/bustest"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/restore"
	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/verify"
)

func TestMain(m *testing.M) { bustest.VerifyTestMain(m) }

const (
	runName = spec.RunName("search")
	runID   = "11111111-2222-4333-8444-555555555555"
)

// world is a server and a workdir.
type world struct {
	t       *testing.T
	conn    *bus.Conn
	journal bus.Journal
	mirror  kv.Mirror
	workdir string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	server, err := bus.StartEmbedded(bus.EmbeddedOptions{StoreDir: t.TempDir(), InProcess: true, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := server.Connect(t.Context(), "restore")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(conn.Close(), server.Shutdown()); err != nil {
			t.Error(err)
		}
	})
	w := &world{
		t: t, conn: conn, journal: bus.NewJournal(conn, runName, bus.StreamOptions{}), mirror: kv.NewMirror(conn, runName, bus.StreamOptions{}),
		workdir: t.TempDir(),
	}
	if err := os.Mkdir(filepath.Join(w.workdir, snapshot.EngineDir), 0o755); err != nil {
		t.Fatal(err)
	}
	w.writeFiles(20)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// writeFiles leaves a workdir as of record 18, of a run that was acknowledged up to another.
func (w *world) writeFiles(acknowledged uint64) {
	w.t.Helper()
	w.must(snapshot.WriteRun(w.workdir, snapshot.RunRecord{RunID: runID, Run: runName, JournalSeq: acknowledged, Epoch: 3}))
	w.must(snapshot.Reader(w.workdir).WriteAt(spec.EngineState{
		Status:  spec.StatusRunning,
		Queued:  []spec.TaskSpec{{ID: "waits", Kind: "train", Priority: -3, Payload: spec.Payload(`{"n":12345678901234567890}`)}},
		Running: []spec.TaskSpec{{ID: "runs", Kind: "train"}, {ID: "proposes", Kind: "propose"}},
	}, 18))
	tree := `[
  {"node_id": "done", "name": "done", "status": "completed", "children": ["runs", "gone"], "launched_at": 1767323045.5, "duration": 2.5,
   "result": {"metrics": {"loss": 0.25, "bad": NaN}, "output": {"note": "x"}}, "kind": "train", "attempt": 2, "worker": "w", "host": "h",
   "ended_at": 1767323048},
  {"node_id": "cancelled", "name": "cancelled", "status": "failed", "kind": "train",
   "failure": {"kind": "interrupted", "phase": "runner", "details": {"cause": "cancelled"}}},
  {"node_id": "failed", "name": "failed", "status": "failed", "kind": "train", "attempt": 1,
   "failure": {"kind": "job_failed", "phase": "job", "message": "exit status 3"}, "ended_at": 1767323046},
  {"node_id": "runs", "name": "runs", "parent_id": "done", "status": "running", "kind": "train", "attempt": 1},
  {"node_id": "waits", "name": "waits", "status": "queued", "kind": "train", "priority": -3}
]`
	w.must(snapshot.WriteMarked(filepath.Join(w.workdir, snapshot.EngineDir, "tree.json"), []byte(tree), 18))
}

// mirrorOf fills the mirror as of record 19.
func (w *world) mirrorOf(id string, tasks ...*spec.Task) {
	w.t.Helper()
	_, err := w.mirror.Ensure(w.t.Context())
	w.must(err)
	var entries []kv.Entry
	for _, task := range tasks {
		value, err := bus.EncodeMirrorValue(&bus.MirrorValue{JournalSeq: 19, Task: task})
		w.must(err)
		entries = append(entries, kv.Entry{Key: kv.TaskKey(task.Spec.ID), Value: value})
	}
	meta, err := bus.EncodeMirrorMeta(&bus.MirrorMeta{
		RunID: id, Epoch: 4, Commit: 19, JournalSeq: 19, Tasks: uint64(len(tasks)), Time: 90, Watermark: 7,
		Meta: spec.Meta{Status: spec.StatusRunning, Paused: true, Loaded: true, NextSeq: 9, NextOrder: 4, Rules: &spec.Rules{
			Budget: 2, Kinds: map[string]spec.KindRule{"train": {Class: "gpu"}},
		}},
	})
	w.must(err)
	_, err = w.mirror.Flush(w.t.Context(), 0, append(entries, kv.Entry{Key: kv.KeyMeta, Value: meta}))
	w.must(err)
}

func (w *world) read() (*restore.Plan, error) {
	return restore.Read(w.t.Context(), restore.Sources{
		Run: runName, File: filepath.Join(w.workdir, spec.EngineStateFile), Journal: w.journal, Mirror: w.mirror,
	})
}

func (w *world) plan() *restore.Plan {
	w.t.Helper()
	p, err := w.read()
	w.must(err)
	return p
}

func (w *world) apply(p *restore.Plan) error {
	return p.Apply(w.t.Context(), restore.Target{
		Mirror: w.mirror, Journal: w.journal, Objects: bus.NewObjects(w.conn, runName, bus.StreamOptions{}), PayloadMax: w.conn.MaxPayload(),
		Begin: func(ctx context.Context, first uint64) error {
			return bus.BeginJournal(ctx, w.conn, runName, bus.StreamOptions{}, first)
		},
	})
}

// restored applies a plan and returns the tasks as the mirror then holds them. The offline checker must find nothing.
func (w *world) restored(p *restore.Plan) (map[spec.TaskID]*spec.Task, *bus.MirrorMeta) {
	w.t.Helper()
	w.must(w.apply(p))
	tasks := make(map[spec.TaskID]*spec.Task)
	var meta *bus.MirrorMeta
	_, err := w.mirror.Load(w.t.Context(), func(key string, value []byte) (err error) {
		switch key {
		case kv.KeyMeta:
			meta, err = bus.DecodeMirrorMeta(value)
		case kv.KeyBase:
			_, err = bus.DecodeMirrorBase(value)
		default:
			var v *bus.MirrorValue
			if v, err = bus.DecodeMirrorValue(value); err == nil {
				tasks[v.Task.Spec.ID] = v.Task
			}
		}
		return err
	})
	w.must(err)
	report, err := verify.Run(w.t.Context(), verify.Sources{Run: runName, Journal: w.journal, Mirror: w.mirror, Workdir: w.workdir})
	w.must(err)
	for _, v := range report.Violations {
		w.t.Errorf("verify: %s", v)
	}
	if report.Counts.Tasks != p.Tasks.All || report.Counts.Epochs != p.Epoch {
		w.t.Errorf("verify sees %+v", report.Counts)
	}
	return tasks, meta
}

// TestFromTheFilesAlone restores into a server that knows nothing.
func TestFromTheFilesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.plan()
	if want := (restore.Tasks{All: 6, Completed: 1, Failed: 1, Cancelled: 1, Queued: 3}); p.Tasks != want {
		t.Errorf("tasks %+v", p.Tasks)
	}
	if p.Lost() != 2 || !slices.Equal(p.Missing, []spec.TaskID{"gone"}) || p.Record <= 20 || p.Epoch <= 3 {
		t.Errorf("plan %+v", p)
	}
	tasks, meta := w.restored(p)
	done := tasks["done"]
	result, err := bus.DecodeResult(done.Outcome.Body)
	if err != nil || result.Metrics["loss"] != .25 || !math.IsNaN(result.Metrics["bad"]) || string(result.Output) != `{"note":"x"}` {
		t.Errorf("result %+v, %v", result, err)
	}
	if done.Attempt != 2 || done.Closed != 2 || result.Worker != "w" || result.Duration.Seconds() != 2.5 {
		t.Errorf("done: %+v, %+v", done, result)
	}
	if o := tasks["failed"].Outcome; o.Failure.Message != "exit status 3" || o.Order >= done.Outcome.Order {
		t.Errorf("failed: %+v", o)
	}
	if !tasks["cancelled"].Cancelled {
		t.Error("the cancelled task is not")
	}
	waits, runs := tasks["waits"], tasks["runs"]
	if waits.State != spec.StateQueued || waits.Attempt != 0 || waits.Priority != -3 || string(waits.Spec.Payload) != `{"n":12345678901234567890}` {
		t.Errorf("waits: %+v", waits)
	}
	if runs.State != spec.StateQueued || runs.Attempt <= 1 || runs.Closed != 0 || runs.Lease.Attempt != 1 || runs.Parent != "done" {
		t.Errorf("runs: %+v", runs)
	}
	if tasks["proposes"].Attempt <= 1 || meta.Meta.NextSeq != 7 || meta.Meta.NextOrder != 4 || !meta.Meta.Loaded {
		t.Errorf("proposes %+v, meta %+v", tasks["proposes"], meta)
	}
}

// TestFromTheMirror restores what the mirror holds; what the files know beyond that is added.
func TestFromTheMirror(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lease := &spec.Lease{Attempt: 1, Claim: 77, Worker: "w", Boot: 2, Class: "gpu"}
	w.mirrorOf(runID,
		&spec.Task{Spec: spec.TaskSpec{ID: "runs", Kind: "train"}, Seq: 4, State: spec.StateRunning, Attempt: 1, Lease: lease},
		&spec.Task{Spec: spec.TaskSpec{ID: "failed", Kind: "train"}, Seq: 3, State: spec.StateRunning, Attempt: 1, Lease: lease},
		&spec.Task{Spec: spec.TaskSpec{ID: "rung", Kind: "train"}, Seq: 8, State: spec.StateDispatched, Attempt: 3, Lease: &spec.Lease{Attempt: 3, Class: "gpu"}},
	)
	p := w.plan()
	if want := (restore.Tasks{All: 7, Completed: 1, Failed: 1, Cancelled: 1, Running: 1, Queued: 3}); p.Tasks != want {
		t.Errorf("tasks %+v", p.Tasks)
	}
	tasks, meta := w.restored(p)
	runs, rung := tasks["runs"], tasks["rung"]
	if runs.State != spec.StateRunning || runs.Lease.Claim != 77 || runs.Lease.Attempt != 1 || runs.Attempt <= 1 {
		t.Errorf("runs: %+v", runs)
	}
	if rung.State != spec.StateQueued || rung.Attempt <= 3 || rung.Lease.Attempt != 3 || rung.Seq != 8 {
		t.Errorf("rung: %+v", rung)
	}
	if tasks["failed"].State != spec.StateFailed || tasks["failed"].Seq != 3 || tasks["proposes"].Lease.Class != spec.ClassDefault {
		t.Errorf("failed %+v, proposes %+v", tasks["failed"], tasks["proposes"])
	}
	if meta.Watermark != 7 || meta.Time != 90 || !meta.Meta.Paused || meta.Meta.NextSeq <= 9 || meta.Meta.NextOrder <= 4 {
		t.Errorf("meta %+v", meta)
	}
	if _, err := w.read(); !errors.Is(err, restore.ErrSound) {
		t.Errorf("a restored journal can be restored: %v", err)
	}
}

// TestCutOff is cut off before the journal has its first record, and done again.
func TestCutOff(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(w *world) error{
		"before the journal was made": func(*world) error { return errors.New("cut off") },
		"before its first record": func(w *world) error {
			return errors.Join(bus.BeginJournal(w.t.Context(), w.conn, runName, bus.StreamOptions{}, 1<<30), errors.New("cut off"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			first := w.plan()
			err := first.Apply(t.Context(), restore.Target{
				Mirror: w.mirror, Journal: w.journal, Begin: func(context.Context, uint64) error { return begin(w) }, PayloadMax: 1 << 20,
			})
			if err == nil {
				t.Fatal("it was not cut off")
			}
			again := w.plan()
			if again.Record <= first.Record || again.Epoch <= first.Epoch {
				t.Errorf("again at record %d, epoch %d, after %d, %d", again.Record, again.Epoch, first.Record, first.Epoch)
			}
			tasks, _ := w.restored(again)
			if len(tasks) != first.Tasks.All || tasks["done"].Outcome == nil {
				t.Errorf("tasks %v", tasks)
			}
		})
	}
}

// TestLargePayload restores a payload that no message holds.
func TestLargePayload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	payload := spec.Payload(`{"text":"` + strings.Repeat("x", 2<<20) + `"}`)
	w.must(snapshot.Reader(w.workdir).WriteAt(spec.EngineState{Queued: []spec.TaskSpec{{ID: "large", Payload: payload}}}, 18))
	tasks, _ := w.restored(w.plan())
	if large := tasks["large"]; !large.Spec.Stored.Names(payload) || len(large.Spec.Payload) != 0 {
		t.Errorf("%d bytes, named %+v", len(large.Spec.Payload), large.Spec.Stored)
	}
}

// TestRefused says why nothing is restored.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(w *world)
		words []string
	}{
		"no record of a run": {func(w *world) { w.must(os.Remove(filepath.Join(w.workdir, snapshot.RunFile))) }, []string{"no run was led there"}},
		"no snapshot":        {func(w *world) { w.must(os.Remove(filepath.Join(w.workdir, spec.EngineStateFile))) }, []string{"engine_state.json"}},
		"another run":        {func(w *world) { w.mirrorOf("another") }, []string{"of run another", "--run"}},
		"a tree that is torn": {func(w *world) {
			w.must(os.WriteFile(filepath.Join(w.workdir, "engine", "tree.json"), []byte("[{"), 0o644))
		}, []string{"tree.json", "move it away"}},
		"a key that nobody knows": {func(w *world) {
			w.mirrorOf(runID)
			_, err := w.mirror.Flush(w.t.Context(), 1, []kv.Entry{{Key: "t.unknown", Value: []byte("rubbish")}})
			w.must(err)
		}, []string{"t.unknown", "nats kv del"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.spoil(w)
			_, err := w.read()
			if err == nil {
				t.Fatal("it was not refused")
			}
			for _, word := range c.words {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q is not in: %v", word, err)
				}
			}
		})
	}
}

// TestWhatIsWrong names what is wrong with a journal.
func TestWhatIsWrong(t *testing.T) {
	t.Parallel()
	record, err := bus.AppendRecord(nil, &bus.Record{Kind: bus.RecordEpoch, RunID: runID, Epoch: 1, Commit: 1, Part: 1, Parts: 1})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		fill func(w *world)
		want string
	}{
		"gone":  {func(*world) {}, "is gone"},
		"empty": {func(w *world) { _, err := w.journal.Ensure(t.Context()); w.must(err) }, "is empty"},
		"went backwards": {func(w *world) {
			w.must(bus.BeginJournal(t.Context(), w.conn, runName, bus.StreamOptions{}, 1))
			w.must(w.journal.Append(t.Context(), 0, record))
		}, "ends at record 1, below record 20"},
		"damaged": {func(w *world) {
			w.writeFiles(1)
			w.must(bus.BeginJournal(t.Context(), w.conn, runName, bus.StreamOptions{}, 1))
			damaged := slices.Clone(record)
			damaged[len(damaged)-1] ^= 1
			for last := range uint64(18) {
				w.must(w.journal.Append(t.Context(), last, damaged))
			}
		}, "checksum"},
		"purged beyond the mirror": {func(w *world) {
			w.must(bus.BeginJournal(t.Context(), w.conn, runName, bus.StreamOptions{}, 20))
			w.must(w.journal.Append(t.Context(), 19, record))
		}, "begins at record 20"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.fill(w)
			if p := w.plan(); !strings.Contains(p.Reason, c.want) {
				t.Errorf("it says %q", p.Reason)
			}
		})
	}
}
