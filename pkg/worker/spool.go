package worker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// spoolSyncDelay is the longest that a result waits for its sync when nothing waited for that.
	spoolSyncDelay = 20 * time.Millisecond
	// spoolEmptyMin is the size from which a spool without a live result is emptied by the next append.
	spoolEmptyMin = 256 << 10
	// spoolCompactMin is the size from which a spool that is mostly receipted is rewritten.
	spoolCompactMin = 4 << 20
	// spoolBufferMax is the largest write buffer that is kept between appends.
	spoolBufferMax = 4 << 20
	spoolRest      = time.Second
)

// errResting: the disk failed a moment ago.
var errResting = errors.New("the spool rests after a failure")

// spoolFile is what the spool needs of a file.
type spoolFile interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Sync() error
}

// span is where the body of a result lies in the file.
type span struct {
	at   int64
	size int
}

// spool keeps results on disk from the end of an attempt until the leader's receipt: an append-only file, written once per
// group of results. What append has returned survives the end of this process, and a power cut too once it was synced: at
// once where append was asked to, else by the settle that comes spoolSyncDelay later. A result that is receipted before
// that is never synced. Receipts are noted with the next write and never synced: one that a crash takes back makes its
// result be sent again, which the engine counts as a duplicate.
//
// A write that failed leaves the file's tail in doubt, so the next append first rewrites the file beside the old one; for
// spoolRest after a failure there is none (errResting), because a full disk would make each as long as the file.
// All methods may be called concurrently.
type spool struct {
	path   string
	create func(path string) (spoolFile, error)

	mu        sync.Mutex
	file      spoolFile
	size      int64 // where the next frame goes
	live      map[uint64]span
	liveBytes int64
	gone      []byte     // receipted numbers that the file does not say yet
	unsynced  []unsynced // oldest first; some may be receipted
	next      uint64     // the number of the next result
	doubtful  bool       // a write failed since the last rewrite
	failed    time.Time
	rest      time.Duration // how long after a failure nothing is tried
	buf       []byte

	// What volume says: a disk may hang while mu is held.
	sizeNow, entriesNow atomic.Int64
}

// unsynced is a group of results that a power cut may still take.
type unsynced struct {
	first, end uint64 // numbers, without end
	due        time.Time
}

// spoolDamage says what was found unsound in a spool file, in bytes: Torn at its end, as a crash leaves it, and Inside,
// before sound frames, as only a bad disk or a hand leaves it.
type spoolDamage struct{ torn, inside int64 }

// openSpool opens or creates the spool file at path and reads what it holds. A damaged file is rewritten without the
// damage. Temporary files of a rewrite that a crash cut short are removed.
func openSpool(path string, create func(string) (spoolFile, error)) (*spool, spoolDamage, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, spoolDamage{}, fmt.Errorf("open spool: %w", err)
	}
	s := &spool{path: path, create: create, file: file, live: map[uint64]span{}, next: 1, rest: spoolRest}
	damage, err := s.load(file)
	if err != nil {
		return nil, damage, errors.Join(fmt.Errorf("read spool %s: %w", path, err), file.Close())
	}
	s.doubtful = damage != spoolDamage{}
	s.tell()
	return s, damage, nil
}

// createSpoolFile makes an empty file at path, to be renamed later.
func createSpoolFile(path string) (spoolFile, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
}

// load fills the table of live results from the file.
func (s *spool) load(file *os.File) (spoolDamage, error) {
	status, err := file.Stat()
	if err != nil {
		return spoolDamage{}, err
	}
	end, skipped, err := scanSpool(io.NewSectionReader(file, 0, status.Size()), s.admit)
	if err != nil {
		return spoolDamage{}, err
	}
	s.size = end
	torn := status.Size() - end
	return spoolDamage{torn: torn, inside: skipped - torn}, nil
}

// admit applies one frame read at the start.
func (s *spool) admit(f frame, bodyAt int64) {
	switch f.kind {
	case frameResult:
		s.keep(f.seq, span{at: bodyAt, size: len(f.body)})
		s.next = max(s.next, f.seq+1)
	case frameDrop:
		for body := f.body; len(body) >= 8; body = body[8:] {
			s.forget(binary.LittleEndian.Uint64(body))
		}
	}
}

