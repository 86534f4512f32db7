package bustest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

const run spec.RunName = "süß. run*>"

// TestJournal checks every contract line of bus.Journal.
func TestJournal(t *testing.T, newWorld func(t *testing.T) World) {
	for name, test := range map[string]func(t *testing.T, w World){
		"Ensure":            journalEnsure,
		"Missing":           journalMissing,
		"Append":            journalAppend,
		"KeepsNothing":      journalKeepsNothing,
		"Conflict":          journalConflict,
		"Refused":           journalRefused,
		"TooLarge":          journalTooLarge,
		"Ambiguous":         journalAmbiguous,
		"CancelledAppend":   journalCancelled,
		"Get":               journalGet,
		"Read":              journalRead,
		"ReadStops":         journalReadStops,
		"ReadBeyondTheEnd":  journalReadBeyond,
		"Purge":             journalPurge,
		"PurgedWhileRead":   journalPurgedWhileRead,
		"LargestRecord":     journalLargest,
		"PurgeAll":          journalPurgeAll,
		"DeletedAndCreated": journalRecreated,
		"RunsAreApart":      journalRuns,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t))
		})
	}
}

func newJournal(t *testing.T, w World) bus.Journal {
	t.Helper()
	j := w.Journal(run, bus.StreamOptions{})
	if created, err := j.Ensure(deadline(t)); err != nil || !created {
		t.Fatalf("Ensure: created %v, error %v", created, err)
	}
	return j
}

func record(n int) []byte { return fmt.Appendf(nil, "record %d", n) }

// fill appends records first to last.
func fill(t *testing.T, j bus.Journal, first, last int) {
	t.Helper()
	for n := first; n <= last; n++ {
		must(t, j.Append(deadline(t), uint64(n-1), record(n)))
	}
}

func wantBounds(t *testing.T, of interface {
	Bounds(ctx context.Context) (bus.Bounds, error)
}, first, last uint64) {
	t.Helper()
	bounds, err := of.Bounds(deadline(t))
	must(t, err)
	if bounds.First != first || bounds.Last != last {
		t.Fatalf("bounds are %d to %d, want %d to %d", bounds.First, bounds.Last, first, last)
	}
}

func journalEnsure(t *testing.T, w World) {
	j := newJournal(t, w)
	fill(t, j, 1, 1)
	if created, err := w.Journal(run, bus.StreamOptions{}).Ensure(deadline(t)); err != nil || created {
		t.Fatalf("second Ensure: created %v, error %v", created, err)
	}
	wantBounds(t, j, 1, 1)
}

func journalMissing(t *testing.T, w World) {
	newJournal(t, w) // so that the server holds a stream at all
	j := w.Journal("another", bus.StreamOptions{})
	_, err := j.Bounds(deadline(t))
	wantError(t, err, bus.ErrMissing)
	_, err = j.Get(deadline(t), 1)
	wantError(t, err, bus.ErrMissing)
	wantError(t, j.Read(deadline(t), 1, nil), bus.ErrMissing)
	wantError(t, j.Purge(deadline(t), 1), bus.ErrMissing)
	// An append cannot tell a stream that is missing from an outage: Bounds does.
	wantError(t, j.Append(deadline(t), 0, record(1)), bus.ErrAmbiguous)
}

func journalAppend(t *testing.T, w World) {
	j := newJournal(t, w)
	wantBounds(t, j, 1, 0)
	fill(t, j, 1, 3)
	wantBounds(t, j, 1, 3)
	must(t, j.Append(deadline(t), 3, nil))
	data, err := j.Get(deadline(t), 4)
	if err != nil || len(data) != 0 {
		t.Fatalf("an empty record is %q, error %v", data, err)
	}
}

// journalKeepsNothing appends one record after the other from the same memory.
func journalKeepsNothing(t *testing.T, w World) {
	j := newJournal(t, w)
	var data []byte
	for n := range 10 {
		data = append(data[:0], record(n)...)
		must(t, j.Append(deadline(t), uint64(n), data))
	}
	clear(data)
	for n := range 10 {
		stored, err := j.Get(deadline(t), uint64(n+1))
		if err != nil || !bytes.Equal(stored, record(n)) {
			t.Fatalf("record %d is %q, error %v", n, stored, err)
		}
	}
}

func journalConflict(t *testing.T, w World) {
	j := newJournal(t, w)
	fill(t, j, 1, 2)
	other := w.Journal(run, bus.StreamOptions{})
	for _, expect := range []uint64{0, 1, 3, 1 << 40} {
		wantError(t, other.Append(deadline(t), expect, record(9)), bus.ErrConflict)
	}
	must(t, other.Append(deadline(t), 2, []byte("theirs")))
	wantError(t, j.Append(deadline(t), 2, []byte("ours")), bus.ErrConflict)
	data, err := j.Get(deadline(t), 3)
	if err != nil || string(data) != "theirs" {
		t.Fatalf("record 3 is %q, error %v", data, err)
	}
	wantBounds(t, j, 1, 3)
}

