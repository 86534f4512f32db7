package bus

import "autoresearch/pkg/spec"

// RecordVersion is the highest version of the stored forms (journal records and mirror values) that this build writes
// and reads. A record of a higher one is refused with an error that says which version wrote it.
//
// Version 2 names blobs in the place of what is too large. What names none is written as version 1, which older builds
// read.
const RecordVersion = 2

const recordVersionPlain = 1

// RecordKind says what a journal record is.
type RecordKind uint8

// The record kinds. The numbers are stored: never renumber them.
const (
	// RecordCommit carries the changes of one group commit.
	RecordCommit RecordKind = 1
	// RecordEpoch begins a leader's term: the fence. It voids an incomplete series before it.
	RecordEpoch RecordKind = 2
)

// Record is one journal message: the unit of commit.
type Record struct {
	Version int
	Kind    RecordKind
	RunID   string // the run's UUID, drawn when its journal begins
	Epoch   uint64 // the leader's term, from 1
	Commit  uint64 // counts commits over all epochs, from 1, without a gap
	Writer  uint64 // random per process start: tells one's own record from another's after an ambiguous append
	// Part and Parts make a step over the message limit a series of consecutive records, applied at the last:
	// Part counts from 1 to Parts. Both are 1 for a record of its own.
	Part  int
	Parts int
	// Time is the engine time of the commit.
	Time spec.EngineTime
	// Watermark is the sequence in the results stream up to which every result is reflected in the journal.
	Watermark uint64
	// Meta is the run-level state, present when it changed and always in an epoch record.
	Meta    *Meta
	Changes []Change
	// Acts are the changes among these that somebody asked for. They decide nothing.
	Acts []Act
	// Wall is the wall-clock time of the commit on the leader's machine, for people; 0 when unknown.
	Wall spec.WallTime
	// Unknown holds fields written by a newer version, kept on a rewrite.
	Unknown map[string][]byte
}

// The parts of a record that the engine makes are vocabulary of package spec.
type (
	// Change is one task's new state.
	Change = spec.Change
	// ChangeParts says which parts of the task a Change carries.
	ChangeParts = spec.ChangeParts
	// Meta is the run-level state that the journal keeps.
	Meta = spec.Meta
	// Act is a change that somebody asked for.
	Act = spec.Act
	// FoldError says why a journal cannot be folded.
	FoldError = spec.FoldError
)

// The parts of a task in a change.
const (
	PartSpec     = spec.PartSpec
	PartOutcome  = spec.PartOutcome
	PartChildren = spec.PartChildren
	PartAll      = spec.PartAll
)

// MirrorMeta is the value of the mirror's "meta" key: how far the mirror has followed.
type MirrorMeta struct {
	Version    int
	RunID      string
	Epoch      uint64
	Commit     uint64 // the commit number of the journal record at JournalSeq
	Writer     uint64
	JournalSeq uint64 // every change up to here is in the mirror
	Time       spec.EngineTime
	Watermark  uint64
	Tasks      uint64 // how many task keys the mirror holds
	Meta       Meta
	Unknown    map[string][]byte
}

// MirrorBase is the value of the mirror's "base" key: what the journal added up to at JournalSeq. The records before it
// were purged, or soon will be; a checker folds on from here, over the tasks of the mirror.
type MirrorBase struct {
	MirrorMeta
	// Leased are the state halves of the tasks that held a lease at this position: their keys in the mirror have gone on.
	Leased []Change
}

// MirrorValue is the value of one task's key in the mirror.
type MirrorValue struct {
	// JournalSeq is the journal position this state was taken at: replay is put-if-newer.
	JournalSeq uint64
	Task       *spec.Task
}
