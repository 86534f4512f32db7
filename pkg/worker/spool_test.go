package worker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func mustOpen(t *testing.T, path string) (*spool, spoolDamage) {
	t.Helper()
	s, damage, err := openSpool(path, createSpoolFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() }) // may be closed already
	return s, damage
}

func mustAppend(t *testing.T, s *spool, bodies ...string) []uint64 {
	t.Helper()
	raw := make([][]byte, len(bodies))
	for i, body := range bodies {
		raw[i] = []byte(body)
	}
	seqs, err := s.append(raw, true)
	if err != nil {
		t.Fatal(err)
	}
	return seqs
}

// mustRemove removes results and has the file say so.
func mustRemove(t *testing.T, s *spool, seqs ...uint64) {
	t.Helper()
	s.remove(seqs)
	if next, err := s.settle(time.Now()); err != nil || !next.IsZero() {
		t.Fatalf("settle: %v, next at %v", err, next)
	}
}

// contents returns what a spool holds, oldest first.
func contents(t *testing.T, s *spool) (bodies []string) {
	t.Helper()
	for _, seq := range s.kept() {
		body, ok, err := s.read(seq)
		if !ok || err != nil {
			t.Fatalf("read %d: %v %v", seq, ok, err)
		}
		bodies = append(bodies, string(body))
	}
	return bodies
}

func wantContents(t *testing.T, s *spool, want ...string) {
	t.Helper()
	if got := contents(t, s); !slices.Equal(got, want) {
		t.Fatalf("the spool holds %q, not %q", got, want)
	}
}

func TestSpoolKeepsUntilRemoved(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), spoolFileName)
	s, damage := mustOpen(t, path)
	if damage != (spoolDamage{}) {
		t.Fatalf("a new spool is damaged: %+v", damage)
	}
	seqs := mustAppend(t, s, "a", "b", "c")
	mustRemove(t, s, seqs[1])
	wantContents(t, s, "a", "c")
	again, _ := mustOpen(t, path)
	wantContents(t, again, "a", "c")
	if more := mustAppend(t, again, "d"); more[0] <= seqs[2] {
		t.Fatalf("number %d is used twice", more[0])
	}
	wantContents(t, again, "a", "c", "d")
}

func TestSpoolIsEmptiedWhenNothingIsLeft(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), spoolFileName)
	s, _ := mustOpen(t, path)
	for range 3 {
		mustRemove(t, s, mustAppend(t, s, "a", "b")...)
		if status, err := os.Stat(path); err != nil || status.Size() != 0 {
			t.Fatalf("the file is not empty: %v %v", status.Size(), err)
		}
	}
	mustRemove(t, s, 77) // a receipt for nothing
}

func TestSpoolCompacts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), spoolFileName)
	s, _ := mustOpen(t, path)
	big := string(bytes.Repeat([]byte("x"), 1<<20))
	seqs := mustAppend(t, s, "first", big, big, big, big, big, "last")
	mustRemove(t, s, seqs[1:6]...)
	if size, entries := s.volume(); size > 1<<10 || entries != 2 {
		t.Fatalf("%d bytes, %d entries after compaction", size, entries)
	}
	wantContents(t, s, "first", "last")
	mustAppend(t, s, "more")
	again, _ := mustOpen(t, path)
	wantContents(t, again, "first", "last", "more")
}

// TestSpoolTornTail cuts the file at every byte: what was whole before the cut is there, and the spool goes on.
func TestSpoolTornTail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := mustOpen(t, filepath.Join(dir, "whole"))
	mustAppend(t, s, "one")
	mustAppend(t, s, "two")
	whole, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	frame := len(whole) / 2
	for cut := range len(whole) {
		path := filepath.Join(dir, fmt.Sprint("cut", cut))
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		torn, damage := mustOpen(t, path)
		if damage.inside != 0 || damage.torn != int64(cut%frame) {
			t.Fatalf("cut at %d: damage %+v", cut, damage)
		}
		want := []string{"one"}[:cut/frame]
		wantContents(t, torn, want...)
		mustAppend(t, torn, "three")
		again, damage := mustOpen(t, path)
		if damage != (spoolDamage{}) {
			t.Fatalf("cut at %d: still damaged: %+v", cut, damage)
		}
		wantContents(t, again, append(want, "three")...)
	}
}

