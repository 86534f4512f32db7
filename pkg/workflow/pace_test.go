package workflow

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"autoresearch/pkg/spec"
)

// timedRun is a run in virtual time, with as many slots as the file says and one for calls. Every call brings as many
// experiments as it is asked for.
type timedRun struct {
	*run
	experiment, call time.Duration
	untold           bool // results do not say how long they took

	now      time.Duration
	active   []active
	proposed int
	done     []active
	asked    []asked
}

// active is a task that runs, or ran, and what it was asked for if it is a call.
type active struct {
	task        spec.TaskSpec
	began, ends time.Duration
	want        int
}

// asked is a call: how many experiments were outstanding as it was made, and how many it was asked for.
type asked struct{ outstanding, want int }

func newTimedRun(t *testing.T, experiment, call time.Duration, concurrency, ahead int) *timedRun {
	t.Helper()
	text := fmt.Sprintf("max_concurrency: %d\nkinds: {experiment: {command: [./train]}}\ninitial: [", concurrency)
	for i := range concurrency + ahead {
		text += fmt.Sprintf("{id: first-%d, payload: {first: %d}, kind: experiment}, ", i, i)
	}
	text += fmt.Sprintf("]\nproposer: {command: [./think], ahead: %d}\n", ahead)
	return &timedRun{run: newRun(t, mustParse(t, text)), experiment: experiment, call: call}
}

// until lets the run go on.
func (r *timedRun) until(end time.Duration) {
	r.t.Helper()
	for r.now < end {
		r.dispatch()
		r.end()
	}
}

// dispatch begins what there are slots for.
func (r *timedRun) dispatch() {
	r.t.Helper()
	free := r.command.file.MaxConcurrency
	for _, a := range r.active {
		if a.task.Kind != KindPropose {
			free--
		}
	}
	for len(r.queue) > 0 && (free > 0 || r.calls()) {
		a := active{task: r.take(), began: r.now}
		a.ends = r.now + r.experiment
		if a.task.Kind == KindPropose {
			a.ends, a.want = r.now+r.call, r.ask(a.task)
		} else {
			free--
		}
		r.active = append(r.active, a)
	}
}

// calls reports whether a call is queued: it goes before all experiments.
func (r *timedRun) calls() bool {
	return slices.ContainsFunc(r.queue, func(s spec.TaskSpec) bool { return s.Kind == KindPropose })
}

// ask returns what a call is asked for, which is the same after a restart.
func (r *timedRun) ask(call spec.TaskSpec) (want int) {
	r.t.Helper()
	want = readInput(r.t, r.command, call).Want
	if again := readInput(r.t, r.restored(), call).Want; again != want {
		r.t.Errorf("%s is asked for %d, and for %d after a restart", call.ID, want, again)
	}
	r.asked = append(r.asked, asked{len(r.command.history.outstanding), want})
	return want
}

// end ends the task whose time comes first. What follows is the same after a restart.
func (r *timedRun) end() {
	r.t.Helper()
	first := 0
	for i, a := range r.active {
		if a.ends < r.active[first].ends {
			first = i
		}
	}
	a := r.active[first]
	r.active = append(r.active[:first:first], r.active[first+1:]...)
	r.now, r.done = a.ends, append(r.done, a)
	result := spec.TaskResult{Attempt: 1, Duration: a.ends - a.began}
	if r.untold {
		result.Duration = 0
	}
	for range a.want {
		r.proposed++
		result.Children = append(result.Children, child(spec.TaskID(fmt.Sprint("x", r.proposed)), fmt.Sprintf(`{"n":%d}`, r.proposed)))
	}
	r.finishTwice(a.task, result)
}

// busy is the share of the experiments' slots that was taken.
func (r *timedRun) busy(from, to time.Duration) float64 {
	var sum time.Duration
	for _, a := range append(r.done[:len(r.done):len(r.done)], r.active...) {
		if a.task.Kind != KindPropose {
			sum += max(0, min(a.ends, to)-max(a.began, from))
		}
	}
	return float64(sum) / float64(to-from) / float64(r.command.file.MaxConcurrency)
}

// TestNoSlotWaitsForAProposer has proposers that are slow beside the experiments: once that is known the slots stay busy.
func TestNoSlotWaitsForAProposer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		call               time.Duration
		concurrency, ahead int
	}{
		{5 * time.Second, 8, 16}, // what bench measures
		{5 * time.Second, 8, 8},
		{900 * time.Millisecond, 3, 1},
		{2 * time.Second, 1, 1},
		{15 * time.Second, 4, 4},
	} {
		t.Run(fmt.Sprintf("%v %d %d", c.call, c.concurrency, c.ahead), func(t *testing.T) {
			t.Parallel()
			r := newTimedRun(t, 2*time.Second, c.call, c.concurrency, c.ahead)
			from := 3 * c.call
			r.until(from + 45*time.Second)
			if busy := r.busy(from, from+45*time.Second); busy < 0.97 {
				t.Errorf("the slots were busy for %.3f of the time; asked %v", busy, r.asked)
			}
		})
	}
}

