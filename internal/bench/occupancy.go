package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
	"autoresearch/pkg/workflow"
)

// Occupancy is how busy slots are while a proposer thinks: time that tasks ran, of the time that slots were there.
type Occupancy struct {
	Occupancy float64   `json:"occupancy"`
	MinMax    MinMax    `json:"min_max"`
	Rounds    []float64 `json:"rounds"`
	Slots     int       `json:"slots"`
	TaskS     float64   `json:"task_s"`
	ProposerS float64   `json:"proposer_s"`
	Ahead     int       `json:"ahead"`
	WallS     float64   `json:"wall_s"`
	Tasks     int       `json:"tasks"`
}

func (o *Occupancy) targets() []Target {
	return []Target{atLeast("busy / (slots x wall)", o.Occupancy, 0.97)}
}

func (o *Occupancy) lines(name string) []string {
	return []string{
		fmt.Sprintf("%s: %d slots, commands of %g s, a proposer command of %g s, ahead %d, %g s in %d parts (least to most)", name, o.Slots,
			o.TaskS, o.ProposerS, o.Ahead, o.WallS, len(o.Rounds)),
		fmt.Sprintf("  busy %.4f (%.4f to %.4f), %d tasks", o.Occupancy, o.MinMax[0], o.MinMax[1], o.Tasks),
	}
}

// What occupancy runs.
const (
	occupancySlots = 8
	occupancyAhead = 16
	classPlanning  = "planning"
)

// occupancySearch is a workflow file: an experiment waits, and so does the proposer, which then names as many new ones as
// it is asked for.
const occupancySearch = `
name: occupancy
max_concurrency: %d
kinds:
  experiment: {command: [sleep, "%g"]}
initial: [%s]
proposer:
  command: [sh, -c, '
    want=$(sed -n "s/.*\"want\":\([0-9]*\).*/\1/p"); sleep %g;
    for i in $(seq $want); do echo "{\"id\":\"{{.id}}-$i\",\"payload\":{\"n\":\"{{.id}}-$i\"}}"; done']
  class: %s
  ahead: %d
`

func measureOccupancy(ctx context.Context, s *site) (_ Result, err error) {
	search, err := s.search()
	if err != nil {
		return nil, err
	}
	conn, err := s.connect(ctx, "bench coordinator")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	o := coordinator.Options{Run: "occupancy", Workflow: search, Name: "bench", MaxConcurrency: occupancySlots}
	l, err := lead(ctx, conn, o, s.log)
	if err != nil {
		return nil, err
	}
	defer l.stop()
	w := work(ctx, workerOptions{
		url: s.url, dir: s.path("worker"), slots: map[string]int{spec.ClassDefault: occupancySlots, classPlanning: 1},
		log: s.log,
	})
	defer w.stop()
	return search.watch(ctx, s)
}

// search writes the workflow file and reads it as a workflow.
func (s *site) search() (*search, error) {
	sizes := s.o.Sizes
	var initial []byte
	for i := range occupancySlots + occupancyAhead {
		initial = fmt.Appendf(initial, "{id: first-%d, kind: experiment, payload: {n: %d}}, ", i, i)
	}
	text := fmt.Sprintf(occupancySearch, occupancySlots, sizes.OccupancyTask.Seconds(), initial, sizes.ProposerTime.Seconds(),
		classPlanning, occupancyAhead)
	path := s.path("workflow") + ".yaml"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return nil, err
	}
	file, err := workflow.Read(path, nil)
	if err != nil {
		return nil, err
	}
	return &search{Command: workflow.NewCommand(file, "")}, nil
}

// search is a command workflow that notes when its experiments ran.
type search struct {
	*workflow.Command

	mu  sync.Mutex
	ran [][2]time.Time
	err error // the first failure
}

// OnResult implements spec.Workflow.
func (s *search) OnResult(ctx context.Context, t spec.TaskSpec, r spec.TaskResult) ([]spec.TaskSpec, error) {
	s.note(t, r)
	return s.Command.OnResult(ctx, t, r)
}

func (s *search) note(t spec.TaskSpec, r spec.TaskResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Failure != nil && s.err == nil:
		s.err = fmt.Errorf("task %q failed: %s", t.ID, r.Failure.Message)
	case t.Kind != workflow.KindPropose:
		s.ran = append(s.ran, [2]time.Time{r.Started, r.Started.Add(r.Duration)})
	}
}

// watch lets the search go on for all rounds, from the start of the first experiment, and until what runs then is over.
func (s *search) watch(ctx context.Context, site *site) (*Occupancy, error) {
	sizes, rounds := site.o.Sizes, site.o.Rounds
	wall := time.Duration(rounds) * sizes.OccupancyRound
	first, err := s.first(ctx)
	if err == nil {
		err = rest(ctx, time.Until(first)+wall+2*sizes.OccupancyTask+sizes.OccupancyRound/10)
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	o := &Occupancy{
		Slots: occupancySlots, TaskS: sizes.OccupancyTask.Seconds(), ProposerS: sizes.ProposerTime.Seconds(),
		Ahead: occupancyAhead, WallS: wall.Seconds(), Tasks: len(s.ran),
	}
	for n := range rounds {
		from := first.Add(time.Duration(n) * sizes.OccupancyRound)
		o.Rounds = append(o.Rounds, busyBetween(s.ran, from, from.Add(sizes.OccupancyRound), o.Slots))
	}
	o.Occupancy, o.MinMax = median(o.Rounds, func(r float64) float64 { return r })
	return o, nil
}

// first waits until an experiment has ended and returns when the first of those that have began.
func (s *search) first(ctx context.Context) (began time.Time, err error) {
	for wait := time.Now(); time.Since(wait) < stuckAfter; {
		s.mu.Lock()
		err := s.err
		for _, r := range s.ran {
			if began.IsZero() || r[0].Before(began) {
				began = r[0]
			}
		}
		s.mu.Unlock()
		if err != nil || !began.IsZero() {
			return began, err
		}
		if err := rest(ctx, pollSlow); err != nil {
			return began, err
		}
	}
	return began, errStuck
}

// busyBetween is the share of the slots' time that the intervals take.
func busyBetween(ran [][2]time.Time, from, to time.Time, slots int) float64 {
	var busy time.Duration
	for _, r := range ran {
		began, ended := r[0], r[1]
		if began.Before(from) {
			began = from
		}
		if ended.After(to) {
			ended = to
		}
		busy += max(0, ended.Sub(began))
	}
	return float64(busy) / (float64(slots) * float64(to.Sub(from)))
}
