package restore

import (
	"context"
	"errors"
	"fmt"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
)

// Sources is where to look for what is known of a run. Journal and Mirror are nil where there is no server yet.
type Sources struct {
	Run spec.RunName
	// File is the engine_state.json to start from; the other files are looked for around it.
	File    string
	Journal bus.Journal
	Mirror  kv.Mirror
}

// Plan is what a restore comes to. Nothing has happened yet.
type Plan struct {
	Run   spec.RunName `json:"run"`
	RunID string       `json:"run_id"`
	// Reason says what is wrong with the journal.
	Reason string `json:"reason"`
	// Sources are the journal positions that the sources show, 0 for one that is not there or does not say.
	Sources Positions `json:"sources"`
	// Acknowledged is the journal position that is known to have been reached. What came after the newest source is lost.
	Acknowledged uint64 `json:"acknowledged"`
	Tasks        Tasks  `json:"tasks"`
	// Missing are children of finished tasks of which no source tells.
	Missing []spec.TaskID `json:"missing,omitempty"`
	// Record and Epoch are where the journal begins again.
	Record uint64 `json:"record"`
	Epoch  uint64 `json:"epoch"`

	tasks []*spec.Task
	base  bus.MirrorMeta // what the journal is to have added up to
}

// Positions are journal positions by what shows them.
type Positions struct {
	Mirror   uint64 `json:"mirror"`
	Tree     uint64 `json:"tree"`
	Snapshot uint64 `json:"snapshot"`
}

func (p Positions) newest() uint64 { return max(p.Mirror, p.Tree, p.Snapshot) }

