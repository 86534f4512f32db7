package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

// Sources is where to look. Run and Journal are required; what else is missing is not judged.
type Sources struct {
	Run     spec.RunName
	Journal bus.Journal
	Mirror  kv.Mirror
	Results ResultsFunc
	Rejects bus.Rejects
	// Workdir holds the files of a coordinator; "" for none.
	Workdir string
	// WorkerDirs are the directories of workers.
	WorkerDirs []string
}

// ErrNoRun says that nothing is known of a run.
var ErrNoRun = errors.New("there is no such run")

// Run checks everything there is of a run. The error says that something could not be read; what was wrong in what could
// be is in the report.
func Run(ctx context.Context, s Sources) (*Report, error) {
	report, err := look(ctx, s, false)
	if errors.Is(err, errOvertaken) {
		return look(ctx, s, true)
	}
	return report, err
}

// errOvertaken says that the journal begins after what the mirror told of its beginning: it may have been purged meanwhile.
var errOvertaken = errors.New("the journal was purged meanwhile")

// look checks everything once, in an order in which nothing is behind what was read before it.
func look(ctx context.Context, s Sources, again bool) (*Report, error) {
	f := NewFold()
	f.again = again
	f.run = s.Run
	attempts, err := readAttempts(s.WorkerDirs, s.Run, &f.findings)
	if err != nil {
		return nil, err
	}
	w := &files{}
	if s.Workdir != "" {
		if w, err = readFiles(s.Workdir, &f.findings); err != nil {
			return nil, err
		}
	}
	m := &mirror{}
	if s.Mirror != nil {
		if m, err = readMirror(ctx, s.Mirror, &f.findings); err != nil {
			return nil, err
		}
	}
	results, err := readResults(ctx, s.Results, s.Rejects)
	if err != nil {
		return nil, err
	}
	if err := f.begin(ctx, s.Journal, m); err != nil {
		return nil, err
	}
	if err := f.readJournal(ctx, s.Journal, append(m.stops(), w.stops...)); err != nil {
		return nil, err
	}
	if f.counts.Records == 0 && !m.there && !w.hasRecord {
		return nil, fmt.Errorf("run %q: %w: neither a journal nor a mirror", s.Run, ErrNoRun)
	}
	f.finish(attempts, results)
	return f.report(), nil
}

// stop is a comparison that is due when the fold has reached a journal position.
type stop struct {
	seq  uint64
	what string
	look func(*Fold)
}

// readJournal folds the journal and makes each comparison at its position.
func (f *Fold) readJournal(ctx context.Context, journal bus.Journal, stops []stop) error {
	slices.SortStableFunc(stops, func(a, b stop) int { return cmp.Compare(a.seq, b.seq) })
	begin := f.seq
	bounds, err := journal.Bounds(ctx)
	if err == nil && bounds.First > f.seq+1 && bounds.Last > 0 {
		if !f.again {
			return errOvertaken
		}
		f.violate(Violation{Invariant: NothingLost, Record: bounds.First}, "the journal begins here: records %d to %d are gone, and nothing says what they held",
			f.seq+1, bounds.First-1)
		f.seq, f.broken = bounds.First-1, true
	}
	if err == nil {
		err = journal.Read(ctx, f.seq+1, func(seq uint64, data []byte) error {
			stops = f.due(stops, seq, begin)
			f.Read(seq, data)
			return nil
		})
	}
	switch {
	case errors.Is(err, bus.ErrMissing):
		if len(stops) > 0 {
			f.violate(Violation{Invariant: NothingLost}, "the journal is gone")
		}
		return nil
	case errors.Is(err, bus.ErrGap):
		f.violate(Violation{Invariant: NothingLost, Record: f.seq + 1}, "the journal has a gap here: %v", err)
		f.broken = true
	case err != nil:
		return fmt.Errorf("read the journal: %w", err)
	}
	for _, s := range f.due(stops, f.seq+1, begin) {
		f.violate(Violation{Invariant: OneTruth, Record: s.seq, File: s.what}, "it is as of this record, and the journal ends at record %d", f.seq)
	}
	return nil
}

// due makes the comparisons that are due before the record at seq is read, and returns the others.
func (f *Fold) due(stops []stop, seq, begin uint64) []stop {
	for len(stops) > 0 && stops[0].seq < seq {
		s := stops[0]
		stops = stops[1:]
		switch {
		case f.broken:
		case s.seq < begin && s.what != "the mirror":
			f.pass("%s is as of record %d, before what is left of the journal", s.what, s.seq)
		default:
			s.look(f)
		}
	}
	return stops
}

// finish makes the comparisons that need the whole journal.
func (f *Fold) finish(e *executions, r *results) {
	if f.broken {
		f.pass("tasks after the first record that is missing or damaged, and mirror, files and logs beside them")
		return
	}
	f.judgeExecutions(e)
	f.judgeResults(r, e)
	f.judgeSuspicions(e)
	if f.meta.Rules == nil && f.counts.Attempts > 0 {
		f.pass("budget and order: the journal was written by a version that did not say by which rules it schedules")
	}
}

// judgeSuspicions decides failures that counted while another claim held the lease: right only where the holder's process
// was dead, which a later boot of its worker shows. Where its log was not read that is a doubt.
func (f *Fold) judgeSuspicions(e *executions) {
	for _, s := range f.stale {
		boot, read := e.boots[s.holder.worker]
		switch {
		case max(boot, f.boots[s.holder.worker]) > s.holder.boot:
		case read:
			f.violate(s.at, "a failure of attempt %d counted while attempt %d was held by %s", s.attempt, s.holder.attempt, s.holder.worker)
		default:
			f.doubt("task %q: a failure of attempt %d counted while attempt %d was held by %s, whose log was not read: right if it had died",
				s.at.Task, s.attempt, s.holder.attempt, s.holder.worker)
		}
	}
}

// sorted returns every task in order of arrival.
func (f *Fold) sorted() []*task {
	tasks := make([]*task, 0, len(f.tasks))
	for _, t := range f.tasks {
		tasks = append(tasks, t)
	}
	slices.SortFunc(tasks, func(a, b *task) int { return cmp.Compare(a.arrival, b.arrival) })
	return tasks
}

// report sums up.
func (f *Fold) report() *Report {
	n := f.counts
	n.Tasks = len(f.tasks)
	for _, t := range f.tasks {
		switch {
		case !t.state.Terminal():
			n.InFlight++
		case t.state == spec.StateCompleted:
			n.Completed++
		case t.byCancel:
			n.Cancelled++
		default:
			n.Failed++
		}
	}
	r := &Report{Run: f.run, RunID: f.runID, Status: f.meta.Status, Counts: n, Violations: f.violations, Doubts: f.doubts, Unjudged: f.unjudged}
	if r.Violations == nil {
		r.Violations = []Violation{}
	}
	return r
}