// TestSpoolFlippedBit changes every byte in turn: the frame it hits is lost, the others are not.
func TestSpoolFlippedBit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := mustOpen(t, filepath.Join(dir, "whole"))
	mustAppend(t, s, "one", "two", "six")
	whole, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	bodies, frame := []string{"one", "two", "six"}, len(whole)/3
	for at := range whole {
		bad := bytes.Clone(whole)
		bad[at] ^= 1 << rand.IntN(8)
		path := filepath.Join(dir, "bad")
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		damaged, damage := mustOpen(t, path)
		if damage.inside+damage.torn != int64(frame) {
			t.Fatalf("byte %d: damage %+v", at, damage)
		}
		wantContents(t, damaged, slices.Delete(slices.Clone(bodies), at/frame, at/frame+1)...)
	}
}

// failingFile is a file that fails as a full or dying disk does.
type failingFile struct {
	spoolFile
	room *int64 // bytes that still fit
	sync *error
}

var errDiskFull = errors.New("no space left on device")

func (f *failingFile) WriteAt(b []byte, at int64) (int, error) {
	if int64(len(b)) > *f.room {
		n, err := f.spoolFile.WriteAt(b[:*f.room], at)
		*f.room = 0
		return n, errors.Join(err, errDiskFull)
	}
	*f.room -= int64(len(b))
	return f.spoolFile.WriteAt(b, at)
}

func (f *failingFile) Sync() error {
	if *f.sync != nil {
		return *f.sync
	}
	return f.spoolFile.Sync()
}

// openFailing opens a spool on a disk that the test fills.
func openFailing(t *testing.T, path string) (s *spool, room *int64, sync *error) {
	t.Helper()
	room, sync = new(int64), new(error)
	*room = 1 << 40
	s, _, err := openSpool(path, func(path string) (spoolFile, error) {
		file, err := createSpoolFile(path)
		return &failingFile{spoolFile: file, room: room, sync: sync}, err
	})
	if err != nil {
		t.Fatal(err)
	}
	s.rest = 0
	s.file = &failingFile{spoolFile: s.file, room: room, sync: sync}
	t.Cleanup(func() { _ = s.close() })
	return s, room, sync
}

func TestSpoolDiskFull(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), spoolFileName)
	s, room, sync := openFailing(t, path)
	seqs := mustAppend(t, s, "kept")
	for _, fill := range []func(){func() { *room = 30 }, func() { *room = 0 }, func() { *room, *sync = 1<<20, io.ErrShortWrite }} {
		fill()
		if _, err := s.append([][]byte{[]byte("lost"), []byte("lost too")}, true); err == nil {
			t.Fatal("a full disk is no error")
		}
		wantContents(t, s, "kept")
	}
	*room, *sync = 1<<20, nil
	mustAppend(t, s, "after")
	wantContents(t, s, "kept", "after")
	again, damage := mustOpen(t, path)
	if damage != (spoolDamage{}) {
		t.Fatalf("damage %+v", damage)
	}
	wantContents(t, again, "kept", "after")
	*room = 0
	s.remove(seqs)
	if next, err := s.settle(time.Now()); err == nil || next.IsZero() {
		t.Fatalf("a receipt that could not be written: %v, next try at %v", err, next)
	}
	wantContents(t, s, "after")
}

// TestSpoolUnwrittenNumbersDoNotReturn: a failed group whose bytes did reach the disk is not taken for later results.
func TestSpoolFailedGroupIsReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), spoolFileName)
	s, _, sync := openFailing(t, path)
	*sync = errDiskFull
	if _, err := s.append([][]byte{[]byte("x"), []byte("y")}, true); err == nil {
		t.Fatal("no error")
	}
	*sync = nil
	seqs := mustAppend(t, s, "z")
	again, _ := mustOpen(t, path)
	wantContents(t, again, "z")
	if got := again.kept(); !slices.Equal(got, seqs) {
		t.Fatalf("numbers %v, not %v", got, seqs)
	}
}

// TestSpoolRandomly compares the spool with a model over many operations and reopenings.
func TestSpoolRandomly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), spoolFileName)
	s, _ := mustOpen(t, path)
	model, order := map[uint64]string{}, []uint64{}
	for i := range 500 {
		switch {
		case rand.IntN(20) == 0:
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
			s, _ = mustOpen(t, path)
		case rand.IntN(2) == 0 || len(order) == 0:
			body := fmt.Sprint(i, string(bytes.Repeat([]byte("z"), rand.IntN(60<<10))))
			seq := mustAppend(t, s, body)[0]
			if len(order) == 0 {
				clear(model)
			}
			model[seq] = body
			order = append(order, seq)
		default:
			n := 1 + rand.IntN(min(len(order), 3))
			mustRemove(t, s, order[:n]...)
			order = order[n:]
		}
		if i%10 == 0 {
			var want []string
			for _, seq := range order {
				want = append(want, model[seq])
			}
			wantContents(t, s, want...)
		}
	}
}

