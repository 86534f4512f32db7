package coordinator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mrand "math/rand/v2"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

// ports are what a leader needs of the outside: real JetStream, or the simulator's model of it.
type ports struct {
	journal  bus.Journal
	results  bus.Results
	doorbell bus.Doorbell
	uplinks  bus.Uplinks
	mirror   kv.Mirror
	lease    kv.Lease
	objects  bus.Objects
	rejects  bus.Rejects
	logs     bus.Logs    // nil in the simulator, where nothing writes any
	output   bus.Objects // what attempts leave besides their results
	// connected says whether the server can be reached, payloadMax how many bytes of one message it takes.
	connected  func() bool
	payloadMax func() int
}

// recovery is how a new leader comes to the state of its run.
type recovery struct {
	ports ports
	run   spec.RunName
	// acknowledged is the journal position that the workdir says was reached; 0 when it says nothing.
	acknowledged uint64
	runID        string // as the workdir says it; "" when it says nothing
	writer       uint64
	wall         spec.WallTime // the time, for the epoch record

	commit committer
	fold   *fold
	mirror uint64 // the mirror's last sequence
}

// fenceTriesMax bounds how often a candidate tries again after another writer's record came first: the deposed leader
// may have had appends under way, but it stops at the first that is refused.
const fenceTriesMax = 50

// recover fences the former leader and folds mirror and journal into the run's state, in this order: epoch record, mirror
// meta, mirror values, tail of the journal. The order matters: after the epoch record nobody else's append succeeds, and
// after the meta nobody else's flush does, so that what is read then is all there will be.
func (r *recovery) recover(ctx context.Context) error {
	if err := r.ensure(ctx); err != nil {
		return err
	}
	if err := r.fence(ctx); err != nil {
		return err
	}
	if err := r.load(ctx); err != nil {
		return err
	}
	return r.replay(ctx)
}

// ensure creates the journal of a run that nobody has ever heard of. Anything that says the run existed makes a missing
// journal an alarm instead.
func (r *recovery) ensure(ctx context.Context) error {
	b, err := r.ports.journal.Bounds(ctx)
	switch {
	case err == nil && b.Last < r.acknowledged:
		return r.alarm("its journal ends at record %d, below record %d that was acknowledged", b.Last, r.acknowledged)
	case err == nil:
		r.commit.last = b.Last
		return nil
	case !errors.Is(err, bus.ErrMissing):
		return fmt.Errorf("run %q: look up the journal: %w", r.run, err)
	}
	if r.acknowledged > 0 {
		return r.alarm("its journal stream is gone; record %d of it was acknowledged", r.acknowledged)
	}
	if meta, err := r.ports.mirror.Get(ctx, kv.KeyMeta); err == nil && len(meta) > 0 {
		return r.lookAgain(ctx)
	} else if err != nil && !errors.Is(err, bus.ErrMissing) {
		return fmt.Errorf("run %q: look up the mirror: %w", r.run, err)
	}
	if _, err := r.ports.journal.Ensure(ctx); err != nil {
		return fmt.Errorf("run %q: create the journal: %w", r.run, err)
	}
	return nil
}

// lookAgain tells a run that another candidate has just begun from one whose journal is gone.
func (r *recovery) lookAgain(ctx context.Context) error {
	b, err := r.ports.journal.Bounds(ctx)
	switch {
	case errors.Is(err, bus.ErrMissing):
		return r.alarm("its journal stream is gone, but its mirror is there")
	case err != nil:
		return fmt.Errorf("run %q: look up the journal: %w", r.run, err)
	}
	r.commit.last = b.Last
	return nil
}

func (r *recovery) alarm(format string, args ...any) error {
	return &journalAlarm{run: string(r.run), reason: fmt.Sprintf(format, args...)}
}

