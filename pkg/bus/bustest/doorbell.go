package bustest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// TestDoorbell checks every contract line of bus.Doorbell, and what workers pull.
func TestDoorbell(t *testing.T, newWorld func(t *testing.T) World) {
	for name, test := range map[string]func(t *testing.T, w World){
		"PublishAndPull":  doorbellPull,
		"Waits":           doorbellWaits,
		"Empty":           doorbellEmpty,
		"Duplicates":      doorbellDuplicates,
		"Burst":           doorbellBurst,
		"Batch":           doorbellBatch,
		"Classes":         doorbellClasses,
		"Purge":           doorbellPurge,
		"Missing":         doorbellMissing,
		"Restart":         doorbellRestart,
		"TooLarge":        doorbellTooLarge,
		"Renew":           doorbellRenew,
		"Full":            doorbellFull,
		"TakenOnce":       doorbellTakenOnce,
		"TakenThenPurged": doorbellTakenThenPurged,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t))
		})
	}
}

// pullWait is how long a pull waits that should find nothing.
const pullWait = 200 * time.Millisecond

func newDoorbell(t *testing.T, w World) bus.Doorbell {
	t.Helper()
	d := w.Doorbell(bus.StreamOptions{}, func(subject string, err error) { t.Errorf("%s: %v", subject, err) })
	ensure(t, d, true, "cpu", "h100 x8")
	ensure(t, d, false, "cpu", "h100 x8")
	return d
}

// ensure ensures the doorbell and checks whether the stream was made.
func ensure(t *testing.T, d bus.Doorbell, want bool, classes ...string) {
	t.Helper()
	if created, err := d.Ensure(deadline(t), classes); err != nil || created != want {
		t.Fatalf("Ensure: created %v, error %v; want created %v", created, err, want)
	}
}

// ring publishes a message of one dispatch.
func ring(d bus.Doorbell, m *bus.Dispatch, more bool) error {
	return d.Publish([]*bus.Dispatch{m}, more)
}

func dispatch(class string, task spec.TaskID, attempt uint32) *bus.Dispatch {
	return &bus.Dispatch{
		Run: run, RunID: "uuid", Epoch: 3, Class: class, Attempt: attempt, LeaseTTL: time.Minute,
		Task:   spec.TaskSpec{ID: task, Kind: "train", Payload: spec.Payload(`{"lr":0.1}`)},
		Recipe: spec.Recipe{Argv: []string{"python", "train.py"}},
	}
}

// pullAll pulls until want tasks came, and returns their ids, sorted.
func pullAll(t *testing.T, w World, class string, want int) (ids []spec.TaskID) {
	t.Helper()
	for len(ids) < want {
		tasks, err := w.Pull(deadline(t), class, patience/2)
		must(t, err)
		for _, task := range tasks {
			ids = append(ids, task.Task.ID)
		}
		if len(tasks) == 0 {
			t.Fatalf("only %v came", ids)
		}
	}
	slices.Sort(ids)
	return ids
}

func wantNothing(t *testing.T, w World, class string) {
	t.Helper()
	if tasks, err := w.Pull(deadline(t), class, pullWait); err != nil || len(tasks) != 0 {
		t.Fatalf("pulled %+v, error %v", tasks, err)
	}
}

func doorbellPull(t *testing.T, w World) {
	d := newDoorbell(t, w)
	sent := dispatch("cpu", "a.b*>", 2)
	must(t, ring(d, sent, false))
	tasks, err := w.Pull(deadline(t), "cpu", patience/2)
	must(t, err)
	if len(tasks) != 1 {
		t.Fatalf("%d tasks", len(tasks))
	}
	got := tasks[0]
	if got.Run != run || got.Task.ID != "a.b*>" || got.Attempt != 2 || got.Epoch != 3 || got.LeaseTTL != time.Minute ||
		string(got.Task.Payload) != `{"lr":0.1}` || !slices.Equal(got.Recipe.Argv, sent.Recipe.Argv) {
		t.Fatalf("got %+v", got)
	}
}

func doorbellWaits(t *testing.T, w World) {
	d := newDoorbell(t, w)
	got := make(chan []spec.TaskID)
	go func() {
		tasks, err := w.Pull(t.Context(), "cpu", patience/2)
		var ids []spec.TaskID
		for _, task := range tasks {
			ids = append(ids, task.Task.ID)
		}
		if err != nil {
			t.Error(err)
		}
		got <- ids
	}()
	must(t, ring(d, dispatch("cpu", "late", 1), false))
	if ids := next(t, got); !slices.Equal(ids, []spec.TaskID{"late"}) {
		t.Fatalf("pulled %v", ids)
	}
}

