package coordinator

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"autoresearch/internal/host"
	"autoresearch/internal/model"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

// keptRun is a run that an earlier build left; see package verify's tests, which write it.
const keptRun = "../verify/testdata/v1"

func readKept(t *testing.T, name string, content any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(keptRun, name))
	if err == nil {
		err = json.Unmarshal(text, content)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// recoverKept recovers a run of these records and keys on a server of its own.
func recoverKept(t *testing.T, journal [][]byte, mirror map[string][]byte) *fold {
	t.Helper()
	server := model.NewServer(time.Now)
	client := model.NewClient(server, model.Direct{Server: server}, nil)
	rec := recovery{run: "search", writer: 1}
	rec.ports = ports{journal: client.Journal(rec.run, bus.StreamOptions{}), mirror: client.Mirror(rec.run)}
	rec.commit = committer{journal: rec.ports.journal, run: string(rec.run), trouble: func(error) {}, host: host.Machine{}}
	if _, err := rec.ports.journal.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, data := range journal {
		if err := rec.ports.journal.Append(t.Context(), uint64(i), data); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := rec.ports.mirror.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	var last uint64
	for key, value := range mirror {
		var err error
		if last, err = rec.ports.mirror.Flush(t.Context(), last, []kv.Entry{{Key: key, Value: value}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := rec.recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	return rec.fold
}

// TestAKeptRunIsRecovered recovers the run that an earlier build left, from its journal alone and from its mirror: both say
// the same, and an engine goes on from it at each of its records.
func TestAKeptRunIsRecovered(t *testing.T) {
	t.Parallel()
	var journal [][]byte
	var mirror map[string][]byte
	readKept(t, "journal.json", &journal)
	readKept(t, "mirror.json", &mirror)
	replayed, mirrored := recoverKept(t, journal, nil), recoverKept(t, journal, mirror)
	if mirrored.mirrored == 0 || len(replayed.tasks) == 0 || len(replayed.tasks) != len(mirrored.tasks) {
		t.Fatalf("%d tasks from the journal, %d with the mirror up to record %d", len(replayed.tasks), len(mirrored.tasks), mirrored.mirrored)
	}
	for id, want := range replayed.tasks {
		if d := difference(want.task, mirrored.tasks[id].task); d != "" {
			t.Errorf("task %q: %s", id, d)
		}
	}
	for end := 1; end <= len(journal); end++ {
		f := recoverKept(t, journal[:end], nil)
		e := engine.New(engine.Config{Budget: 2, Hooks: true, LeaseTTL: time.Minute, WorkerTTL: time.Minute, Seed: 1})
		e.Restore(f.meta, 0)
		for _, folded := range f.inOrder() {
			e.Load(folded.task)
		}
		e.Recover(engine.Now{Engine: f.time})
		if n := e.Counts(); n.All() != len(f.tasks) {
			t.Errorf("up to record %d: the engine has %d tasks, the journal %d", end, n.All(), len(f.tasks))
		}
	}
	if n := stateCounts(replayed); n[spec.StateCompleted] != len(replayed.tasks) {
		t.Errorf("states %v", n)
	}
}

func stateCounts(f *fold) map[spec.TaskState]int {
	n := make(map[spec.TaskState]int)
	for _, folded := range f.tasks {
		n[folded.task.State]++
	}
	return n
}

// TestUnknownFieldsSurviveTheEngine recovers a task with a field that a newer version wrote: what is journaled of it next
// still has the field.
func TestUnknownFieldsSurviveTheEngine(t *testing.T) {
	t.Parallel()
	task := &spec.Task{
		Spec: spec.TaskSpec{ID: "t", Kind: "k", Extra: []spec.Field{{Name: "later", Value: json.RawMessage("1")}}}, Seq: 1, State: spec.StateQueued,
		Unknown: map[string][]byte{"future": {0xc3}},
	}
	record := &bus.Record{
		Kind: bus.RecordEpoch, RunID: "run", Epoch: 1, Commit: 1, Writer: 1, Part: 1, Parts: 1,
		Meta:    &spec.Meta{Status: spec.StatusRunning, Loaded: true, NextSeq: 2, NextOrder: 1, Unknown: map[string][]byte{"future": {0x07}}},
		Changes: []spec.Change{{Task: task, Parts: spec.PartAll}},
	}
	data, err := bus.AppendRecord(nil, record)
	if err != nil {
		t.Fatal(err)
	}
	f := recoverKept(t, [][]byte{data}, nil)
	e := engine.New(engine.Config{Budget: 1, LeaseTTL: time.Minute, WorkerTTL: time.Minute, Seed: 1})
	e.Restore(f.meta, 0)
	e.Load(f.tasks["t"].task)
	e.Recover(engine.Now{})
	e.Step(engine.Now{}, engine.Begin{Resume: true})
	e.Step(engine.Now{}, engine.Reprioritise{Task: "t", Priority: 3})
	out := e.Collect(engine.Now{})
	if len(out.Changes) != 1 || string(out.Changes[0].Task.Unknown["future"]) != "\xc3" || len(out.Changes[0].Task.Spec.Extra) != 1 {
		t.Errorf("changes %+v", out.Changes)
	}
	if meta := e.Meta(); string(meta.Unknown["future"]) != "\x07" {
		t.Errorf("meta %+v", meta)
	}
}
