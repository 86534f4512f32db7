package verify_test

import (
	"fmt"
	"strings"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/verify"
)

// purgeBelow removes the records below one, after the mirror was told what they added up to.
func (r *remains) purgeBelow(t *testing.T, seq uint64) {
	t.Helper()
	value, err := bus.EncodeMirrorBase(r.baseAt(t, seq))
	if err != nil {
		t.Fatal(err)
	}
	r.mirror[kv.KeyBase], r.purged = value, seq
}

// baseAt is what the journal adds up to at a record.
func (r *remains) baseAt(t *testing.T, seq uint64) *bus.MirrorBase {
	t.Helper()
	last := r.records[seq-1]
	b := &bus.MirrorBase{MirrorMeta: bus.MirrorMeta{
		RunID: last.RunID, Epoch: last.Epoch, Commit: last.Commit, Writer: last.Writer, JournalSeq: seq, Time: last.Time, Watermark: last.Watermark,
	}}
	tasks := make(map[spec.TaskID]*spec.Task)
	for _, record := range r.records[:seq] {
		if record.Meta != nil {
			b.Meta = *record.Meta
		}
		for _, c := range record.Changes {
			task, err := c.Apply(tasks[c.Task.Spec.ID])
			if err != nil {
				t.Fatal(err)
			}
			tasks[task.Spec.ID] = task
		}
	}
	b.Tasks, b.Meta.NextSeq, b.Meta.NextOrder = uint64(len(tasks)), 1, 1
	for _, task := range tasks {
		b.Meta.NextSeq = max(b.Meta.NextSeq, task.Seq+1)
		if task.Outcome != nil {
			b.Meta.NextOrder = max(b.Meta.NextOrder, task.Outcome.Order+1)
		}
		if task.State.Leased() {
			b.Leased = append(b.Leased, spec.Change{Task: task})
		}
	}
	return b
}

// TestAPurgedRunIsClean purges the journal of a finished run up to each of its records: nothing is wrong, and what is
// counted is the same.
func TestAPurgedRunIsClean(t *testing.T) {
	t.Parallel()
	whole := copyOf(t)
	want := whole.check(t).Counts
	for seq := uint64(2); seq <= uint64(len(whole.records)); seq++ {
		t.Run(fmt.Sprint(seq), func(t *testing.T) {
			t.Parallel()
			r := copyOf(t)
			r.purgeBelow(t, seq)
			report := r.check(t)
			wantClean(t, report)
			if report.Counts.Purged != seq-1 {
				t.Errorf("%d records are said to be purged, not %d", report.Counts.Purged, seq-1)
			}
			if report.Counts.Purged = 0; fmt.Sprint(report.Counts) != fmt.Sprint(want) {
				t.Errorf("counts %+v, before the purge %+v", report.Counts, want)
			}
		})
	}
}

// TestCorruptionsOfAPurgedRunAreFound changes what is left of a purged run.
func TestCorruptionsOfAPurgedRunAreFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		corrupt func(t *testing.T, r *remains)
		want    string
	}{
		"records that nobody announced as purged": {func(_ *testing.T, r *remains) { r.purged += 5 }, "are gone"},
		"no base":                         {func(_ *testing.T, r *remains) { delete(r.mirror, kv.KeyBase) }, "are gone"},
		"a flipped bit of the base":       {func(_ *testing.T, r *remains) { r.mirror[kv.KeyBase][20] ^= 1 }, "checksum"},
		"a task that the mirror has lost": {func(_ *testing.T, r *remains) { delete(r.mirror, kv.TaskKey("r")) }, "it holds"},
		"a lease above the budget": {func(_ *testing.T, r *remains) {
			r.meta(func(m *spec.Meta) { m.Rules.Budget = 1 })
		}, "the budget is 1"},
		"an outcome changed after the end": {func(_ *testing.T, r *remains) {
			r.workdir = ""
			r.appended(state(r.last("r"), func(t *spec.Task) { t.State = spec.StateFailed }))
		}, "it had ended"},
		"an older epoch": {func(_ *testing.T, r *remains) {
			r.workdir = ""
			r.appended().Epoch = 0
		}, "had begun"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := copyOf(t)
			if name == "a lease above the budget" {
				c.corrupt(t, r)
			}
			r.purgeBelow(t, uint64(len(r.records))/2)
			if name != "a lease above the budget" {
				c.corrupt(t, r)
			}
			if !found(r.check(t), c.want) {
				t.Errorf("%q was not found", c.want)
			}
		})
	}
}

func found(r *verify.Report, text string) bool {
	for _, v := range r.Violations {
		if strings.Contains(v.Text, text) {
			return true
		}
	}
	return false
}