// countingFile counts the syncs of a file.
type countingFile struct {
	spoolFile
	syncs int
}

func (f *countingFile) Sync() error {
	f.syncs++
	return f.spoolFile.Sync()
}

// TestSpoolSyncs: what was appended without a sync is on disk after a while, unless it was receipted.
func TestSpoolSyncs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), spoolFileName)
	s, _ := mustOpen(t, path)
	file := &countingFile{spoolFile: s.file}
	s.file = file
	appendLater := func(body string) uint64 {
		t.Helper()
		seqs, err := s.append([][]byte{[]byte(body)}, false)
		if err != nil {
			t.Fatal(err)
		}
		return seqs[0]
	}
	settle := func(now time.Time, want int) time.Time {
		t.Helper()
		next, err := s.settle(now)
		if err != nil || file.syncs != want {
			t.Fatalf("%d syncs, not %d: %v", file.syncs, want, err)
		}
		return next
	}
	mustAppend(t, s, "long")
	began := time.Now()
	settle(began, 1)
	first := appendLater("first")
	again, _ := mustOpen(t, path)
	wantContents(t, again, "long", "first") // the end of the process does not lose it
	due := settle(began, 1)
	if due.IsZero() {
		t.Fatal("nobody will sync the result")
	}
	second := appendLater("second")
	s.remove([]uint64{first})
	due = settle(due, 1) // the first is receipted, the second is not due
	if next := settle(due, 2); !next.IsZero() {
		t.Fatalf("synced, and due again at %v", next)
	}
	s.remove([]uint64{second, appendLater("third")})
	if next := settle(due.Add(time.Hour), 2); !next.IsZero() {
		t.Fatalf("nothing is left, and due at %v", next)
	}
	wantContents(t, s, "long")
}

// TestSpoolEmptiesItself: a spool that never rests does not grow as long as its results are receipted.
func TestSpoolEmptiesItself(t *testing.T) {
	t.Parallel()
	s, _ := mustOpen(t, filepath.Join(t.TempDir(), spoolFileName))
	big := string(bytes.Repeat([]byte("x"), 100<<10))
	for range 10 {
		s.remove(mustAppend(t, s, big))
		if size, _ := s.volume(); size > 2*spoolEmptyMin {
			t.Fatalf("the file has %d bytes", size)
		}
	}
}

func FuzzScanSpool(f *testing.F) {
	sound := appendFrame(nil, frame{seq: 1, kind: frameResult, body: []byte("one")})
	sound = appendFrame(sound, frame{seq: 1, kind: frameDrop, body: make([]byte, 8)})
	f.Add(sound)
	f.Add(append([]byte("ARf1ARf1"), sound...))
	f.Add([]byte("ARf1\xff\xff\xff\x7f"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var total, last int64
		end, skipped, err := scanSpool(bytes.NewReader(data), func(f frame, bodyAt int64) {
			if bodyAt < last+frameHeaderSize {
				t.Fatal("frames overlap")
			}
			if !bytes.Equal(data[bodyAt:bodyAt+int64(len(f.body))], f.body) {
				t.Fatal("the body is not what stands there")
			}
			last = bodyAt + int64(len(f.body))
			total += int64(frameHeaderSize + len(f.body))
		})
		if err != nil || end != last || total+skipped != int64(len(data)) {
			t.Fatalf("end %d of %d, total %d, skipped %d, length %d: %v", end, last, total, skipped, len(data), err)
		}
	})
}

func BenchmarkSpoolAppend(b *testing.B) {
	for _, group := range []int{1, 64, 512} {
		b.Run(fmt.Sprint("group", group), func(b *testing.B) {
			s, _, err := openSpool(filepath.Join(b.TempDir(), spoolFileName), createSpoolFile)
			if err != nil {
				b.Fatal(err)
			}
			bodies := make([][]byte, group)
			for i := range bodies {
				bodies[i] = make([]byte, 200)
			}
			for b.Loop() {
				seqs, err := s.append(bodies, true)
				if err != nil {
					b.Fatal(err)
				}
				s.remove(seqs)
			}
			b.ReportMetric(float64(b.N*group)/b.Elapsed().Seconds(), "results/s")
			if err := s.close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}
