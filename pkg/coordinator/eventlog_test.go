package coordinator

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// TestEventsOfJournalAndMemory checks that the events of a run are the same from the log in memory and from the journal,
// also from the middle of a record, and for the leader that takes over.
func TestEventsOfJournalAndMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stay := func(o *Options) { o.ExitWhenStopped = false }
	c := w.coordinate(newTree(3, 2), stay)
	v := viewOf(t, c)
	steer(t, c, engine.Pause{Class: "gpu", On: true, Asked: engine.Asked{By: "anna", Reason: "maintenance"}})
	specs := make([]spec.TaskSpec, 500)
	for i := range specs {
		specs[i] = task(fmt.Sprint("s", i))
	}
	steer(t, c, engine.Submit{Specs: specs, Asked: engine.Asked{By: "anna"}})
	w.work(4, func(context.Context, spec.Attempt) (spec.TaskResult, error) { return spec.TaskResult{}, nil })
	eventually(t, "all is done", func() bool { return v.Status().Counts.Live() == 0 && v.Status().Counts.Completed > 500 })

	remembered, err := v.Events(t.Context(), Position{Seq: 1, Index: maxIndex}, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	journaled, err := v.journaled(t.Context(), Position{Seq: 1, Index: maxIndex}, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	wantSameEvents(t, remembered, journaled)
	middle := remembered[len(remembered)/2].Position
	rest, err := v.journaled(t.Context(), middle, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	wantSameEvents(t, rest, remembered[len(remembered)/2+1:])

	c.cancel()
	c.wait(t)
	next := viewOf(t, w.coordinate(newTree(3, 2), stay))
	after, err := next.Events(t.Context(), middle, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	wantSameEvents(t, after[:len(rest)], rest)
	if taken := after[len(rest)]; taken.Epoch != 2 {
		t.Errorf("after the first leader's events comes %+v, want the second leader", taken)
	}
	acts, complete, err := next.Tail(t.Context(), 10, func(e *Event) bool { return e.Act != nil })
	if err != nil || !complete || len(acts) != 2 || acts[0].Act.Reason != "maintenance" || acts[1].Act.Count != 500 {
		t.Errorf("what was asked for: %+v, complete %v, %v", acts, complete, err)
	}
	if newest, complete, err := next.Tail(t.Context(), 1, func(e *Event) bool { return e.Act != nil }); err != nil ||
		complete || len(newest) != 1 || newest[0].Position != acts[1].Position {
		t.Errorf("the newest of it: %+v, complete %v, %v", newest, complete, err)
	}
}

// TestEventLogForgets checks that a log which has dropped commits says so.
func TestEventLogForgets(t *testing.T) {
	t.Parallel()
	l := newEventLog(10)
	for seq := range uint64(4) {
		c := &committed{position: position{seq: 11 + seq}, changed: make([]*spec.Task, eventLogMax/2)}
		l.follow(c)
	}
	if len(l.commits) != 1 || l.floor != 13 {
		t.Fatalf("%d commits after record %d", len(l.commits), l.floor)
	}
	for _, test := range []struct {
		p       Position
		commits int
		all     bool
	}{
		{Position{Seq: 12}, 1, false},
		{Position{Seq: 13, Index: 5}, 1, false}, // the rest of record 13 is gone
		{Position{Seq: 13, Index: maxIndex}, 1, true},
		{Position{Seq: 14}, 1, true},
		{Position{Seq: 15}, 0, true},
	} {
		if commits, all := l.after(test.p); len(commits) != test.commits || all != test.all {
			t.Errorf("after %v: %d commits, all %v", test.p, len(commits), all)
		}
	}
}

// viewOf waits until the coordinator leads.
func viewOf(t *testing.T, c *served) (v *View) {
	t.Helper()
	eventually(t, "it leads", func() bool {
		var err error
		v, err = c.View()
		return err == nil
	})
	return v
}

func steer(t *testing.T, c *served, ev engine.Event) engine.Reply {
	t.Helper()
	r, err := c.Steer(t.Context(), ev)
	if err != nil {
		t.Fatalf("%T: %v", ev, err)
	}
	return r
}

// wantSameEvents compares events by what both sources know.
func wantSameEvents(t *testing.T, got, want []Event) {
	t.Helper()
	a, b := saidBy(got), saidBy(want)
	if !slices.Equal(a, b) {
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("event %d of %d and %d:\n%s\n%s", i, len(a), len(b), a[i], b[i])
			}
		}
		t.Fatalf("%d events, want %d", len(a), len(b))
	}
}

func saidBy(events []Event) (said []string) {
	for _, e := range events {
		text := fmt.Sprint(e.Position, e.Wall, e.Epoch)
		switch {
		case e.Act != nil:
			text += fmt.Sprintf(" %+v", *e.Act)
		case e.Change != nil:
			t := e.Change.Task
			text += fmt.Sprint(" ", t.Spec.ID, t.State, t.Attempt, e.Change.Parts, t.Priority, t.Lease != nil)
			if e.Change.Parts&spec.PartOutcome != 0 {
				text += fmt.Sprint(" ", t.Outcome.Order)
			}
		case e.Meta != nil:
			text += fmt.Sprint(" ", e.Meta.Status, e.Meta.PausedClasses)
		}
		said = append(said, text)
	}
	return said
}
