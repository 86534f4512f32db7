package bench

import (
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// childArgument makes this test program a child process of its tests.
const childArgument = "serve-child"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childArgument {
		if err := ServeChild(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// A child with the race detector else sleeps a second before it exits.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// sizesTiny take a moment.
var sizesTiny = Sizes{
	Tasks: 60, Starts: 5, Turnarounds: 100, TurnTask: time.Millisecond, Queued: []int{50}, Recovered: []int{200},
	Controlled: 200, Controls: 5, Workers: 3, SlotsEach: 2, WorkersTask: 50 * time.Millisecond,
	WorkersBeat: 100 * time.Millisecond, WorkersRound: 100 * time.Millisecond,
	OccupancyTask: 50 * time.Millisecond, ProposerTime: 50 * time.Millisecond, OccupancyRound: 200 * time.Millisecond,
}

// small are options for a run of a moment, with its files where nothing may be left at the end of the test.
func small(t *testing.T) Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Cleanup(func() {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	return Options{
		ChildCommand: []string{self, childArgument}, Sizes: sizesTiny, Rounds: 1, Dir: dir, Progress: t.Output(),
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}
