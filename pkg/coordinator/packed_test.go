package coordinator

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
	"weak"

	"pgregory.net/rapid"

	"autoresearch/internal/host"
	"autoresearch/pkg/spec"
)

// commit has a ledger follow a commit of tasks.
func commit(g *ledger, seq uint64, tasks ...*spec.Task) {
	g.follow(&committed{position: position{seq: seq}, changed: tasks})
}

// packNow packs everything that can be packed.
func packNow(g *ledger) { packAndTell(g, func(context.Context, []*spec.Task) {}) }

func packAndTell(g *ledger, rested func(context.Context, []*spec.Task)) {
	p := packer{ledger: g, host: host.Machine{}, rested: rested}
	for !g.packed() {
		p.round(context.Background())
	}
}

// sizedPayload is a payload of about so many bytes.
func sizedPayload(bytes int) spec.Payload {
	text := make([]byte, bytes)
	for i := range text {
		text[i] = 'a' + byte(rand.IntN(26))
	}
	return spec.Payload(fmt.Sprintf(`{"text":%q}`, text))
}

// drawFinished draws a finished task, with whatever such a task may have.
func drawFinished(t *rapid.T, i int) *spec.Task {
	text := func(name string) string { return rapid.StringN(0, 6, -1).Draw(t, name) }
	number := func(name string) uint32 { return rapid.Uint32().Draw(t, name) }
	task := &spec.Task{
		Spec: spec.TaskSpec{
			ID: spec.TaskID(fmt.Sprintf("t%d-%s", i, text("id"))), Kind: text("kind"), Priority: rapid.Float64().Draw(t, "priority"),
			Payload: rapid.SampledFrom([]spec.Payload{nil, {}, spec.Payload(`{}`), spec.Payload(`{"x":NaN,"s":"\ud800"}`), sizedPayload(300)}).Draw(t, "payload"),
		},
		Priority: rapid.Float64().Draw(t, "effective"), Parent: spec.TaskID(text("parent")), Purse: spec.TaskID(text("purse")), Seq: uint64(i + 1),
		State: spec.StateCompleted, Attempt: number("attempt"), Failures: number("failures"), Lost: number("lost"), Closed: number("closed"),
		Cancelled: rapid.Bool().Draw(t, "cancelled"), Submitted: spec.WallTime(rapid.Int64().Draw(t, "submitted")),
		Ended: spec.WallTime(rapid.Int64().Draw(t, "ended")), Spent: spec.Spent{Cost: spec.Cost(number("cost"))},
		Outcome: &spec.Outcome{
			Order: uint64(i), Attempt: number("deciding"), Claim: spec.ClaimID(rapid.Uint64().Draw(t, "claim")),
			Body: rapid.SampledFrom([][]byte{nil, {}, []byte("body")}).Draw(t, "body"),
		},
	}
	if rapid.Bool().Draw(t, "failed") {
		task.State = spec.StateFailed
		task.Outcome.Failure = &spec.FailureRecord{
			Kind: spec.JobFailed, Phase: spec.PhaseJob, Message: text("message"), Details: map[string]any{"cause": "exit", "code": json.Number("3")},
		}
	}
	if rapid.Bool().Draw(t, "more") {
		task.Children = []spec.TaskID{"kid"}
		task.Losses = []spec.Loss{{Attempt: 1, Worker: "w", Progress: text("progress")}}
		task.Spec.Extra = []spec.Field{{Name: "note", Value: json.RawMessage(`"kept"`)}}
		task.Spec.Code = spec.Code{Bundle: spec.Blob{Digest: spec.Digest{1}, Size: 5}}
		task.Unknown = map[string][]byte{"zz": {0xc3}}
	}
	return task
}

// TestPackedTasksAreWhatTheyWere: what comes out of a block is what went in.
func TestPackedTasksAreWhatTheyWere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g, tasks := newLedger(spec.Objective{}, nil), make([]*spec.Task, rapid.IntRange(1, 2*blockRows+3).Draw(t, "tasks"))
		for i := range tasks {
			tasks[i] = drawFinished(t, i)
		}
		commit(g, 1, tasks...)
		packNow(g)
		for i, got := range slices.Collect(g.look().all()) {
			if g.rows.at(i).task != nil {
				t.Fatalf("task %d was not packed", i)
			}
			if !reflect.DeepEqual(got, tasks[i]) {
				t.Fatalf("got %+v\nwant %+v", got, tasks[i])
			}
		}
	})
}