// Tasks counts the tasks of a restored run by what becomes of them.
type Tasks struct {
	All       int `json:"all"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
	Cancelled int `json:"cancelled"`
	// Running have a worker that may keep them, Reported an outcome whose hook runs again; Queued wait.
	Running  int `json:"running"`
	Reported int `json:"reported"`
	Queued   int `json:"queued"`
}

// Lost is how many journal records are known to have been acknowledged that no source shows.
func (p *Plan) Lost() uint64 {
	if newest := p.Sources.newest(); p.Acknowledged > newest {
		return p.Acknowledged - newest
	}
	return 0
}

// ErrSound says that a journal is whole: there is nothing to restore.
var ErrSound = errors.New("its journal is whole: there is nothing to restore")

// How far a restored journal's numbers are above all that are known: nobody can have come that far without a trace.
const (
	recordGap  = 1 << 20
	commitGap  = 1 << 20
	epochGap   = 1 << 10
	attemptGap = 100
)

// Read looks at everything and returns what a restore would do. It changes nothing.
func Read(ctx context.Context, s Sources) (*Plan, error) {
	w, err := readWorkdir(s)
	if err != nil {
		return nil, err
	}
	m, err := readMirror(ctx, s.Mirror, w.record.RunID)
	if err != nil {
		return nil, fmt.Errorf("run %q: %w", s.Run, err)
	}
	p := &Plan{
		Run: s.Run, RunID: w.record.RunID, Acknowledged: max(w.record.JournalSeq, m.meta.JournalSeq),
		Sources: Positions{Mirror: m.meta.JournalSeq, Tree: w.treeAt, Snapshot: w.stateAt},
	}
	known := max(p.Acknowledged, p.Sources.newest())
	end, err := p.examine(ctx, s.Journal, known)
	if err != nil {
		return nil, err
	}
	p.base = m.meta
	p.base.RunID, p.base.JournalSeq = p.RunID, max(known, end)+recordGap
	p.base.Commit, p.base.Epoch = max(known, end, m.meta.Commit)+commitGap, max(m.meta.Epoch, w.record.Epoch)+epochGap
	p.Record, p.Epoch = p.base.JournalSeq+1, p.base.Epoch+1
	p.take(m, w)
	return p, p.replaces(m.damaged)
}

// replaces holds that what cannot be read of the mirror is written anew: else no coordinator would read it either.
func (p *Plan) replaces(damaged []string) error {
	written := make(map[string]bool, len(p.tasks))
	for _, task := range p.tasks {
		written[kv.TaskKey(task.Spec.ID)] = true
	}
	for _, key := range damaged {
		if !written[key] {
			return fmt.Errorf("run %q: mirror key %s cannot be read, and no file knows its task: give it up with `nats kv del %s %s`",
				p.Run, key, bus.StateBucket(p.Run), key)
		}
	}
	return nil
}

// examine says what is wrong with the journal and returns where it ends. One that is whole is an error.
func (p *Plan) examine(ctx context.Context, journal bus.Journal, known uint64) (end uint64, err error) {
	if journal == nil {
		p.Reason = "there is no server with its journal"
		return 0, nil
	}
	b, err := journal.Bounds(ctx)
	switch {
	case errors.Is(err, bus.ErrMissing):
		p.Reason = fmt.Sprintf("its journal stream is gone; record %d of it was acknowledged", known)
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("run %q: look up the journal: %w", p.Run, err)
	case b.Last < b.First:
		p.Reason = "its journal is empty"
	case b.Last < known:
		p.Reason = fmt.Sprintf("its journal ends at record %d, below record %d that was acknowledged", b.Last, known)
	case b.First > p.Sources.Mirror+1:
		p.Reason = fmt.Sprintf("its journal begins at record %d, and the mirror reaches record %d", b.First, p.Sources.Mirror)
	default:
		return b.Last, p.readTail(ctx, journal)
	}
	return b.Last, nil
}

// readTail reads what the mirror does not have yet.
func (p *Plan) readTail(ctx context.Context, journal bus.Journal) error {
	damaged := ""
	err := journal.Read(ctx, p.Sources.Mirror+1, func(seq uint64, data []byte) error {
		record, err := bus.DecodeRecord(data)
		switch {
		case damaged != "":
		case err != nil:
			damaged = fmt.Sprintf("journal record %d: %v", seq, err)
		case record.RunID != p.RunID:
			return fmt.Errorf("its journal is of run %s, and this workdir is of run %s: name another run with --run", record.RunID, p.RunID)
		}
		return nil
	})
	switch {
	case errors.Is(err, bus.ErrGap):
		p.Reason = err.Error()
	case err != nil:
		return fmt.Errorf("run %q: %w", p.Run, err)
	case damaged == "":
		return fmt.Errorf("run %q: %w", p.Run, ErrSound)
	default:
		p.Reason = damaged
	}
	return nil
}

// mirror is what the mirror still holds.
type mirror struct {
	meta  bus.MirrorMeta // zero: there is none
	tasks map[spec.TaskID]*spec.Task
	// damaged are the keys whose values cannot be read.
	damaged []string
}

// readMirror reads the mirror of a run.
func readMirror(ctx context.Context, source kv.Mirror, runID string) (*mirror, error) {
	m := &mirror{tasks: make(map[spec.TaskID]*spec.Task)}
	if source == nil {
		return m, nil
	}
	_, err := source.Load(ctx, func(key string, value []byte) error {
		switch key {
		case kv.KeyMeta:
			if meta, err := bus.DecodeMirrorMeta(value); err == nil {
				m.meta = *meta
			}
		case kv.KeyBase:
		default:
			v, err := bus.DecodeMirrorValue(value)
			if err != nil {
				m.damaged = append(m.damaged, key)
				return nil //nolint:nilerr // the files may know the task
			}
			m.tasks[v.Task.Spec.ID] = v.Task
		}
		return nil
	})
	switch {
	case errors.Is(err, bus.ErrMissing):
		return &mirror{}, nil
	case err != nil:
		return nil, fmt.Errorf("read the mirror: %w", err)
	case m.meta.RunID != "" && m.meta.RunID != runID:
		return nil, fmt.Errorf("its mirror is of run %s, and this workdir is of run %s: name another run with --run", m.meta.RunID, runID)
	}
	return m, nil
}

// workdir is what the files of a workdir say.
type workdir struct {
	record          snapshot.RunRecord
	state           spec.EngineState
	nodes           []spec.HypothesisNode
	stateAt, treeAt uint64
}
