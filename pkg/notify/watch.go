package notify

import (
	"fmt"
	"strings"
	"time"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/engine"
	"autoresearch/pkg/spec"
)

// watch folds the events of one term into a mark and finds what is worth telling. It does nothing else.
type watch struct {
	view *coordinator.View
	name string
	mark mark
	// progress is when an experiment completed last, or the term began.
	progress time.Time
	patience []time.Duration // for how long nothing may complete before somebody is told, each once
}

// see folds events, and returns what they are worth telling. Of several new best values it is the last.
func (w *watch) see(events []coordinator.Event) []Notice {
	var notices []Notice
	var best *Notice
	for i := range events {
		e := &events[i]
		switch {
		case e.Act != nil && e.Act.Kind == spec.ActWarn:
			notices = append(notices, w.spent(e))
		case e.Change != nil && e.Change.Task.State == spec.StateCompleted:
			if n, found := w.completed(e); found {
				best = &n
			}
		case e.Meta != nil:
			if n, found := w.changed(e); found {
				notices = append(notices, n)
			}
		}
		w.mark.Seq, w.mark.Index = e.Seq, e.Index
	}
	if best != nil {
		notices = append([]Notice{*best}, notices...)
	}
	return notices
}

// notice begins a notice. what tells it from others of its event; it is the same from every leader.
func (w *watch) notice(event spec.NoticeEvent, what string, at time.Time) Notice {
	s := w.view.Status()
	return Notice{
		Version: NoticeVersion, ID: fmt.Sprintf("%s/%s/%s", w.mark.RunID, event, what), Event: event, Run: s.Run, Name: w.name,
		At: at.UTC(), Counts: countsOf(s.Experiments),
	}
}

func place(e *coordinator.Event) string { return fmt.Sprintf("%d.%d", e.Seq, e.Index) }

func (w *watch) when(e *coordinator.Event) time.Time {
	if e.Wall == 0 {
		return w.view.Clock()
	}
	return e.Wall.Time()
}

// completed looks at an experiment that ended well.
func (w *watch) completed(e *coordinator.Event) (Notice, bool) {
	row, known := w.view.Task(e.Change.Task.Spec.ID)
	if !known || !w.view.Counted(row.Task.Spec.Kind) {
		return Notice{}, false
	}
	if at := w.when(e); at.After(w.progress) {
		w.progress = at
		w.forgive()
	}
	o, previous := w.view.Objective(), w.mark.Best
	if o.Metric == "" || !w.mark.improve(o, row.Score) {
		return Notice{}, false
	}
	n := w.notice(spec.NoticeNewBest, place(e), w.when(e))
	n.Task, n.Metric, n.Direction, n.Value, n.Previous = row.Task.Spec.ID, o.Metric, "minimize", &row.Score, previous
	if o.Maximize {
		n.Direction = "maximize"
	}
	n.Text = fmt.Sprintf("run %s: new best %s %s by %s", n.Run, o.Metric, number(row.Score), n.Task)
	if previous != nil {
		n.Text += ", before " + number(*previous)
	}
	return n, true
}

// changed looks at the run's new state.
func (w *watch) changed(e *coordinator.Event) (Notice, bool) {
	before := w.mark.Status
	w.mark.Status = e.Meta.Status
	if e.Meta.Status != spec.StatusStopped || before == spec.StatusStopped || !e.Meta.Loaded {
		return Notice{}, false
	}
	experiments := w.view.Status().Experiments
	now := stop{Reason: e.Meta.StopReason, Ended: experiments.Completed + experiments.Failed + experiments.Cancelled}
	if w.mark.Stopped != nil && *w.mark.Stopped == now {
		return Notice{}, false
	}
	w.mark.Stopped = &now
	event := spec.NoticeStopped
	if strings.HasPrefix(e.Meta.StopReason, engine.ReasonBreaker) {
		event = spec.NoticeBreaker
	}
	n := w.notice(event, place(e), w.when(e))
	n.Reason = e.Meta.StopReason
	n.Text = fmt.Sprintf("run %s has stopped", n.Run)
	if n.Reason != "" {
		n.Text += ": " + n.Reason
	}
	return n, true
}

// spent tells that most of a limit is spent.
func (w *watch) spent(e *coordinator.Event) Notice {
	n := w.notice(spec.NoticeBudget, place(e), w.when(e))
	n.Limit, n.Used, n.Allowed = string(e.Act.Limit), e.Act.Used, e.Act.Value
	n.Text = fmt.Sprintf("run %s: %s", n.Run, e.Act.Reason)
	return n
}

func (w *watch) say(what string, value float64) {
	if w.mark.Said == nil {
		w.mark.Said = make(map[string]float64)
	}
	w.mark.Said[what] = value
}

// forgive begins a new time without progress.
func (w *watch) forgive() {
	for _, d := range w.patience {
		delete(w.mark.Said, sayingOf(d))
	}
}

func sayingOf(d time.Duration) string { return string(spec.NoticeNoProgress) + " " + d.String() }

// idle looks whether nothing has completed for too long. Time in which the run is stopped or paused does not count.
func (w *watch) idle() []Notice {
	now, meta := w.view.Clock(), w.view.Meta()
	if meta.Status != spec.StatusRunning || meta.Paused || meta.Drained {
		w.progress = now
		return nil
	}
	var notices []Notice
	for _, d := range w.patience {
		if _, said := w.mark.Said[sayingOf(d)]; said || now.Sub(w.progress) < d {
			continue
		}
		w.say(sayingOf(d), d.Seconds())
		n := w.notice(spec.NoticeNoProgress, fmt.Sprintf("%s-%d", d, w.progress.Unix()), now)
		n.ForSeconds = d.Seconds()
		n.Text = fmt.Sprintf("run %s: no experiment has completed for %s", n.Run, d)
		notices = append(notices, n)
	}
	return notices
}