// TestWhatIsNotPacked: a block holds neither what has not finished, nor what its encoding would leave out, nor what is large.
func TestWhatIsNotPacked(t *testing.T) {
	t.Parallel()
	blob := spec.Blob{Digest: spec.Digest{7}, Size: 5}
	tasks := map[string]*spec.Task{
		"begun":         {State: spec.StateQueued, Attempt: 1},
		"reported":      {State: spec.StateReported, Outcome: &spec.Outcome{Order: 1}},
		"stored":        {State: spec.StateFailed, Outcome: &spec.Outcome{}, Spec: spec.TaskSpec{Payload: spec.Payload(`{"x":1}`), Stored: blob}},
		"result stored": {State: spec.StateCompleted, Outcome: &spec.Outcome{Body: []byte("body"), Stored: blob}},
		"large":         {State: spec.StateCompleted, Outcome: &spec.Outcome{}, Spec: spec.TaskSpec{Payload: sizedPayload(recordMax)}},
		"large result":  {State: spec.StateCompleted, Outcome: &spec.Outcome{Body: make([]byte, recordMax+1)}},
		"large in sum": {
			State: spec.StateCompleted, Outcome: &spec.Outcome{Body: make([]byte, recordMax/2)}, Spec: spec.TaskSpec{Payload: sizedPayload(recordMax / 2)},
		},
		"packed": {State: spec.StateCompleted, Outcome: &spec.Outcome{}},
	}
	g := newLedger(spec.Objective{}, nil)
	for i, id := range slices.Sorted(maps.Keys(tasks)) {
		tasks[id].Spec.ID, tasks[id].Seq = spec.TaskID(id), uint64(i+1)
		commit(g, uint64(i+1), tasks[id])
	}
	packNow(g)
	for id, want := range tasks {
		if got, unpacked := g.unpacked(spec.TaskID(id)); unpacked != (id != "packed") || unpacked && got != want {
			t.Errorf("task %q: unpacked %v, the same %v", id, unpacked, got == want)
		}
	}
	if size := unsafe.Sizeof(row{}); size != 32 {
		t.Errorf("a row takes %d bytes", size)
	}
}

// twoLedgers follow the same commits, and only one of them is packed.
type twoLedgers struct {
	packed, plain *ledger
	tasks         []*spec.Task
	seq           uint64 // of the newest task
	commits       uint64
}

func newTwoLedgers() *twoLedgers {
	kinds := map[string]spec.KindPolicy{"proposer": {Uncounted: true}}
	return &twoLedgers{packed: newLedger(spec.Objective{}, kinds), plain: newLedger(spec.Objective{}, kinds)}
}

func (l *twoLedgers) commit(t *spec.Task) {
	l.commits++
	commit(l.packed, l.commits, t)
	commit(l.plain, l.commits, t)
}

// arrive adds a task below one of those that are there, or below none. Some numbers are left out.
func (l *twoLedgers) arrive(t *rapid.T) {
	l.seq += rapid.SampledFrom([]uint64{1, 1, 1, 1, 1, 1, 1, 3}).Draw(t, "step")
	task := &spec.Task{Seq: l.seq, State: spec.StateQueued, Priority: rapid.Float64Range(0, 9).Draw(t, "priority")}
	task.Spec = spec.TaskSpec{
		ID: spec.TaskID(fmt.Sprintf("t%d", l.seq)), Payload: spec.Payload(fmt.Sprintf(`{"n":%d}`, l.seq)),
		Kind: rapid.SampledFrom([]string{"default", "default", "proposer"}).Draw(t, "kind"),
	}
	if parent := rapid.IntRange(-1, len(l.tasks)-1).Draw(t, "parent"); parent >= 0 {
		task.Parent = l.tasks[parent].Spec.ID
	}
	l.tasks = append(l.tasks, task)
	l.commit(task)
}

