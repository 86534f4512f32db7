package api

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

func (c *call) version() error {
	return c.answer(VersionAnswer{Version: c.server.o.Version})
}

func (c *call) listRuns() error {
	if _, err := c.query(); err != nil {
		return err
	}
	return c.answer(RunList{Runs: c.runs()})
}

func (c *call) showRun() error {
	if _, err := c.query(); err != nil {
		return err
	}
	if c.run == nil {
		name, err := c.pathRun()
		if err != nil {
			return err
		}
		return c.answerNamed(name)
	}
	return c.answerRun()
}

// answerRun answers with the run as it is now.
func (c *call) answerRun() error {
	run := runOf(c.run, c.view)
	if entry, registered := c.server.entry(run.Name); registered {
		entry.note(&run)
	}
	c.setVersion(run.Version)
	return c.answer(run)
}

// runOf describes a run; view is nil where it is not led.
func runOf(r Served, view *coordinator.View) Run {
	role, _, _ := r.Readiness()
	run := Run{Name: r.Name(), Role: string(role)}
	if l := r.Leader(); l.Here || l.Known {
		run.Leader = &Leader{Host: l.Host, PID: l.PID, URL: l.HTTP}
	}
	if view == nil {
		return run
	}
	s, meta, cfg := view.Status(), view.Meta(), view.Config()
	run.Status, run.Reason, run.Epoch, run.PerMinute = string(s.Status), s.Reason, s.Epoch, s.PerMinute
	run.Version = VersionText(meta.SettingsVersion())
	run.Counts, run.Totals, run.Tasks = countsOf(s.Counts), totalsOf(s.Counts), view.Size()
	run.Objective, run.Best = objectiveOf(view.Objective()), bestOf(s.Best)
	run.Paused, run.Drained = meta.Paused, meta.Drained
	run.Configured = max(1, cfg.Budget)
	run.Budget = cmp.Or(meta.Budget, run.Configured)
	run.Classes = classesOf(view)
	run.Limits = limitsOf(view.Allowance())
	run.ActiveSeconds = view.Now().Seconds()
	run.Spent = spentOf(view, view.Spent())
	return run
}

func countsOf(n engine.Counts) *Counts {
	return &Counts{
		Queued: n.Queued, Delayed: n.Delayed, Dispatched: n.Dispatched, Running: n.Running, Reported: n.Reported,
		Completed: n.Completed, Failed: n.Failed, Cancelled: n.Cancelled, Planning: n.Planning, Experiments: n.Experiments,
	}
}

func totalsOf(n engine.Counts) *Totals {
	return &Totals{
		Duplicates: n.Duplicates, Superseded: n.Superseded, Rejected: n.Rejected, Retries: n.Retries, Lost: n.Lost,
		Preempted: n.Preempted, Readopted: n.Readopted, OverBudget: n.OverBudget, Republished: n.Republished,
	}
}

func objectiveOf(o spec.Objective) *Objective {
	if o.Metric == "" {
		return nil
	}
	if o.Maximize {
		return &Objective{Metric: o.Metric, Direction: "maximize"}
	}
	return &Objective{Metric: o.Metric, Direction: "minimize"}
}

func bestOf(b *coordinator.Best) *Best {
	if b == nil {
		return nil
	}
	return &Best{Task: b.Task, Value: Number(b.Value)}
}

// classesOf returns the classes that the run's kinds run in, that workers offer, or that somebody set something for.
func classesOf(view *coordinator.View) []Class {
	meta, found := view.Meta(), map[string]*Class{}
	class := func(name string) *Class {
		c, known := found[name]
		if !known {
			c = &Class{Name: name, Paused: slices.Contains(meta.PausedClasses, name), Budget: meta.ClassBudgets[name]}
			found[name] = c
		}
		return c
	}
	class(view.Class(spec.KindDefault))
	for kind := range view.Config().Kinds {
		class(view.Class(kind))
	}
	for _, name := range meta.PausedClasses {
		class(name)
	}
	for name := range meta.ClassBudgets {
		class(name)
	}
	for _, w := range view.Workers() {
		if !counts(view, &w) {
			continue
		}
		for _, s := range w.Slots {
			c := class(s.Class)
			c.Slots, c.Free = c.Slots+s.Total, c.Free+s.Free
		}
	}
	classes := make([]Class, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if share, shared := view.Share(name); shared {
			found[name].Share = &share
		}
		classes = append(classes, *found[name])
	}
	return classes
}

// counts reports whether a worker's slots are there to be used.
func counts(view *coordinator.View, w *coordinator.Worker) bool {
	return !w.Leaving && !silent(view, w)
}

func silent(view *coordinator.View, w *coordinator.Worker) bool {
	ttl := cmp.Or(view.Config().WorkerTTL, engine.WorkerTTLDefault)
	return view.Clock().Sub(w.Heard) > ttl
}

func (c *call) listWorkers() error {
	if _, err := c.query(); err != nil {
		return err
	}
	list := []Worker{}
	now := c.view.Clock()
	for _, w := range c.view.Workers() {
		shown := Worker{
			ID: w.ID, Host: w.Host, Boot: w.Boot, Leaving: w.Leaving, HeardAt: w.Heard.UTC(), Silent: silent(c.view, &w),
			Slots: []Slots{}, Running: []Holding{}, Others: w.Others, Labels: w.Labels, Breaker: w.Breaker,
		}
		for _, g := range w.GPUs {
			shown.GPUs = append(shown.GPUs, GPU(g))
		}
		for _, s := range w.Slots {
			shown.Slots = append(shown.Slots, Slots{Class: s.Class, Total: s.Total, Free: s.Free})
		}
		for _, h := range w.Running {
			shown.Running = append(shown.Running, Holding{
				Task: h.Task, Attempt: h.Attempt, StartedAt: h.Started.UTC(), Seconds: now.Sub(h.Started).Seconds(),
				Progress: h.Progress, Metrics: numbers(h.Metrics),
			})
		}
		list = append(list, shown)
	}
	return c.answer(WorkerList{Workers: list})
}

// at returns a wall-clock time, nil when unknown.
func at(w spec.WallTime) *time.Time {
	if w == 0 {
		return nil
	}
	t := w.Time()
	return &t
}