func doorbellEmpty(t *testing.T, w World) {
	newDoorbell(t, w)
	wantNothing(t, w, "cpu")
}

func doorbellDuplicates(t *testing.T, w World) {
	d := newDoorbell(t, w)
	for range 5 {
		must(t, ring(d, dispatch("cpu", "a", 1), false))
	}
	must(t, ring(d, dispatch("cpu", "a", 2), false))
	if ids := pullAll(t, w, "cpu", 2); !slices.Equal(ids, []spec.TaskID{"a", "a"}) {
		t.Fatalf("pulled %v", ids)
	}
	wantNothing(t, w, "cpu")
	must(t, ring(d, dispatch("cpu", "a", 1), false)) // taken, so its place is free again
	pullAll(t, w, "cpu", 1)
}

// doorbellBurst publishes many at once: those that nobody acknowledges come too, and replace nothing.
func doorbellBurst(t *testing.T, w World) {
	d := newDoorbell(t, w)
	const tasks = 300
	first := dispatch("cpu", "first", 1)
	first.Epoch = 1
	must(t, ring(d, first, true))
	again := dispatch("cpu", "a", 0) // all from the same memory, of which nothing is kept
	for range tasks {
		again.Attempt++
		must(t, ring(d, again, true))
	}
	must(t, ring(d, dispatch("cpu", "first", 1), true))
	must(t, ring(d, dispatch("cpu", "last", 1), false))
	w.Await(bus.StreamTasks, tasks+2) // before the first is taken, or its double would find its place free
	came := make(map[spec.AttemptRef]bool)
	for len(came) < tasks+2 {
		pulled, err := w.Pull(deadline(t), "cpu", patience/2)
		must(t, err)
		if len(pulled) == 0 {
			t.Fatalf("only %d came", len(came))
		}
		for _, d := range pulled {
			came[spec.AttemptRef{Task: d.Task.ID, Attempt: d.Attempt}] = true
			if d.Task.ID == "first" && d.Epoch != 1 {
				t.Error("a message was replaced before it was taken")
			}
		}
	}
	wantNothing(t, w, "cpu")
}

// doorbellBatch publishes several as one message: one pull brings them all, and a purge of one leaves it there.
func doorbellBatch(t *testing.T, w World) {
	d := newDoorbell(t, w)
	for range 2 { // each has a place of its own
		must(t, d.Publish([]*bus.Dispatch{dispatch("cpu", "a", 1), dispatch("cpu", "b", 1), dispatch("cpu", "c", 2)}, false))
	}
	must(t, ring(d, dispatch("cpu", "b", 1), false))
	w.Await(bus.StreamTasks, 3)
	must(t, d.Purge(deadline(t), "cpu", run, "b", 1))
	for range 2 {
		tasks, err := w.Pull(deadline(t), "cpu", patience/2)
		must(t, err)
		if len(tasks) != 3 || tasks[0].Task.ID != "a" || tasks[1].Task.ID != "b" || tasks[2].Task.ID != "c" || tasks[2].Attempt != 2 {
			t.Fatalf("pulled %+v", tasks)
		}
	}
	wantNothing(t, w, "cpu")
}

func doorbellClasses(t *testing.T, w World) {
	d := newDoorbell(t, w)
	must(t, ring(d, dispatch("h100 x8", "big", 1), false))
	must(t, ring(d, dispatch("cpu", "small", 1), false))
	if ids := pullAll(t, w, "h100 x8", 1); ids[0] != "big" {
		t.Fatalf("pulled %v", ids)
	}
	wantNothing(t, w, "h100 x8")
	if ids := pullAll(t, w, "cpu", 1); ids[0] != "small" {
		t.Fatalf("pulled %v", ids)
	}
}

func doorbellPurge(t *testing.T, w World) {
	d := newDoorbell(t, w)
	for _, task := range []spec.TaskID{"a", "b", "c"} {
		must(t, ring(d, dispatch("cpu", task, 1), false))
	}
	w.Await(bus.StreamTasks, 3)
	must(t, d.Purge(deadline(t), "cpu", run, "b", 2))
	must(t, d.Purge(deadline(t), "cpu", run, "b", 1))
	must(t, d.Purge(deadline(t), "cpu", run, "never published", 1))
	if ids := pullAll(t, w, "cpu", 2); !slices.Equal(ids, []spec.TaskID{"a", "c"}) {
		t.Fatalf("pulled %v", ids)
	}
	wantNothing(t, w, "cpu")
	must(t, ring(d, dispatch("cpu", "b", 1), false)) // its place is free again
	pullAll(t, w, "cpu", 1)
}

