package coordinator

import (
	"errors"
	"strings"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// record returns a commit record of run "u" with one change per id.
func record(epoch, commit uint64, part, parts int, ids ...string) *bus.Record {
	r := &bus.Record{Version: 1, Kind: bus.RecordCommit, RunID: "u", Epoch: epoch, Commit: commit, Part: part, Parts: parts}
	for _, id := range ids {
		r.Changes = append(r.Changes, spec.Change{
			Task: &spec.Task{Spec: task(id), State: spec.StateQueued}, Parts: spec.PartSpec,
		})
	}
	return r
}

func epochRecord(epoch, commit uint64) *bus.Record {
	return &bus.Record{Version: 1, Kind: bus.RecordEpoch, RunID: "u", Epoch: epoch, Commit: commit, Part: 1, Parts: 1}
}

func TestFold(t *testing.T) {
	t.Parallel()
	other := epochRecord(1, 2)
	other.RunID = "another"
	orphan := record(1, 2, 1, 1, "a")
	orphan.Changes[0].Parts = 0
	for name, test := range map[string]struct {
		records []*bus.Record
		tasks   string
		wrong   string // what the error says of the last record
	}{
		"commits":           {records: []*bus.Record{epochRecord(1, 1), record(1, 2, 1, 1, "a"), record(1, 3, 1, 1, "b")}, tasks: "a b"},
		"a series":          {records: []*bus.Record{epochRecord(1, 1), record(1, 2, 1, 2, "a"), record(1, 2, 2, 2, "b")}, tasks: "a b"},
		"half a series":     {records: []*bus.Record{epochRecord(1, 1), record(1, 2, 1, 2, "a")}, tasks: ""},
		"a voided series":   {records: []*bus.Record{epochRecord(1, 1), record(1, 2, 1, 2, "a"), epochRecord(2, 2), record(2, 3, 1, 1, "b")}, tasks: "b"},
		"an old epoch":      {records: []*bus.Record{epochRecord(1, 1), epochRecord(2, 2), record(1, 3, 1, 1, "a")}, wrong: "epoch 1 after epoch 2"},
		"a skipped commit":  {records: []*bus.Record{epochRecord(1, 1), record(1, 3, 1, 1, "a")}, wrong: "commit 3 after commit 1"},
		"a repeated commit": {records: []*bus.Record{epochRecord(1, 1), record(1, 2, 1, 1, "a"), record(1, 2, 1, 1, "a")}, wrong: "commit 2 after commit 2"},
		"a lost part":       {records: []*bus.Record{epochRecord(1, 1), record(1, 2, 2, 2, "a")}, wrong: "part 2 of 2 where part 1 was due"},
		"no epoch record":   {records: []*bus.Record{epochRecord(1, 1), record(2, 2, 1, 1, "a")}, wrong: "without its epoch record"},
		"the same epoch":    {records: []*bus.Record{epochRecord(1, 1), epochRecord(1, 2)}, wrong: "a second epoch record"},
		"another run":       {records: []*bus.Record{epochRecord(1, 1), other}, wrong: "of run another"},
		"no beginning":      {records: []*bus.Record{epochRecord(1, 1), orphan}, wrong: "carries no spec"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFold(0)
			var err error
			for i, r := range test.records {
				if err = f.read(uint64(i+1), r); err != nil && i < len(test.records)-1 {
					t.Fatalf("record %d: %v", i+1, err)
				}
			}
			if test.wrong != "" {
				var foldErr *spec.FoldError
				if !errors.As(err, &foldErr) || !strings.Contains(err.Error(), test.wrong) {
					t.Fatalf("read: %v, want %q", err, test.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range strings.Fields(test.tasks) {
				if f.tasks[spec.TaskID(id)] == nil {
					t.Errorf("task %s is missing", id)
				}
			}
			if want := len(strings.Fields(test.tasks)); len(f.tasks) != want {
				t.Errorf("%d tasks, want %d", len(f.tasks), want)
			}
		})
	}
}

func TestFoldRefusesAGap(t *testing.T) {
	t.Parallel()
	f := newFold(0)
	if err := f.read(4, epochRecord(1, 1)); err != nil {
		t.Fatal(err)
	}
	if err := f.read(6, record(1, 2, 1, 1, "a")); err == nil || !strings.Contains(err.Error(), "it follows record 4") {
		t.Fatalf("read: %v", err)
	}
}

// TestFoldKeepsWhatTheMirrorHasNewer replays records over a mirror whose flush was cut short after some newer values.
func TestFoldKeepsWhatTheMirrorHasNewer(t *testing.T) {
	t.Parallel()
	f := newFold(0)
	f.startAt(&bus.MirrorMeta{RunID: "u", Epoch: 1, Commit: 1, JournalSeq: 1})
	f.put(&bus.MirrorValue{JournalSeq: 3, Task: &spec.Task{Spec: task("a"), State: spec.StateCompleted}})
	for seq := uint64(2); seq <= 3; seq++ {
		if err := f.read(seq, record(1, seq, 1, 1, "a")); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.tasks["a"].task.State; got != spec.StateCompleted {
		t.Errorf("an older record replaced the mirror's value: %s", got)
	}
}

func TestEngineTimeStandsStill(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	c := engineClock{last: begin}
	for _, step := range []struct {
		wall, heard time.Duration
		want        spec.EngineTime
	}{
		{100 * time.Millisecond, 0, 100 * time.Millisecond},
		{600 * time.Millisecond, 0, 600 * time.Millisecond},
		{time.Hour, time.Hour, 1600 * time.Millisecond},                                             // it slept: one second
		{time.Hour + 10*time.Second, time.Hour, 1600 * time.Millisecond},                            // NATS is away: none
		{time.Hour + 20*time.Second, time.Hour + 20*time.Second, 2600 * time.Millisecond},           // back
		{time.Hour, time.Hour + 20*time.Second, 2600 * time.Millisecond},                            // the wall clock jumps back
		{time.Hour + 50*time.Millisecond, time.Hour + 50*time.Millisecond, 2650 * time.Millisecond}, // and goes on
	} {
		if got := c.advance(begin.Add(step.wall), begin.Add(step.heard)); got.Engine != step.want {
			t.Fatalf("at %v: engine time %v, want %v", step.wall, got.Engine, step.want)
		}
	}
}
