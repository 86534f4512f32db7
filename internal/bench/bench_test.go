package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shape is what readers of the JSON count on.
type shape struct {
	TasksPerS float64 `json:"tasks_per_s"`
	RawPerS   float64 `json:"raw_per_s"`
	Ratio     float64 `json:"ratio"`
	Rounds    []struct {
		TasksPerS float64 `json:"tasks_per_s"`
		RawPerS   float64 `json:"raw_per_s"`
		Ratio     float64 `json:"ratio"`
	} `json:"rounds"`
	Tasks        int    `json:"tasks"`
	PayloadBytes int    `json:"payload_bytes"`
	InFlight     int    `json:"in_flight"`
	Durability   string `json:"durability"`
}

// TestRows runs each row, which checks its own counts, and reads its report.
func TestRows(t *testing.T) {
	t.Parallel()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			o := small(t)
			o.Rows, o.SyncAlways = []string{r.name}, r.name == "tree"
			report, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(report)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]json.RawMessage
			if err := json.Unmarshal(text, &got); err != nil || len(got) != 2 {
				t.Fatalf("the report is %s (%v)", text, err)
			}
			checkShape(t, got[r.name])
			checkEnvironment(t, got["environment"])
		})
	}
}

func checkShape(t *testing.T, text []byte) {
	t.Helper()
	var got shape
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if got.Tasks != 200 || got.PayloadBytes != 200 || got.InFlight != 64 || got.Durability == "" || len(got.Rounds) != 2 {
		t.Errorf("got %s", text)
	}
	if got.TasksPerS <= 0 || got.RawPerS <= 0 || got.Ratio <= 0 {
		t.Errorf("got %s", text)
	}
	for _, r := range got.Rounds {
		if r.TasksPerS <= 0 || r.RawPerS <= 0 || math.Abs(r.Ratio-r.TasksPerS/r.RawPerS) > 1e-9 {
			t.Errorf("a round is %+v", r)
		}
	}
}

func checkEnvironment(t *testing.T, text []byte) {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"cpu", "cores", "os", "go", "nats_server", "nats_go", "storage_dir"} {
		if got[key] == nil || got[key] == "" {
			t.Errorf("the environment has no %s: %s", key, text)
		}
	}
}

func TestTextReport(t *testing.T) {
	t.Parallel()
	v := &Versus{Tasks: 100, Durability: "none"}
	v.add(sample{tasks: 100, wall: time.Second}, sample{tasks: 100, wall: 500 * time.Millisecond})
	var b bytes.Buffer
	report := Report{Rows: []Row{{"some row", v}}, Environment: Environment{CPU: "a processor"}}
	if err := report.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"some row", "100 tasks/s", "200 tasks/s", "0.500", "none", "a processor"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in:\n%s", want, b.String())
		}
	}
}

func TestMedians(t *testing.T) {
	t.Parallel()
	var v Versus
	second := sample{tasks: 10, wall: time.Second}
	for i, want := range []float64{10, 15, 20} { // of 10, of 10 and 20, of 10, 20 and 90
		tasks := []int{10, 20, 90}[i]
		v.add(sample{tasks: tasks, wall: time.Second}, second)
		if v.TasksPerS != want || v.RawPerS != 10 || v.Ratio != want/10 {
			t.Errorf("after %d rounds: %+v", i+1, v)
		}
	}
	if v.MinMax.TasksPerS != [2]float64{10, 90} || v.MinMax.Ratio != [2]float64{1, 9} {
		t.Errorf("extremes are %+v", v.MinMax)
	}
}

// TestInterrupted ends a run in the middle of each side: everything it started must have ended, which goleak sees, and
// nothing be left on disk, which small sees.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"raw JetStream: ", "engine: "} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o := small(t)
			o.Rows, o.Tasks, o.Rounds = []string{"throughput"}, 1_000_000, 1
			o.Progress = writerFunc(func(line []byte) {
				if bytes.Contains(line, []byte(when)) {
					cancel()
				}
			})
			if when == "engine: " {
				o.Tasks = 5_000 // raw JetStream goes first
			}
			if report, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, %v", report, err)
			}
		})
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }

// TestServerLost kills the server in the middle: the row must end with an error that says so.
func TestServerLost(t *testing.T) {
	t.Parallel()
	o := small(t).withDefaults()
	a, err := openArena(t.Context(), &o, "throughput", load{name: "flat", payload: 200, window: 64, tasks: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	ctx, release := a.server.guard(t.Context())
	defer release()
	if err := a.server.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, errServerEnded) {
		t.Errorf("got %v", err)
	}
	if err := a.close(); err == nil {
		t.Error("a server that was killed stopped without an error")
	}
}

func TestServerThatCannotStart(t *testing.T) {
	t.Parallel()
	for name, command := range map[string][]string{
		"none": nil, "unknown": {filepath.Join(t.TempDir(), "nothing")}, "wrong": {os.Args[0], serverArgument, "--wrong"},
	} {
		o := small(t)
		o.ServerCommand = command
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "start the NATS server") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestUnknownRow(t *testing.T) {
	t.Parallel()
	o := small(t)
	o.Rows = []string{"speed"}
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "throughput, tree") {
		t.Errorf("got %v", err)
	}
}

func TestCPUProfile(t *testing.T) {
	o := small(t)
	o.Rows, o.Rounds, o.CPUProfile = []string{"tree"}, 1, filepath.Join(t.TempDir(), "cpu.prof")
	if _, err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if file, err := os.Stat(o.CPUProfile); err != nil || file.Size() == 0 {
		t.Errorf("the profile is %v, %v", file, err)
	}
}

// TestLoad checks that a load's tasks are all reached from its roots, each once, and have the size they should.
func TestLoad(t *testing.T) {
	t.Parallel()
	for _, l := range []load{{tasks: 200}, {tasks: 1, fan: 4}, {tasks: 200, fan: 4}, {tasks: 201, fan: 1}} {
		l.name, l.payload = "some-load", 200
		known := newTally(l.tasks)
		next := make([]int, l.roots())
		for i := range next {
			next[i] = i
		}
		for len(next) > 0 {
			i := next[0]
			next = next[1:]
			if !known.finish(i) {
				t.Fatalf("%+v: task %d twice", l, i)
			}
			if ts := l.spec(i); len(ts.Payload) != l.payload || ts.Validate() != nil {
				t.Fatalf("%+v: task %d is %+v", l, i, ts)
			} else if n, err := l.number(ts.ID); n != i || err != nil {
				t.Fatalf("%+v: task %q is number %d, %v", l, ts.ID, n, err)
			}
			if l.fan > 0 {
				for first, end := l.children(i); first < end; first++ {
					next = append(next, first)
				}
			}
		}
		if known.left != 0 {
			t.Errorf("%+v: %d tasks are never reached", l, known.left)
		}
	}
}