// fence appends the epoch record of a new term.
func (r *recovery) fence(ctx context.Context) error {
	for range fenceTriesMax {
		epoch, err := r.nextEpoch(ctx)
		if err != nil {
			return err
		}
		data, err := bus.AppendRecord(nil, epoch)
		if err != nil {
			return fmt.Errorf("run %q: epoch record: %w", r.run, err)
		}
		switch err := r.commit.append(ctx, [][]byte{data}); {
		case err == nil:
			r.fold = newFold(0)
			r.fold.epoch, r.fold.runID = epoch.Epoch, epoch.RunID
			return nil
		case !errors.Is(err, errDeposed):
			return err
		}
		b, err := r.ports.journal.Bounds(ctx)
		if err != nil {
			return fmt.Errorf("run %q: look up the journal: %w", r.run, err)
		}
		r.commit.last = b.Last
	}
	return fmt.Errorf("run %q: fence the former leader: %w", r.run, errDeposed)
}

// nextEpoch makes the epoch record that follows the journal's last record.
func (r *recovery) nextEpoch(ctx context.Context) (*bus.Record, error) {
	epoch := &bus.Record{
		Version: bus.RecordVersion, Kind: bus.RecordEpoch, Epoch: 1, Commit: 1, Writer: r.writer, Part: 1, Parts: 1,
		Wall: r.wall,
	}
	if r.commit.last == 0 {
		epoch.RunID = newRunID()
		return epoch, nil
	}
	last, err := r.record(ctx, r.commit.last)
	if err != nil {
		return nil, err
	}
	if r.runID != "" && r.runID != last.RunID {
		return nil, r.alarm("the journal is of run %s, the workdir of run %s", last.RunID, r.runID)
	}
	epoch.RunID, epoch.Time, epoch.Watermark = last.RunID, last.Time, last.Watermark
	epoch.Epoch, epoch.Commit = last.Epoch+1, last.Commit+1
	if last.Part == last.Parts {
		return epoch, nil
	}
	// An incomplete series: this record voids it and takes its number. What it said of results is void too.
	before, err := r.record(ctx, r.commit.last-uint64(last.Part))
	if err != nil {
		return nil, err
	}
	epoch.Commit, epoch.Watermark = last.Commit, before.Watermark
	return epoch, nil
}

// record reads one record that must be there.
func (r *recovery) record(ctx context.Context, seq uint64) (*bus.Record, error) {
	data, err := r.ports.journal.Get(ctx, seq)
	if errors.Is(err, bus.ErrMissing) {
		return nil, r.alarm("record %d, at the journal's end, was removed", seq)
	}
	if err != nil {
		return nil, fmt.Errorf("run %q: read journal record %d: %w", r.run, seq, err)
	}
	record, err := bus.DecodeRecord(data)
	if err != nil {
		return nil, r.alarm("journal record %d: %v", seq, err)
	}
	return record, nil
}

// load reads the mirror and writes this term into its meta, until both happened with no other write between.
func (r *recovery) load(ctx context.Context) error {
	for range fenceTriesMax {
		if _, err := r.ports.mirror.Ensure(ctx); err != nil {
			return fmt.Errorf("run %q: create the mirror: %w", r.run, err)
		}
		meta, err := r.loadMirror(ctx)
		if errors.Is(err, bus.ErrMissing) {
			continue // deleted meanwhile
		}
		if err != nil {
			return err
		}
		meta.Epoch = r.fold.epoch
		data, err := bus.EncodeMirrorMeta(meta)
		if err != nil {
			return fmt.Errorf("run %q: mirror meta: %w", r.run, err)
		}
		last, err := r.ports.mirror.Flush(ctx, r.mirror, []kv.Entry{{Key: kv.KeyMeta, Value: data}})
		switch {
		case err == nil:
			r.mirror = last
			return nil
		case errors.Is(err, bus.ErrConflict), errors.Is(err, bus.ErrAmbiguous):
			continue
		}
		return fmt.Errorf("run %q: fence the mirror: %w", r.run, err)
	}
	return fmt.Errorf("run %q: fence the mirror: %w", r.run, errDeposed)
}