// change brings one of the tasks into another state; one that has finished too.
func (l *twoLedgers) change(t *rapid.T) {
	if len(l.tasks) == 0 {
		return
	}
	i := rapid.IntRange(0, len(l.tasks)-1).Draw(t, "which")
	task := *l.tasks[i]
	task.State = rapid.SampledFrom([]spec.TaskState{
		spec.StateQueued, spec.StateRunning, spec.StateCompleted, spec.StateCompleted, spec.StateCompleted, spec.StateFailed,
	}).Draw(t, "state")
	task.Attempt++
	task.Lease, task.Outcome = nil, nil
	switch {
	case task.State == spec.StateRunning:
		task.Lease = &spec.Lease{Attempt: task.Attempt, Worker: "w"}
	case task.State.Terminal():
		task.Outcome = &spec.Outcome{Order: l.commits, Attempt: task.Attempt}
	}
	l.tasks[i] = &task
	l.commit(&task)
}

// readings is everything that readers get of a ledger.
func readings(g *ledger, last uint64) map[string]any {
	v := &View{t: &term{ledger: g}}
	type read struct {
		place  int
		task   *spec.Task
		scored bool
	}
	list := func(rows iter.Seq2[int, Row]) (all []read) {
		for place, row := range rows {
			all = append(all, read{place, row.Task, !math.IsNaN(row.Score)})
		}
		return all
	}
	nodes, at := g.nodes()
	all := map[string]any{
		"state": g.state(), "nodes": nodes, "position": at, "base": g.base(), "blobs": g.blobs(), "counts": g.counts, "demand": g.demand,
		"past": g.past, "tasks": slices.Collect(g.look().all()), "live": slices.Collect(g.look().live()),
	}
	middle := g.size() / 2
	for name, which := range map[string]Which{"all": All, "live": Live} {
		all["scan "+name], all["scan on "+name] = list(v.Scan(0, which)), list(v.Scan(middle, which))
		all["back "+name], all["back on "+name] = list(v.ScanBack(g.size()-1, which)), list(v.ScanBack(middle, which))
		for seq := range last + 2 {
			id := spec.TaskID(fmt.Sprintf("t%d", seq))
			all[fmt.Sprintf("below %s %s", id, name)] = list(v.Subtree(id, 0, which))
			all[fmt.Sprintf("below %s on %s", id, name)] = list(v.Subtree(id, 2, which))
		}
	}
	for seq := range last + 2 {
		id := spec.TaskID(fmt.Sprintf("t%d", seq))
		task, known := g.task(id)
		all[fmt.Sprintf("task %s", id)] = []any{task, known}
		all[fmt.Sprintf("kids %s", id)] = slices.Collect(func(yield func(string) bool) {
			for row := range v.Children(id) {
				if !yield(string(row.Task.Spec.ID)) {
					return
				}
			}
		})
		all[fmt.Sprintf("place %s", id)] = v.PlaceOf(seq)
	}
	return all
}

// TestPackedLedgerReadsAsBefore: nobody who reads a ledger can tell what of it is packed.
func TestPackedLedgerReadsAsBefore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := newTwoLedgers()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1, 2, 3:
				l.arrive(t)
			case 9:
				packNow(l.packed)
			default:
				l.change(t)
			}
		}
		packNow(l.packed)
		got, want := readings(l.packed, l.seq), readings(l.plain, l.seq)
		for name := range want {
			if !reflect.DeepEqual(got[name], want[name]) {
				t.Fatalf("%s: %+v\nwithout packing: %+v", name, got[name], want[name])
			}
		}
	})
}

// TestChangeOfAPackedTask: it is held whole again, counted once, and packed anew; its neighbours stay as they are.
func TestChangeOfAPackedTask(t *testing.T) {
	t.Parallel()
	g := newLedger(spec.Objective{}, nil)
	var tasks []*spec.Task
	for i := range blockRows {
		tasks = append(tasks, &spec.Task{
			Spec: task(fmt.Sprint("t", i)), Seq: uint64(i + 1), State: spec.StateCompleted, Outcome: &spec.Outcome{Order: uint64(i)},
		})
	}
	commit(g, 1, tasks...)
	packNow(g)
	changed := *tasks[3]
	changed.Cancelled, changed.State = true, spec.StateFailed
	changed.Outcome = &spec.Outcome{Order: 3, Failure: &spec.FailureRecord{Kind: spec.JobFailed, Phase: spec.PhaseJob, Message: "after all"}}
	commit(g, 2, &changed)
	if got, unpacked := g.unpacked("t3"); !unpacked || got != &changed {
		t.Fatalf("it reads as %+v", got)
	}
	if want := (Experiments{Completed: blockRows - 1, Failed: 1}); g.counts != want {
		t.Errorf("counted as %+v, want %+v", g.counts, want)
	}
	packNow(g)
	tasks[3] = &changed
	for i, got := range slices.Collect(g.look().all()) {
		if !reflect.DeepEqual(got, tasks[i]) || g.rows.at(i).task != nil {
			t.Errorf("task %d: got %+v, want %+v", i, got, tasks[i])
		}
	}
}