func (s *spool) keep(seq uint64, at span) {
	s.forget(seq)
	s.live[seq] = at
	s.liveBytes += int64(at.size + frameHeaderSize)
}

// forget drops a result from the table and reports whether it was there.
func (s *spool) forget(seq uint64) bool {
	at, ok := s.live[seq]
	if ok {
		delete(s.live, seq)
		s.liveBytes -= int64(at.size + frameHeaderSize)
	}
	return ok
}

// append writes the bodies as one group and returns their numbers; with sync, once all are on disk. On an error none
// counts as kept.
func (s *spool) append(bodies [][]byte, sync bool) ([]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.tell()
	if err := s.heal(); err != nil {
		return nil, err
	}
	if len(s.live) == 0 && s.size >= spoolEmptyMin {
		if err := s.empty(); err != nil {
			return nil, err
		}
	}
	buf, seqs := appendDrops(s.buf[:0], s.gone), make([]uint64, len(bodies))
	drops := len(buf)
	for i, body := range bodies {
		seqs[i] = s.next + uint64(i)
		buf = appendFrame(buf, frame{seq: seqs[i], kind: frameResult, body: body})
	}
	if cap(buf) <= spoolBufferMax {
		s.buf = buf
	}
	at := s.size + int64(drops)
	if err := s.write(buf, sync); err != nil {
		return nil, err
	}
	s.gone = s.gone[:0]
	for i, body := range bodies {
		s.keep(seqs[i], span{at: at + frameHeaderSize, size: len(body)})
		at += int64(frameHeaderSize + len(body))
	}
	s.next += uint64(len(bodies))
	if !sync {
		s.unsynced = append(s.unsynced, unsynced{seqs[0], s.next, time.Now().Add(spoolSyncDelay)})
	}
	return seqs, nil
}

// heal makes the file sound again after a failed write.
func (s *spool) heal() error {
	switch {
	case !s.doubtful:
		return nil
	case time.Since(s.failed) < s.rest:
		return errResting
	}
	err := s.rewrite()
	if err != nil {
		s.failed = time.Now()
	}
	return err
}

// write puts buf at the end of the file.
func (s *spool) write(buf []byte, sync bool) error {
	_, err := s.file.WriteAt(buf, s.size)
	if err != nil {
		return s.doubt(err)
	}
	if sync {
		if err := s.sync(); err != nil {
			return err
		}
	}
	s.size += int64(len(buf))
	return nil
}

// sync makes all that was written durable.
func (s *spool) sync() error {
	if err := s.file.Sync(); err != nil {
		return s.doubt(err)
	}
	s.unsynced = s.unsynced[:0]
	return nil
}

// doubt notes that nobody knows what the file holds.
func (s *spool) doubt(err error) error {
	s.doubtful, s.failed = true, time.Now()
	return fmt.Errorf("write spool: %w", err)
}

// remove forgets receipted results. The file says so after the next append or settle: until then, and after an error there,
// they may come back at the next start, and be sent again.
func (s *spool) remove(seqs []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.tell()
	for _, seq := range seqs {
		if s.forget(seq) {
			s.gone = binary.LittleEndian.AppendUint64(s.gone, seq)
		}
	}
}

// settle does what can wait: it empties the file when nothing is left, rewrites it when little is, notes receipts, and
// syncs what nobody waited for. It returns when to call it next at the latest, the zero time when nothing is left to do.
func (s *spool) settle(now time.Time) (next time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.tell()
	if s.doubtful {
		if err := s.heal(); err != nil {
			return s.failed.Add(max(s.rest, spoolSyncDelay)), err
		}
	}
	switch {
	case len(s.live) == 0 && s.size > 0:
		err = s.empty()
	case s.size > spoolCompactMin && s.liveBytes < s.size/4:
		err = s.rewrite()
	case len(s.gone) > 0:
		if err = s.write(appendDrops(nil, s.gone), false); err == nil {
			s.gone = s.gone[:0]
		}
	}
	if err == nil {
		next, err = s.syncDue(now)
	}
	if err != nil {
		return now.Add(max(s.rest, spoolSyncDelay)), err
	}
	return next, nil
}

