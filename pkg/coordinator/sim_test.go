package coordinator

import (
	"flag"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	simSeed      = flag.Uint64("sim.seed", 0, "replay the history of this seed, with its trace")
	simHistories = flag.Int("sim.histories", 0, "how many histories; 0: 1500, a tenth with -short, a tenth with -race")
	simFirst     = flag.Uint64("sim.first", 1, "the first seed")
	simSteps     = flag.Int("sim.steps", 0, "go on until so many steps were taken; overrides sim.histories")
	simTail      = flag.Int("sim.tail", 120, "how many lines of the trace are shown; 0: all")
)

// simDefault is how many histories are played unless a flag says otherwise.
var simDefault = 1500

// historySteps bounds one history: one that takes longer does not come to an end.
const historySteps = 200_000

// TestSim plays many short histories: the product's coordinators on a modelled JetStream with modelled workers, in
// virtual time, with every fault that the model knows, and every promise checked after every step. A history that breaks
// one is played again with its trace. See docs/TESTING.md.
func TestSim(t *testing.T) {
	if *simSeed != 0 {
		replay(t, *simSeed)
		return
	}
	histories, steps := *simHistories, *simSteps
	switch {
	case histories == 0 && testing.Short():
		histories = simDefault / 10
	case histories == 0:
		histories = simDefault
	}
	began := time.Now()
	var next, played, taken atomic.Int64
	var broken atomic.Uint64
	var mu sync.Mutex
	seen := make(map[string]int)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for broken.Load() == 0 {
				n := next.Add(1) - 1
				if steps == 0 && n >= int64(histories) || steps > 0 && taken.Load() >= int64(steps) {
					return
				}
				w := newSimulation(*simFirst+uint64(n), false)
				if err := w.play(historySteps); err != nil {
					broken.CompareAndSwap(0, w.seed)
				}
				mu.Lock()
				for what, often := range w.check.seen {
					seen[what] += often
				}
				mu.Unlock()
				played.Add(1)
				taken.Add(int64(w.sched.Steps))
			}
		})
	}
	wg.Wait()
	seconds := time.Since(began).Seconds()
	t.Logf("%d histories, %d steps in %.1f s: %.0f histories/s", played.Load(), taken.Load(), seconds, float64(played.Load())/seconds)
	t.Logf("seen: %v", seen)
	if seed := broken.Load(); seed != 0 {
		replay(t, seed)
	}
}

// replay plays one history with its trace.
func replay(t *testing.T, seed uint64) {
	t.Helper()
	w := newSimulation(seed, true)
	err := w.play(historySteps)
	trace := w.trace
	if *simTail > 0 && len(trace) > *simTail {
		trace = append([]string{fmt.Sprintf("... %d lines before", len(trace)-*simTail)}, trace[len(trace)-*simTail:]...)
	}
	if err != nil {
		t.Fatalf("seed %d: %v\n%s\nreplay: go test ./pkg/coordinator -run TestSim -sim.seed=%d -sim.tail=0",
			seed, err, strings.Join(trace, "\n"), seed)
	}
	if *simSeed != 0 {
		t.Logf("seed %d, %d steps\n%s", seed, w.sched.Steps, strings.Join(trace, "\n"))
		return
	}
	t.Fatalf("seed %d broke a promise, and not when it was replayed: the simulator is not deterministic", seed)
}

// TestSimIsDeterministic plays histories twice: the same seed must be the same history, or no failure can be replayed.
func TestSimIsDeterministic(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		var first string
		for range 2 {
			w := newSimulation(seed, false)
			err := w.play(historySteps)
			history := fmt.Sprint(w.sched.Steps, w.sched.Now().UnixNano(), w.check.seq, w.check.seen, err)
			if first != "" && history != first {
				t.Errorf("seed %d: %s, and again %s", seed, first, history)
			}
			first = history
		}
	}
}