// loadMirror reads every value into a new fold and returns the meta. A mirror of which any part cannot be read or is
// missing, or that is of another run, is taken as empty: the journal then tells all, unless it was purged. One that a later term has
// written is that leader's: this candidate was deposed while it loaded.
func (r *recovery) loadMirror(ctx context.Context) (*bus.MirrorMeta, error) {
	keys, _, err := r.ports.mirror.Size(ctx)
	if err != nil {
		return nil, fmt.Errorf("run %q: look up the mirror: %w", r.run, err)
	}
	f, meta, damaged := newFold(int(keys)), &bus.MirrorMeta{Version: bus.RecordVersion}, error(nil)
	last, err := r.ports.mirror.Load(ctx, func(key string, value []byte) error {
		if err := takeMirror(f, meta, key, value); err != nil {
			damaged = err
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("run %q: read the mirror: %w", r.run, err)
	}
	epoch, runID := r.fold.epoch, r.fold.runID
	if meta.RunID != runID {
		meta.Epoch = 0
	}
	if damaged != nil || meta.JournalSeq == 0 || meta.RunID != runID || uint64(len(f.tasks)) < meta.Tasks {
		f, meta = newFold(0), &bus.MirrorMeta{Version: bus.RecordVersion, Epoch: meta.Epoch, RunID: runID}
	}
	switch {
	case meta.Epoch > epoch:
		return nil, fmt.Errorf("run %q: epoch %d has the mirror of epoch %d: %w", r.run, meta.Epoch, epoch, errDeposed)
	case meta.JournalSeq > r.commit.last:
		return nil, r.alarm("its journal ends at record %d, and the mirror reaches record %d", r.commit.last, meta.JournalSeq)
	}
	f.startAt(meta)
	r.fold, r.mirror = f, last
	r.fold.epoch, r.fold.runID = epoch, runID
	return meta, nil
}

func takeMirror(f *fold, meta *bus.MirrorMeta, key string, value []byte) error {
	if key == kv.KeyMeta {
		m, err := bus.DecodeMirrorMeta(value)
		if err != nil {
			return err
		}
		*meta = *m
		return nil
	}
	if key == kv.KeyBase {
		f.base, _ = bus.DecodeMirrorBase(value) // no state follows from it: the next purge writes another
		return nil
	}
	v, err := bus.DecodeMirrorValue(value)
	if err != nil {
		return err
	}
	f.put(v)
	return nil
}

// replay folds the journal's records after the mirror's position, up to this term's epoch record.
func (r *recovery) replay(ctx context.Context) error {
	epoch := r.fold.epoch
	// The tail holds older terms; each must follow the one before. Of which term the mirror's position is nobody says: its
	// meta may be that of a candidate that died after its fence.
	r.fold.epoch = 0
	from := r.fold.seq + 1
	b, err := r.ports.journal.Bounds(ctx)
	if err != nil {
		return fmt.Errorf("run %q: look up the journal: %w", r.run, err)
	}
	if b.First > from {
		return r.overtaken(ctx, epoch, r.alarm("the journal begins at record %d, and the mirror reaches only to record %d", b.First, r.fold.seq))
	}
	err = r.ports.journal.Read(ctx, from, func(seq uint64, data []byte) error {
		record, err := bus.DecodeRecord(data)
		if err != nil {
			return r.alarm("journal record %d: %v", seq, err)
		}
		return r.fold.read(seq, record)
	})
	var foldErr *spec.FoldError
	switch {
	case errors.As(err, &foldErr), errors.Is(err, bus.ErrGap):
		return r.overtaken(ctx, epoch, r.alarm("%v", err))
	case err != nil:
		return fmt.Errorf("run %q: read the journal: %w", r.run, err)
	case r.fold.epoch != epoch || r.fold.seq != r.commit.last:
		return fmt.Errorf("run %q: after the fence the journal went on to record %d: %w", r.run, r.fold.seq, errDeposed)
	}
	return nil
}

// overtaken tells what looks like a damaged journal from a candidate that was deposed while it loaded: the leader that came
// after it may have purged what it was about to read.
func (r *recovery) overtaken(ctx context.Context, epoch uint64, alarm error) error {
	b, err := r.ports.journal.Bounds(ctx)
	if err != nil {
		return fmt.Errorf("run %q: look up the journal: %w", r.run, err)
	}
	last, err := r.record(ctx, b.Last)
	if err != nil {
		return err
	}
	if last.Epoch > epoch {
		return fmt.Errorf("run %q: epoch %d began meanwhile: %w", r.run, last.Epoch, errDeposed)
	}
	return alarm
}

// newRunID draws a random UUID (version 4).
func newRunID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// newWriter draws what tells this process's records from another's.
func newWriter() uint64 { return mrand.Uint64() | 1 }