// syncDue syncs when a live result has waited for it long enough, and returns when the next one will have.
func (s *spool) syncDue(now time.Time) (next time.Time, err error) {
	for len(s.unsynced) > 0 && !s.anyLive(s.unsynced[0]) {
		s.unsynced = s.unsynced[1:]
	}
	switch {
	case len(s.unsynced) == 0:
		return time.Time{}, nil
	case s.unsynced[0].due.After(now):
		return s.unsynced[0].due, nil
	}
	return time.Time{}, s.sync()
}

func (s *spool) anyLive(group unsynced) bool {
	for seq := group.first; seq < group.end; seq++ {
		if _, live := s.live[seq]; live {
			return true
		}
	}
	return false
}

// appendDrops appends frames that drop the numbers in gone.
func appendDrops(dst, gone []byte) []byte {
	for part := range slices.Chunk(gone, frameBodyMax) {
		dst = appendFrame(dst, frame{kind: frameDrop, body: part})
	}
	return dst
}

func (s *spool) empty() error {
	if err := s.file.Truncate(0); err != nil {
		return s.doubt(err)
	}
	s.size, s.gone, s.unsynced = 0, s.gone[:0], s.unsynced[:0]
	return nil
}

// rewrite replaces the file by one that holds the live results only.
func (s *spool) rewrite() error {
	file, err := s.create(s.path + ".new")
	if err != nil {
		return fmt.Errorf("rewrite spool: %w", err)
	}
	fresh := &spool{file: file, live: make(map[uint64]span, len(s.live))}
	err = s.copyTo(fresh)
	if err == nil {
		err = file.Sync()
	}
	if err == nil {
		err = os.Rename(s.path+".new", s.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("rewrite spool: %w", err), file.Close(), os.Remove(s.path+".new"))
	}
	old := s.file
	s.file, s.live, s.liveBytes, s.size, s.doubtful = file, fresh.live, fresh.liveBytes, fresh.size, false
	s.gone, s.unsynced = s.gone[:0], s.unsynced[:0]
	return errors.Join(syncDir(filepath.Dir(s.path)), old.Close())
}

// copyTo writes the live results, oldest first, to the end of fresh. One whose bytes cannot be read is left out.
func (s *spool) copyTo(fresh *spool) error {
	for _, seq := range slices.Sorted(maps.Keys(s.live)) {
		body, err := s.body(s.live[seq])
		if err != nil {
			continue // a bad disk took it; without it the task runs again, with an error here no result would be kept
		}
		if err := fresh.write(appendFrame(nil, frame{seq: seq, kind: frameResult, body: body}), false); err != nil {
			return err
		}
		fresh.keep(seq, span{at: fresh.size - int64(len(body)), size: len(body)})
	}
	return nil
}

// read returns the body of a kept result; ok is false when it was receipted meanwhile.
func (s *spool) read(seq uint64) (body []byte, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.live[seq]
	if !ok {
		return nil, false, nil
	}
	body, err = s.body(at)
	return body, true, err
}

func (s *spool) body(at span) ([]byte, error) {
	body := make([]byte, at.size)
	if _, err := s.file.ReadAt(body, at.at); err != nil {
		return nil, fmt.Errorf("read spool: %w", err)
	}
	return body, nil
}

// kept returns the numbers of all kept results, oldest first.
func (s *spool) kept() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.live))
}

// volume returns the size of the file in bytes and the number of results in it, without waiting for the disk.
func (s *spool) volume() (size int64, entries int) { return s.sizeNow.Load(), int(s.entriesNow.Load()) }

func (s *spool) tell() {
	s.sizeNow.Store(s.size)
	s.entriesNow.Store(int64(len(s.live)))
}

// close closes the file; what it holds stays.
func (s *spool) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.file.Close()
}

// syncDir makes a rename in the directory durable.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	err = dir.Sync()
	return errors.Join(err, dir.Close())
}

// writeFileSync replaces the file at path with data, atomically and durably.
func writeFileSync(path string, data []byte) error {
	file, err := createSpoolFile(path + ".new")
	if err != nil {
		return err
	}
	_, err = io.Copy(io.NewOffsetWriter(file, 0), bytes.NewReader(data))
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(path+".new"))
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