func doorbellMissing(t *testing.T, w World) {
	newJournal(t, w)
	failed := make(chan error, 10)
	d := w.Doorbell(bus.StreamOptions{}, func(_ string, err error) { failed <- err })
	if _, err := w.Pull(deadline(t), "cpu", pullWait); !errors.Is(err, bus.ErrMissing) {
		t.Fatalf("pulled from nothing: %v", err)
	}
	must(t, ring(d, dispatch("cpu", "a", 1), false))
	if err := next(t, failed); err == nil {
		t.Fatal("heard of no error")
	}
}

// doorbellRestart publishes a message whose acknowledgement the outage may take: its failure may be told.
func doorbellRestart(t *testing.T, w World) {
	newJournal(t, w)
	before := dispatch("cpu", "before", 1)
	d := w.Doorbell(bus.StreamOptions{}, func(subject string, err error) {
		if subject != bus.TaskSubject(before.Class, before.Run, before.Task.ID, before.Attempt) {
			t.Errorf("%s: %v", subject, err)
		}
	})
	ensure(t, d, true, "cpu")
	must(t, ring(d, before, false))
	pullAll(t, w, "cpu", 1)
	w.Down()
	w.Up()
	ensure(t, d, true, "cpu")
	must(t, ring(d, dispatch("cpu", "after", 1), false))
	if ids := pullAll(t, w, "cpu", 1); ids[0] != "after" {
		t.Fatalf("pulled %v", ids)
	}
}

// doorbellRenew: what was published before is delivered by the new consumer, and a renewal of what is not there makes it.
func doorbellRenew(t *testing.T, w World) {
	d := newDoorbell(t, w)
	must(t, ring(d, dispatch("cpu", "before", 1), false))
	must(t, d.Renew(deadline(t), "cpu"))
	must(t, d.Renew(deadline(t), "another"))
	must(t, ring(d, dispatch("cpu", "after", 1), false))
	if ids := pullAll(t, w, "cpu", 2); ids[0] != "after" || ids[1] != "before" {
		t.Fatalf("pulled %v", ids)
	}
}

func doorbellTooLarge(t *testing.T, w World) {
	d := newDoorbell(t, w)
	large := dispatch("cpu", "a", 1)
	large.Recipe.Stdin = make([]byte, bus.MaxPayloadDefault)
	wantError(t, ring(d, large, false), bus.ErrTooLarge)
}

func doorbellFull(t *testing.T, w World) {
	failed := make(chan error, 100)
	d := w.Doorbell(bus.StreamOptions{TasksMaxBytes: 16 << 10}, func(_ string, err error) { failed <- err })
	ensure(t, d, true, "cpu")
	for n := range uint32(10) {
		m := dispatch("cpu", "a", n+1)
		m.Recipe.Stdin = make([]byte, 4<<10)
		must(t, ring(d, m, false))
	}
	if err := next(t, failed); err == nil {
		t.Fatal("heard of no error")
	}
	if tasks, err := w.Pull(deadline(t), "cpu", patience/2); err != nil || len(tasks) != 1 || tasks[0].Attempt != 1 {
		t.Fatalf("pulled %+v, error %v: the first must still be there", tasks, err)
	}
}

func doorbellTakenOnce(t *testing.T, w World) {
	d := newDoorbell(t, w)
	const tasks, workers = 60, 6
	got := make(chan spec.TaskID, 2*tasks)
	for range workers {
		go func() {
			for {
				pulled, err := w.Pull(t.Context(), "cpu", patience/2)
				for _, task := range pulled {
					got <- task.Task.ID
				}
				if err != nil || len(pulled) == 0 {
					return
				}
			}
		}()
	}
	for n := range tasks {
		must(t, ring(d, dispatch("cpu", spec.TaskID(rune('a'+n)), 1), n < tasks-1))
	}
	seen := map[spec.TaskID]bool{}
	for range tasks {
		task := next(t, got)
		if seen[task] {
			t.Fatalf("%q was taken twice", task)
		}
		seen[task] = true
	}
}

func doorbellTakenThenPurged(t *testing.T, w World) {
	d := newDoorbell(t, w)
	must(t, ring(d, dispatch("cpu", "a", 1), false))
	pullAll(t, w, "cpu", 1)
	must(t, d.Purge(deadline(t), "cpu", run, "a", 1)) // nothing is left to purge
	wantNothing(t, w, "cpu")
}