func journalRefused(t *testing.T, w World) {
	j := w.Journal(run, bus.StreamOptions{JournalMaxBytes: 64 << 10})
	_, err := j.Ensure(deadline(t))
	must(t, err)
	var last uint64
	for err == nil && last < 100 {
		if err = j.Append(deadline(t), last, make([]byte, 4<<10)); err == nil {
			last++
		}
	}
	wantError(t, err, bus.ErrRefused)
	if last == 0 {
		t.Fatal("nothing fitted")
	}
	wantBounds(t, j, 1, last) // nothing was dropped to make room
	must(t, j.Purge(deadline(t), last))
	must(t, j.Append(deadline(t), last, make([]byte, 4<<10)))
}

func journalTooLarge(t *testing.T, w World) {
	j := newJournal(t, w)
	err := j.Append(deadline(t), 0, make([]byte, bus.MaxPayloadDefault+1))
	wantError(t, err, bus.ErrRefused)
	wantError(t, err, bus.ErrTooLarge)
	wantBounds(t, j, 1, 0)
}

func journalAmbiguous(t *testing.T, w World) {
	j := newJournal(t, w)
	fill(t, j, 1, 2)
	w.Down()
	wantError(t, j.Append(deadline(t), 2, record(3)), bus.ErrAmbiguous)
	if _, err := j.Bounds(deadline(t)); err == nil || errors.Is(err, bus.ErrMissing) {
		t.Fatalf("Bounds while cut off: %v", err)
	}
	w.Up()
	bounds, err := j.Bounds(deadline(t))
	must(t, err)
	// What was sent while cut off must not surface later: the same bytes go to the same place, or it is there.
	switch err := j.Append(deadline(t), 2, record(3)); bounds.Last {
	case 2:
		must(t, err)
	case 3:
		wantError(t, err, bus.ErrConflict)
	}
	data, err := j.Get(deadline(t), 3)
	if err != nil || !bytes.Equal(data, record(3)) {
		t.Fatalf("record 3 is %q, error %v", data, err)
	}
	wantBounds(t, j, 1, 3)
}

func journalCancelled(t *testing.T, w World) {
	j := newJournal(t, w)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantError(t, j.Append(ctx, 0, record(1)), bus.ErrAmbiguous)
}

func journalGet(t *testing.T, w World) {
	j := newJournal(t, w)
	fill(t, j, 1, 3)
	must(t, j.Purge(deadline(t), 2))
	for _, seq := range []uint64{1, 4} {
		_, err := j.Get(deadline(t), seq)
		wantError(t, err, bus.ErrMissing)
	}
	data, err := j.Get(deadline(t), 2)
	if err != nil || !bytes.Equal(data, record(2)) {
		t.Fatalf("record 2 is %q, error %v", data, err)
	}
}

// read returns the sequences of the records from from, after checking their data.
func read(t *testing.T, j bus.Journal, from uint64) ([]uint64, error) {
	t.Helper()
	var seqs []uint64
	err := j.Read(deadline(t), from, func(seq uint64, data []byte) error {
		if !bytes.Equal(data, record(int(seq))) {
			t.Errorf("record %d is %q", seq, data)
		}
		seqs = append(seqs, seq)
		return nil
	})
	return seqs, err
}

func sequences(first, last uint64) (seqs []uint64) {
	for seq := first; seq <= last; seq++ {
		seqs = append(seqs, seq)
	}
	return seqs
}

func journalRead(t *testing.T, w World) {
	j := newJournal(t, w)
	if seqs, err := read(t, j, 1); err != nil || len(seqs) != 0 {
		t.Fatalf("an empty journal: read %v, error %v", seqs, err)
	}
	fill(t, j, 1, 100)
	for _, from := range []uint64{0, 1, 50, 100} {
		if seqs, err := read(t, j, from); err != nil || !slices.Equal(seqs, sequences(max(from, 1), 100)) {
			t.Fatalf("from %d: read %v, error %v", from, seqs, err)
		}
	}
	// Records appended during a read are not part of it.
	calls := 0
	must(t, j.Read(deadline(t), 100, func(uint64, []byte) error {
		calls++
		return j.Append(deadline(t), 100, record(101))
	}))
	if calls != 1 {
		t.Fatalf("%d calls for the last of 100 records", calls)
	}
}