// TestChangeWhilePacking: what changed after the packer looked stays as the commit left it.
func TestChangeWhilePacking(t *testing.T) {
	t.Parallel()
	g := newLedger(spec.Objective{}, nil)
	first := &spec.Task{Spec: task("t"), Seq: 1, State: spec.StateCompleted, Outcome: &spec.Outcome{}}
	commit(g, 1, first)
	tasks, _ := g.unpackedOf(0)
	p := repacking{tasks: tasks, block: &block{}}
	p.pack()
	second := *first
	second.Cancelled = true
	commit(g, 2, &second)
	g.swap(0, &p)
	if got, _ := g.task("t"); got != &second {
		t.Errorf("it reads as %+v", got)
	}
}

// TestPackingBesideReadersAndCommits: sweeps see every task, each in a state that some commit left, while it is packed.
func TestPackingBesideReadersAndCommits(t *testing.T) {
	t.Parallel()
	const tasks = 5000
	g := newLedger(spec.Objective{}, nil)
	for i := range tasks {
		commit(g, 1, &spec.Task{Spec: task(fmt.Sprint("t", i)), Seq: uint64(i + 1), State: spec.StateQueued})
	}
	var wg sync.WaitGroup
	var ended atomic.Bool
	wg.Go(func() {
		p := packer{ledger: g, host: host.Machine{}, rested: func(context.Context, []*spec.Task) {}}
		for !ended.Load() || !g.packed() {
			p.round(context.Background())
		}
	})
	v := &View{t: &term{ledger: g}}
	for _, sweep := range []func() int{
		func() (n int) {
			for place, row := range v.Scan(0, All) {
				if row.Task.Seq != uint64(place+1) || row.Task.State.Terminal() != (row.Task.Outcome != nil) {
					t.Errorf("place %d: %+v", place, row.Task)
				}
				n++
			}
			return n
		},
		func() (n int) {
			nodes, _ := g.nodes()
			return len(nodes)
		},
	} {
		wg.Go(func() {
			for last := false; !last; {
				last = ended.Load() && g.packed()
				if n := sweep(); n != tasks {
					t.Errorf("a sweep saw %d tasks", n)
				}
			}
		})
	}
	for i, place := range rand.Perm(tasks) {
		commit(g, uint64(i+2), &spec.Task{
			Spec: task(fmt.Sprint("t", place)), Seq: uint64(place + 1), State: spec.StateCompleted, Outcome: &spec.Outcome{Order: uint64(i)},
		})
	}
	ended.Store(true)
	wg.Wait()
	if live := len(slices.Collect(g.look().live())); live > 0 || g.rows.at(0).task != nil {
		t.Errorf("%d live", live)
	}
}

// TestTake: a task that rests is whole again once the engine takes it, for all readers, and is packed anew if it still rests then.
// Some numbers were left out.
func TestTake(t *testing.T) {
	t.Parallel()
	g := newLedger(spec.Objective{}, nil)
	var tasks []*spec.Task
	for i := range 2*blockRows + 1 {
		tasks = append(tasks, &spec.Task{Spec: task(fmt.Sprint("t", i)), Priority: float64(i), Seq: uint64(i + 1 + i/40*5), State: spec.StateQueued})
	}
	commit(g, 1, tasks...)
	var rested []*spec.Task
	packAndTell(g, func(_ context.Context, records []*spec.Task) { rested = append(rested, records...) })
	if !slices.Equal(rested, tasks) {
		t.Errorf("%d tasks rest, want all %d", len(rested), len(tasks))
	}
	for i, want := range tasks {
		got := g.Take(want.Seq)
		if held, unpacked := g.unpacked(want.Spec.ID); !unpacked || held != got || !reflect.DeepEqual(got, want) {
			t.Errorf("task %d: taken %+v, held %+v, want %+v", i, got, held, want)
		}
		if again := g.Take(want.Seq); again != got {
			t.Errorf("task %d: another one when it is taken twice", i)
		}
	}
	begun := *tasks[3]
	begun.State, begun.Attempt = spec.StateDispatched, 1
	commit(g, 2, &begun)
	rested = nil
	packAndTell(g, func(_ context.Context, records []*spec.Task) { rested = append(rested, records...) })
	if got, unpacked := g.unpacked("t3"); len(rested) != len(tasks)-1 || !unpacked || got != &begun {
		t.Errorf("%d rest again; t3, which has begun, is %+v", len(rested), got)
	}
}

