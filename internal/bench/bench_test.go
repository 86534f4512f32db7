package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// keys are what readers of the JSON count on, by row: a number each, in the row or in each of its items.
var keys = map[string][]string{
	"throughput": {"tasks_per_s", "raw_per_s", "ratio", "tasks", "payload_bytes", "in_flight"},
	"tree":       {"tasks_per_s", "raw_per_s", "ratio"},
	"durable":    {"tasks_per_s", "raw_per_s", "ratio"},
	"latency":    {"submit_start_ms.p50", "submit_start_ms.p99", "turnaround_ms.p50", "turnaround_ms.p99"},
	"scale":      {"queued", "tasks_per_s", "bytes_per_task"},
	"recovery":   {"tasks", "seconds"},
	"workers":    {"coordinator_cores", "server_cores", "leases_lost", "busy", "tasks_per_s"},
	"control":    {"cancel_ms.p99", "reprioritise_ms.p99", "pause_ms.p99"},
	"occupancy":  {"occupancy"},
}

// TestRows runs each row, which checks its own counts, and reads its report.
func TestRows(t *testing.T) {
	t.Parallel()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			o := small(t)
			o.Rows = []string{r.name}
			report, err := Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(report)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]json.RawMessage
			if err := json.Unmarshal(text, &got); err != nil || len(got) != 4 {
				t.Fatalf("the report is %s (%v)", text, err)
			}
			checkKeys(t, r.name, got[r.name])
			checkEnvironment(t, got["environment"])
			checkSurroundings(t, r.name, got)
		})
	}
}

func checkKeys(t *testing.T, row string, text []byte) {
	t.Helper()
	var items []any
	if json.Unmarshal(text, &items) != nil {
		items = []any{nil}
		if err := json.Unmarshal(text, &items[0]); err != nil {
			t.Fatal(err)
		}
	}
	if len(keys[row]) == 0 || len(items) == 0 {
		t.Errorf("row %s has %d keys and %d items", row, len(keys[row]), len(items))
	}
	for _, item := range items {
		for _, key := range keys[row] {
			value := item
			for name := range strings.SplitSeq(key, ".") {
				object, _ := value.(map[string]any)
				value = object[name]
			}
			if _, ok := value.(float64); !ok {
				t.Errorf("%s is %v in %s", key, value, text)
			}
		}
	}
}

// checkSurroundings looks for what goes with a row: its durability, and each target with what was measured.
func checkSurroundings(t *testing.T, row string, report map[string]json.RawMessage) {
	t.Helper()
	var durability map[string]string
	if err := json.Unmarshal(report["durability"], &durability); err != nil || durability[row] == "" {
		t.Errorf("the durability is %s (%v)", report["durability"], err)
	}
	var targets []Target
	if err := json.Unmarshal(report["targets"], &targets); err != nil {
		t.Fatal(err)
	}
	for _, target := range targets {
		if target.Row != row || target.What == "" || target.Target == "" {
			t.Errorf("a target is %+v", target)
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
	v := &Versus{Tasks: 100}
	v.met = []Target{atLeast("something", 1, 2)}
	v.add(sample{tasks: 100, wall: time.Second}, sample{tasks: 100, wall: 500 * time.Millisecond})
	var b bytes.Buffer
	report := Report{Rows: []Row{{"some row", "none", v}}, Environment: Environment{CPU: "a processor"}}
	if err := report.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"some row", "100 tasks/s", "200 tasks/s", "0.500", "none", "a processor", ">= 2", "MISSED"} {
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
	if v.MinMax.TasksPerS != (MinMax{10, 90}) || v.MinMax.Ratio != (MinMax{1, 9}) {
		t.Errorf("extremes are %+v", v.MinMax)
	}
}

// TestQuantiles takes the smallest value that so many do not exceed.
func TestQuantiles(t *testing.T) {
	t.Parallel()
	took := make([]time.Duration, 200)
	for i := range took {
		took[i] = time.Duration(200-i) * time.Millisecond
	}
	if q := quantiles(took); q != (Quantiles{P50: 100, P99: 198}) {
		t.Errorf("of 1 to 200 ms: %+v", q)
	}
	if q := quantiles([]time.Duration{time.Millisecond}); q != (Quantiles{P50: 1, P99: 1}) {
		t.Errorf("of 1 ms: %+v", q)
	}
	if q := quantiles(nil); q != (Quantiles{}) {
		t.Errorf("of none: %+v", q)
	}
}

// TestTargets tells those that are met from those that are not, at the limit too.
func TestTargets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		target Target
		want   bool
	}{
		{atLeast("", 1, 1), true}, {atLeast("", 0.99, 1), false}, {below("", 1, 1), false}, {below("", 0.99, 1), true},
		{atMost("", 0, 0), true}, {atMost("", 1, 0), false},
	} {
		if c.target.Met != c.want {
			t.Errorf("%+v", c.target)
		}
	}
}