func journalReadStops(t *testing.T, w World) {
	j := newJournal(t, w)
	fill(t, j, 1, 10)
	enough := errors.New("enough")
	calls := 0
	err := j.Read(deadline(t), 1, func(uint64, []byte) error {
		calls++
		return enough
	})
	wantError(t, err, enough)
	if calls != 1 {
		t.Fatalf("%d calls", calls)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = j.Read(ctx, 1, func(uint64, []byte) error { cancel(); return ctx.Err() })
	wantError(t, err, context.Canceled)
}

func journalReadBeyond(t *testing.T, w World) {
	j := newJournal(t, w)
	fill(t, j, 1, 3)
	for _, from := range []uint64{4, 5, 1000} {
		if seqs, err := read(t, j, from); err != nil || len(seqs) != 0 {
			t.Fatalf("from %d: read %v, error %v", from, seqs, err)
		}
	}
}

func journalPurge(t *testing.T, w World) {
	j := newJournal(t, w)
	fill(t, j, 1, 10)
	whole := size(t, j)
	must(t, j.Purge(deadline(t), 6))
	wantBounds(t, j, 6, 10)
	if left := size(t, j); whole == 0 || left == 0 || left >= whole {
		t.Fatalf("the journal takes %d bytes, %d after the purge", whole, left)
	}
	for _, from := range []uint64{1, 5} {
		seqs, err := read(t, j, from)
		wantError(t, err, bus.ErrGap)
		if len(seqs) != 0 {
			t.Fatalf("from %d: read %v before the gap was noticed", from, seqs)
		}
	}
	if seqs, err := read(t, j, 6); err != nil || !slices.Equal(seqs, sequences(6, 10)) {
		t.Fatalf("read %v, error %v", seqs, err)
	}
	fill(t, j, 11, 11)
	must(t, j.Purge(deadline(t), 3)) // below the first: nothing
	wantBounds(t, j, 6, 11)
}

// size is how many bytes the journal says it takes.
func size(t *testing.T, j bus.Journal) uint64 {
	t.Helper()
	b, err := j.Bounds(deadline(t))
	must(t, err)
	return b.Bytes
}

// journalPurgedWhileRead: what is purged before it was delivered is a gap, not a wait without end.
func journalPurgedWhileRead(t *testing.T, w World) {
	j := newJournal(t, w)
	const records, size = 7, 3 << 20
	for n := range uint64(records) {
		must(t, j.Append(deadline(t), n, make([]byte, size)))
	}
	var seqs []uint64
	err := j.Read(deadline(t), 1, func(seq uint64, _ []byte) error {
		if seq == 1 {
			must(t, j.Purge(deadline(t), records+1))
		}
		seqs = append(seqs, seq)
		return nil
	})
	if err != nil {
		wantError(t, err, bus.ErrGap)
		return
	}
	if !slices.Equal(seqs, sequences(1, records)) { // all had been delivered
		t.Fatalf("read %v", seqs)
	}
}

func journalLargest(t *testing.T, w World) {
	j := newJournal(t, w)
	data := bytes.Repeat([]byte("x"), bus.MaxPayloadDefault-bus.AppendOverhead)
	must(t, j.Append(deadline(t), 0, data))
	if got, err := j.Get(deadline(t), 1); err != nil || !bytes.Equal(got, data) {
		t.Fatalf("got %d bytes, error %v", len(got), err)
	}
	must(t, j.Read(deadline(t), 1, func(_ uint64, got []byte) error {
		if !bytes.Equal(got, data) {
			t.Errorf("read %d bytes", len(got))
		}
		return nil
	}))
}

func journalPurgeAll(t *testing.T, w World) {
	j := newJournal(t, w)
	fill(t, j, 1, 3)
	must(t, j.Purge(deadline(t), 4))
	wantBounds(t, j, 4, 3)
	_, err := read(t, j, 2)
	wantError(t, err, bus.ErrGap)
	wantError(t, j.Append(deadline(t), 0, record(4)), bus.ErrConflict)
	fill(t, j, 4, 4)
	wantBounds(t, j, 4, 4)
}

func journalRecreated(t *testing.T, w World) {
	must(t, w.Results(run, bus.StreamOptions{}).Ensure(deadline(t)))
	j := newJournal(t, w)
	fill(t, j, 1, 3)
	before, err := j.Bounds(deadline(t))
	must(t, err)
	w.Delete(bus.JournalStream(run))
	_, err = j.Bounds(deadline(t))
	wantError(t, err, bus.ErrMissing)
	newJournal(t, w)
	after, err := j.Bounds(deadline(t))
	must(t, err)
	if !after.Created.After(before.Created) {
		t.Fatalf("created %v, and again %v", before.Created, after.Created)
	}
	wantBounds(t, j, 1, 0)
}

func journalRuns(t *testing.T, w World) {
	a := newJournal(t, w)
	b := w.Journal("süß_ run", bus.StreamOptions{})
	if created, err := b.Ensure(deadline(t)); err != nil || !created {
		t.Fatalf("Ensure: created %v, error %v", created, err)
	}
	fill(t, a, 1, 2)
	must(t, b.Append(deadline(t), 0, record(1)))
	wantBounds(t, a, 1, 2)
	wantBounds(t, b, 1, 1)
}