// TestRestingTasksAreLetGo: once a leader that took over has packed what it loaded, nothing holds tasks whole that wait in the
// queue, and yet all of them come to their end.
func TestRestingTasksAreLetGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wf := newTree(0, 0)
	first := w.coordinate(wf, nil)
	eventually(t, "somebody leads", func() bool { _, err := first.term(); return err == nil })
	specs := make([]spec.TaskSpec, 3*blockRows)
	for i := range specs {
		specs[i] = task(fmt.Sprint("q", i))
	}
	if _, _, err := first.Submit(t.Context(), specs); err != nil {
		t.Fatal(err)
	}
	first.cancel()
	first.wait(t)
	second := w.coordinate(wf, nil)
	eventually(t, "another leads", func() bool { _, err := second.term(); return err == nil })
	term, err := second.term()
	if err != nil {
		t.Fatal(err)
	}
	whole := pointersTo(term.ledger)
	packAndTell(term.ledger, term.rested)
	if len(whole) != len(specs)+wf.size() {
		t.Fatalf("%d tasks were loaded, want %d", len(whole), len(specs)+wf.size())
	}
	eventually(t, "the tasks are collected", whole.gone)
	w.work(4, wf.grow)
	second.wait(t)
	if counts := term.ledger.counts; counts != (Experiments{Completed: len(specs) + wf.size()}) {
		t.Errorf("in the end there are %+v", counts)
	}
}

// pointers are to the tasks that a ledger holds; they keep none of them.
type pointers []weak.Pointer[spec.Task]

func pointersTo(g *ledger) (p pointers) {
	for task := range g.look().all() {
		p = append(p, weak.Make(task))
	}
	return p
}

// gone reports whether nobody holds any of the tasks.
func (p pointers) gone() bool {
	runtime.GC()
	return !slices.ContainsFunc(p, func(p weak.Pointer[spec.Task]) bool { return p.Value() != nil })
}

// TestFinishedTasksAreLetGo: once a leader that took over has packed what it loaded, nothing holds those tasks whole.
func TestFinishedTasksAreLetGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wf := newTree(3, 2)
	w.work(4, wf.grow)
	w.coordinate(wf, nil).wait(t)
	c := w.coordinate(wf, func(o *Options) { o.ExitWhenStopped = false })
	eventually(t, "another leads", func() bool { _, err := c.term(); return err == nil })
	term, err := c.term()
	if err != nil {
		t.Fatal(err)
	}
	whole := pointersTo(term.ledger)
	packNow(term.ledger)
	if len(whole) != wf.size() {
		t.Fatalf("%d tasks were loaded, want %d", len(whole), wf.size())
	}
	eventually(t, "the tasks are collected", whole.gone)
}

// BenchmarkSweep reads a packed run, task by task.
func BenchmarkSweep(b *testing.B) {
	const tasks = 100_000
	g := newLedger(spec.Objective{}, nil)
	for i := range tasks {
		commit(g, 1, &spec.Task{
			Spec: spec.TaskSpec{ID: spec.TaskID(fmt.Sprint("t", i)), Kind: spec.KindDefault, Payload: sizedPayload(200)}, Seq: uint64(i + 1),
			State: spec.StateCompleted, Outcome: &spec.Outcome{Order: uint64(i), Claim: spec.ClaimID(rand.Uint64()), Body: make([]byte, 60)},
			Submitted: spec.WallTime(i), Started: spec.WallTime(2 * i), Ended: spec.WallTime(3 * i), Attempt: 1,
		})
	}
	packNow(g)
	v := &View{t: &term{ledger: g}}
	for b.Loop() {
		for range v.Scan(0, All) {
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/tasks, "ns/task")
}
