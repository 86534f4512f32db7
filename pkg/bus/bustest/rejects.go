package bustest

import (
	"bytes"
	"reflect"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// TestRejects checks every contract line of bus.Rejects.
func TestRejects(t *testing.T, newWorld func(t *testing.T) World) {
	for name, test := range map[string]func(t *testing.T, w World){
		"Missing":   rejectsMissing,
		"Kept":      rejectsKept,
		"Bounded":   rejectsBounded,
		"Deleted":   rejectsDeleted,
		"RunsApart": rejectsRunsApart,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t))
		})
	}
}

func rejection(reason string) *bus.Rejected {
	return &bus.Rejected{
		Version: 1, Rule: spec.RuleMalformed, Reason: reason, At: 5, Epoch: 2, Worker: "w", Boot: 3,
		AttemptRef: bus.AttemptRef{Run: run, Task: "t", Attempt: 1, Claim: 7}, Data: []byte("raw"), Size: 3,
	}
}

// rejected returns the reasons that are kept, in order.
func rejected(t *testing.T, r bus.Rejects) (reasons []string) {
	t.Helper()
	last := uint64(0)
	must(t, r.List(deadline(t), func(number uint64, r *bus.Rejected) error {
		if number <= last {
			t.Errorf("number %d after %d", number, last)
		}
		last = number
		reasons = append(reasons, r.Reason)
		return nil
	}))
	return reasons
}

func rejectsMissing(t *testing.T, w World) {
	newJournal(t, w)
	r := w.Rejects(run)
	wantError(t, r.List(deadline(t), nil), bus.ErrMissing)
	_, err := r.Get(deadline(t), 1)
	wantError(t, err, bus.ErrMissing)
}

func rejectsKept(t *testing.T, w World) {
	r := w.Rejects(run)
	must(t, r.Put(deadline(t), rejection("one")))
	must(t, r.Put(deadline(t), rejection("two")))
	if got := rejected(t, r); !reflect.DeepEqual(got, []string{"one", "two"}) {
		t.Fatalf("kept %v", got)
	}
	got, err := r.Get(deadline(t), 2)
	must(t, err)
	if want := rejection("two"); !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	_, err = r.Get(deadline(t), 3)
	wantError(t, err, bus.ErrMissing)
}

// rejectsBounded: only the beginning of what was rejected is kept.
func rejectsBounded(t *testing.T, w World) {
	r := w.Rejects(run)
	long := rejection("long")
	long.Data, long.Size = bytes.Repeat([]byte{0xc1}, 2*bus.RejectedDataMax), 2*bus.RejectedDataMax
	must(t, r.Put(deadline(t), long))
	got, err := r.Get(deadline(t), 1)
	must(t, err)
	if len(got.Data) != bus.RejectedDataMax || got.Size != long.Size {
		t.Fatalf("kept %d bytes of %d", len(got.Data), got.Size)
	}
}

// rejectsDeleted: what is deleted by hand is made anew.
func rejectsDeleted(t *testing.T, w World) {
	newJournal(t, w)
	r := w.Rejects(run)
	must(t, r.Put(deadline(t), rejection("one")))
	w.Delete(bus.RejectedStream(run))
	must(t, r.Put(deadline(t), rejection("two")))
	if got := rejected(t, r); !reflect.DeepEqual(got, []string{"two"}) {
		t.Fatalf("kept %v", got)
	}
}

func rejectsRunsApart(t *testing.T, w World) {
	r, other := w.Rejects(run), w.Rejects("another run")
	must(t, r.Put(deadline(t), rejection("one")))
	must(t, other.Put(deadline(t), rejection("two")))
	if got := rejected(t, r); !reflect.DeepEqual(got, []string{"one"}) {
		t.Fatalf("kept %v", got)
	}
}