// TestQuickProposer asks a proposer that keeps up as one of which nothing is known: it holds to ahead.
func TestQuickProposer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		call               time.Duration
		concurrency, ahead int
	}{
		{100 * time.Millisecond, 8, 8}, // no experiment ends meanwhile
		{100 * time.Millisecond, 8, 2},
		{2 * time.Second, 8, 16}, // enough are ahead
		{5 * time.Second, 8, 48},
		{10 * time.Second, 8, 0}, // every call is to know all results
	} {
		t.Run(fmt.Sprintf("%v %d %d", c.call, c.concurrency, c.ahead), func(t *testing.T) {
			t.Parallel()
			r := newTimedRun(t, 2*time.Second, c.call, c.concurrency, c.ahead)
			untold := newTimedRun(t, 2*time.Second, c.call, c.concurrency, c.ahead)
			untold.untold = true
			for _, r := range []*timedRun{r, untold} {
				r.until(40 * time.Second)
			}
			if want := (asked{c.ahead, c.concurrency}); r.asked[0] != want || len(r.asked) < 3 || !reflect.DeepEqual(r.asked, untold.asked) {
				t.Errorf("asked %v, and %v when nothing is known", r.asked, untold.asked)
			}
		})
	}
}

// TestWhenACallIsDue has 8 slots and 16 specs ahead, or as many as the file says.
func TestWhenACallIsDue(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for _, c := range []struct {
		name        string
		calls       []time.Duration
		experiments []time.Duration
		overrides   []string
		few, want   int // the most outstanding experiments at a call, and what is wanted with none outstanding
	}{
		{"nothing known", nil, nil, nil, 16, 24},
		{"no call known", nil, []time.Duration{2 * s}, nil, 16, 24},
		{"no experiment known", []time.Duration{5 * s}, nil, nil, 16, 24},
		{"slow", []time.Duration{5 * s}, []time.Duration{2 * s}, nil, 28, 48},
		{"a part of one counts", []time.Duration{5*s + 1}, []time.Duration{2 * s}, nil, 29, 50},
		{"just enough ahead", []time.Duration{2 * s}, []time.Duration{2 * s}, nil, 16, 24},
		{"less than one ends", []time.Duration{s}, []time.Duration{9 * s}, []string{"proposer.ahead=1"}, 1, 9},
		{"one ends", []time.Duration{s}, []time.Duration{8 * s}, []string{"proposer.ahead=1"}, 9, 17},
		{"none ahead", []time.Duration{9 * s}, []time.Duration{s}, []string{"proposer.ahead=0"}, 0, 8},
		{"the longest call", []time.Duration{s, 5 * s, s, s}, []time.Duration{2 * s}, nil, 28, 48},
		{"of the last", []time.Duration{5 * s, s, s, s, s}, []time.Duration{2 * s}, nil, 16, 24},
		{"the mean experiment", []time.Duration{5 * s}, []time.Duration{s, 3 * s}, nil, 28, 48},
		{"of the newest", []time.Duration{5 * s}, append([]time.Duration{900 * s}, slices.Repeat([]time.Duration{2 * s}, 32)...), nil, 28, 48},
		{"all fail at once", []time.Duration{500 * s}, []time.Duration{1}, nil, 8 + 128, 8 + 256},
		{"by the stop rules", []time.Duration{5 * s}, []time.Duration{2 * s}, []string{"stop.max_experiments=30"}, 28, 29},
		{"by what a result may bring", []time.Duration{5 * s}, []time.Duration{2 * s}, []string{"limits={children: 40}"}, 28, 40},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(mustParse(t, asking, append([]string{"max_concurrency=8", "proposer.ahead=16"}, c.overrides...)...))
			for i, took := range c.experiments {
				result := failed() // its slot is free all the same
				result.Duration = took
				h.finish(spec.TaskSpec{ID: spec.TaskID(fmt.Sprint("x", i)), Kind: "experiment"}, result)
			}
			for i, took := range c.calls {
				h.finish(spec.TaskSpec{ID: proposeID(uint64(i + 1)), Kind: KindPropose}, spec.TaskResult{Duration: took})
			}
			quick := failed() // does not tell how long thinking takes
			quick.Duration = 1
			h.finish(spec.TaskSpec{ID: proposeID(100), Kind: KindPropose}, quick)
			h.finish(spec.TaskSpec{ID: proposeID(101), Kind: KindPropose}, spec.TaskResult{Duration: -s})
			if few, want := h.few(), h.want(); few != c.few || want != c.want {
				t.Errorf("called with %d outstanding and asked for %d, want %d and %d", few, want, c.few, c.want)
			}
		})
	}
}
