package api

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// line is what stands between a queued task and its start.
type line struct {
	view   *coordinator.View
	task   *spec.Task
	class  string
	meta   spec.Meta
	cfg    engine.Config
	ahead  int // ready tasks of the class that are more urgent
	leases int // of the class
	slots  int // of the class, that workers offer
	free   int
	others int // leases of counted kinds
}

// waiting says why a queued task does not run.
func waiting(view *coordinator.View, t *spec.Task) *Waiting {
	l := &line{view: view, task: t, class: view.Class(t.Spec.Kind), meta: view.Meta(), cfg: view.Config()}
	l.count()
	w := &Waiting{Class: l.class, Reasons: l.reasons()}
	if !l.delayed(t) {
		w.Place = l.ahead + 1
	}
	w.ExpectedAt = l.expected(w)
	return w
}

func (l *line) delayed(t *spec.Task) bool { return t.NotBefore > l.view.Now() }

// count looks at the queue and at the workers.
func (l *line) count() {
	for _, row := range l.view.Scan(0, coordinator.Live) {
		t := row.Task
		switch {
		case t.State.Leased():
			if t.Lease.Class == l.class {
				l.leases++
			}
			if l.view.Counted(t.Spec.Kind) {
				l.others++
			}
		case t.State == spec.StateQueued && t != l.task && l.view.Class(t.Spec.Kind) == l.class && !l.delayed(t) && before(t, l.task):
			l.ahead++
		}
	}
	for _, c := range classesOf(l.view) {
		if c.Name == l.class {
			l.slots, l.free = c.Slots, c.Free
		}
	}
}

// before is the order of the queue.
func before(a, b *spec.Task) bool {
	return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.Seq, b.Seq)) < 0
}

// reasons lists everything that keeps the task, what a person can change first.
func (l *line) reasons() []Reason {
	var list []Reason
	say := func(when bool, code, format string, args ...any) {
		if when {
			list = append(list, Reason{Code: code, Text: fmt.Sprintf(format, args...)})
		}
	}
	status, counts := l.view.Status(), l.view.Status().Counts
	budget := cmp.Or(l.meta.Budget, max(1, l.cfg.Budget))
	classBudget := l.meta.ClassBudgets[l.class]
	say(!l.meta.Loaded, "loading", "the first tasks are still being loaded")
	say(l.meta.Paused, "run_paused", "the run is paused")
	say(slices.Contains(l.meta.PausedClasses, l.class), "class_paused", "class %s is paused", l.class)
	say(l.meta.Drained, "drained", "the run is being drained")
	say(!l.meta.Drained && (status.Reason != "" || status.Status != spec.StatusRunning), "stopped",
		"the run dispatches nothing more: %s", cmp.Or(status.Reason, string(status.Status)))
	if l.delayed(l.task) {
		wait := l.task.NotBefore - l.view.Now()
		say(true, "delayed", "it is tried again in %s, after a failure", wait.Round(time.Second))
		return list
	}
	root, limit, blocked := l.view.Blocking(l.task)
	say(blocked, "allowance", "what task %s and its descendants may spend is spent: %s is reached", root, limit)
	say(l.slots == 0, "no_worker", "no worker offers slots of class %s", l.class)
	say(l.slots > 0 && l.free == 0, "no_slot", "all %d slots of class %s are taken", l.slots, l.class)
	share, shared := l.view.Share(l.class)
	say(shared && l.leases >= share, "share", "the run's share of class %s, %d of %d slots, is taken: other runs want the rest",
		l.class, share, l.slots)
	say(l.view.Counted(l.task.Spec.Kind) && l.others >= budget, "budget", "the budget of %d experiments at once is used up", budget)
	say(classBudget > 0 && l.leases >= classBudget, "class_budget", "the budget of %d for class %s is used up", classBudget, l.class)
	reported := cmp.Or(l.cfg.MaxReported, engine.MaxReportedDefault)
	say(counts.Reported >= reported, "hooks_behind", "%d results wait for the workflow's hook", counts.Reported)
	say(l.ahead > 0, "in_line", "%d tasks of class %s are more urgent, or as urgent and earlier", l.ahead, l.class)
	say(len(list) == 0, "next", "it is next")
	return list
}

// held are the reasons that only a person ends: while one holds, nobody knows when the task begins.
var held = []string{"run_paused", "class_paused", "drained", "stopped", "allowance", "no_worker"}

// expected estimates when the task begins: at the rate at which the class's tasks end, those ahead must make room first.
func (l *line) expected(w *Waiting) *time.Time {
	if slices.ContainsFunc(w.Reasons, func(r Reason) bool { return slices.Contains(held, r.Code) }) {
		return nil
	}
	now := l.view.Clock().UTC()
	if l.delayed(l.task) {
		at := now.Add(l.task.NotBefore - l.view.Now())
		return &at
	}
	rate := l.view.PerMinute(l.class)
	if rate <= 0 {
		return nil
	}
	at := now.Add(time.Duration(float64(l.ahead+1) / rate * float64(time.Minute)))
	return &at
}
