//go:build linux

package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// chaosSeed returns the seed of the random kills: E2E_SEED, or a new one. It is shown when the test fails.
func chaosSeed(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("E2E_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("E2E_SEED: %v", err)
		}
	}
	t.Logf("E2E_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// atRandom waits for the moment of a fault: the wait is the fault's own, not one for a sign.
func atRandom(random *rand.Rand, within time.Duration) {
	time.Sleep(time.Duration(random.Int64N(int64(within))))
}

// growingTree returns roots that each have three children, of 0.05 to 0.15 s each, and all the ids.
func growingTree(roots int) (list []task, all []string) {
	for i := range roots {
		children := tasks(3, fmt.Sprintf("r%d.%%d", i), payload{"seconds": 0.05, "loss": 1})
		root := task{ID: fmt.Sprintf("r%d", i), Payload: payload{"seconds": 0.15, "loss": 2, "children": children}}
		list = append(list, root)
		all = append(append(all, root.ID), ids(children)...)
	}
	return list, all
}

// TestEngineKilledAtRandom kills the engine again and again at moments that nothing else chooses: while it starts,
// recovers, runs, writes.
func TestEngineKilledAtRandom(t *testing.T) {
	t.Parallel()
	const slots, kills = 3, 8
	random := chaosSeed(t)
	roots, all := growingTree(10)
	s := newSearch(t, slots, roots, "")
	engine := s.begin()
	engine.says("worker starts") // the workdir knows its workflow
	for range kills {
		atRandom(random, 1200*time.Millisecond)
		engine.killIfAlive() // the search may have ended early
		s.lab.killed()
		s.lab.awaitRunning(0)
		engine = s.resume()
	}
	engine.wantExit(0)
	s.workdir.wantStatus("stopped", 0, 0)
	s.workdir.wantCompleted(all...)
	s.workdir.wantFiles()
	s.lab.wantAgainOnlyAfterKills(slots, all...)
}

// TestFleetKilledAtRandom kills one program of a fleet after the other, at random moments, and starts it again, as a
// supervisor does.
func TestFleetKilledAtRandom(t *testing.T) {
	t.Parallel()
	const kills, slots = 10, 4
	random := chaosSeed(t)
	roots, all := growingTree(16)
	f := newFleet(t, slots, roots)
	workdirs := []workdir{newWorkdir(t), newWorkdir(t)}
	dirs := []string{f.newWorkerDir(), f.newWorkerDir()}
	coordinators := []*daemon{f.coordinator(workdirs[0]), f.coordinator(workdirs[1])}
	workers := []*daemon{f.worker(dirs[0], 2), f.worker(dirs[1], 2)}
	for range kills {
		atRandom(random, 600*time.Millisecond)
		switch i := random.IntN(5); i {
		case 0, 1:
			coordinators[i].killIfAlive() // it ends with the run
			coordinators[i] = f.coordinator(workdirs[i])
		case 2, 3:
			workers[i-2].kill() // only this is a reason to run anything again
			f.lab.killed()
			workers[i-2] = f.worker(dirs[i-2], 2)
		default:
			f.nats.kill()
			f.nats.restart()
		}
	}
	for i, coordinator := range coordinators {
		coordinator.wantExit(0)
		workdirs[i].wantStatus("stopped", 0, 0)
		workdirs[i].wantCompleted(all...)
	}
	f.lab.wantAgainOnlyAfterKills(slots, all...)
	f.lab.wantNoneAlive()
}