// TestBusyBetween counts what lies in the window, and that only.
func TestBusyBetween(t *testing.T) {
	t.Parallel()
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	ran := [][2]time.Time{{at(0), at(2)}, {at(1), at(3)}, {at(9), at(12)}, {at(20), at(30)}}
	if got := busyBetween(ran, at(1), at(11), 2); got != (1+2+2)/20.0 {
		t.Errorf("got %v", got)
	}
}

// TestInterrupted ends each row in the middle: everything it started must have ended, which goleak sees, and nothing be
// left on disk, which small sees.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for row, when := range map[string]string{
		"throughput": "raw JetStream: ", "recovery": "round 1", "workers": "steady",
	} {
		t.Run(row, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			o := small(t)
			o.Rows = []string{row}
			o.Progress = writerFunc(func(line []byte) {
				if bytes.Contains(line, []byte(when)) {
					cancel()
				}
			})
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
	r := row{name: "lost", measure: func(ctx context.Context, s *site) (Result, error) {
		s.server.crash()
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	_, err := r.on(t.Context(), &o)
	if !errors.Is(err, errChildEnded) {
		t.Errorf("got %v", err)
	}
}

// TestChildLost kills a process while it is asked for something.
func TestChildLost(t *testing.T) {
	t.Parallel()
	p, err := spawn(t.Context(), small(t).ChildCommand, "coordinator")
	if err != nil {
		t.Fatal(err)
	}
	p.crash()
	if err := p.do(t.Context(), serviceLeader+".Counts", None{}); !errors.Is(err, errChildEnded) {
		t.Errorf("got %v", err)
	}
}

// TestCallGivenUp gives a call up whose reply still comes: it must go nowhere, which the race detector sees.
func TestCallGivenUp(t *testing.T) {
	t.Parallel()
	o := small(t)
	p, err := spawn(t.Context(), o.ChildCommand, "NATS server")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	url, err := call[string](ctx, p, serviceNATS+".Start", NATSArgs{Dir: filepath.Join(t.TempDir(), "nats")})
	if url != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("got %q, %v", url, err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
}

func TestChildThatCannotStart(t *testing.T) {
	t.Parallel()
	for name, command := range map[string][]string{
		"none": nil, "unknown": {filepath.Join(t.TempDir(), "nothing")}, "ends at once": {"true"},
	} {
		o := small(t)
		o.ChildCommand = command
		if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "NATS server") {
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

func TestSlotsAndCPUProfile(t *testing.T) {
	o := small(t)
	o.Rows, o.Slots, o.CPUProfile = []string{"tree"}, 8, filepath.Join(t.TempDir(), "cpu.prof")
	report, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if v := report.Rows[0].Result.(*Versus); v.InFlight != 8 {
		t.Errorf("%d tasks were in flight", v.InFlight)
	}
	for _, path := range []string{o.CPUProfile, o.CPUProfile + ".worker"} {
		if file, err := os.Stat(path); err != nil || file.Size() == 0 {
			t.Errorf("the profile is %v, %v", file, err)
		}
	}
}

// TestLoad checks that a load's tasks are all reached from its roots, each once, and have the size they should.
func TestLoad(t *testing.T) {
	t.Parallel()
	for _, l := range []load{{Tasks: 200}, {Tasks: 1, Fan: 4}, {Tasks: 200, Fan: 4}, {Tasks: 201, Fan: 1}} {
		l.Name, l.Payload = "some-load", 200
		known := newTally(l.Tasks)
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
			if ts := l.spec(i); len(ts.Payload) != l.Payload || ts.Validate() != nil {
				t.Fatalf("%+v: task %d is %+v", l, i, ts)
			} else if n, err := l.number(ts.ID); n != i || err != nil {
				t.Fatalf("%+v: task %q is number %d, %v", l, ts.ID, n, err)
			}
			if l.Fan > 0 {
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
