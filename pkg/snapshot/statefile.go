package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"autoresearch/pkg/spec"
)

// The files below a workdir that this package writes beside engine_state.json.
const (
	EngineDir   = "engine"
	SidecarFile = "engine/engine_state.sha256"
	FactoryFile = "workflow_factory.json"
	RunFile     = "engine/run.json"
)

// Origin tells whose content a read found.
type Origin int

const (
	// Absent: there is no snapshot; the run is fresh.
	Absent Origin = iota
	// Ours: the content is the last this engine wrote (or the one before, when it died in the last write), or one it
	// had read before it wrote.
	Ours
	// Edited: this engine wrote the file once, and somebody changed it since: a person decides.
	Edited
	// Foreign: this engine never wrote here: the original's file.
	Foreign
)

// String returns the origin's name.
func (o Origin) String() string {
	switch o {
	case Absent:
		return "absent"
	case Ours:
		return "ours"
	case Edited:
		return "edited"
	case Foreign:
		return "foreign"
	}
	return "unknown"
}

// Hash is the SHA-256 of a file's content; the zero Hash means no file.
type Hash [sha256.Size]byte

// IsZero reports whether h is the hash of no file.
func (h Hash) IsZero() bool { return h == Hash{} }

// String returns h as 64 hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// CorruptError says that a file of the workdir does not hold what it should. The file is left as it is.
type CorruptError struct {
	Path   string
	Remedy string
	Err    error // names the field and the place
}

// Error names the file, the field, the place and the remedy.
func (e *CorruptError) Error() string { return fmt.Sprintf("%s: %v; %s", e.Path, e.Err, e.Remedy) }

// Unwrap returns the decoding error.
func (e *CorruptError) Unwrap() error { return e.Err }

// What a person can do about a file that cannot be read.
const (
	stateRemedy      = "restore the previous engine_state.json, or start with --ignore-edits"
	checkpointRemedy = "mend it or move it away, or start with --ignore-edits"
)

// StateFile is the engine_state.json of a workdir. Its methods are safe for concurrent use; writing needs the Lock of
// the workdir.
type StateFile struct {
	workdir string
	writer  atomicWriter

	mu sync.Mutex
	// known is the hash of the content that was last read or written here: on the disk, unless somebody changed it.
	known Hash
	// knownAt is the journal position that this content shows; 0 when it is not known.
	knownAt uint64
	// size is that of the last write, so that the next one need not grow its buffer.
	size int
}

// Open prepares a workdir for writing: it makes <workdir>/engine and removes the temporary files that crashed writes
// left. The caller holds the Lock: the temporary files of a living writer would go too. Readers use Reader.
func Open(workdir string) (*StateFile, error) {
	engine := filepath.Join(workdir, EngineDir)
	if err := os.MkdirAll(engine, 0o755); err != nil {
		return nil, fmt.Errorf("open workdir: %w", err)
	}
	for _, dir := range []string{workdir, engine} {
		if err := removeTemps(dir); err != nil {
			return nil, err
		}
	}
	if err := syncDir(workdir); err != nil { // the name of engine/
		return nil, fmt.Errorf("open workdir: %w", err)
	}
	return Reader(workdir), nil
}

// Reader returns the StateFile of a workdir without touching the workdir: for those that only read.
func Reader(workdir string) *StateFile { return &StateFile{workdir: workdir} }

// Path returns the path of engine_state.json.
func (f *StateFile) Path() string { return f.path(spec.EngineStateFile) }

func (f *StateFile) path(name string) string {
	return filepath.Join(f.workdir, filepath.FromSlash(name))
}

// Hash returns the hash of the content last read or written by f, of the checkpoint if that was read; the zero Hash
// before, and when there was no file.
func (f *StateFile) Hash() Hash {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known
}

// Read returns the state, and whose it is. A state file that this engine never wrote and that holds no specs, or none
// at all, gives way to the original's engine/checkpoint.json when that holds specs. With no file the state is empty,
// Absent. A file that cannot be read as a state is a *CorruptError, with the Origin and the Hash of its content all the
// same, so that the caller may go on without it. Read changes no file. The state is whole beside a living writer too,
// but the origin is certain only to the holder of the Lock.
//
// What was read counts as dealt with once Write is called: until the next write is complete, a later Read takes both
// contents for Ours. So decide about an edit, and journal the decision, before writing.
func (f *StateFile) Read() (spec.EngineState, Origin, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, hash, err := readFile(f.Path())
	if err != nil {
		return spec.EngineState{}, Absent, err
	}
	// Read after the state: a writer at work meanwhile adds its new hash and keeps the one of what was just read.
	marks, err := ReadMarks(f.path(SidecarFile))
	if err != nil {
		return spec.EngineState{}, Absent, err
	}
	mark, ours := markOf(marks, hash)
	f.known, f.knownAt = hash, mark.JournalSeq
	origin := originOf(hash, marks != nil, ours)
	state, err := decodeState(f.Path(), stateRemedy, text)
	if err != nil || origin == Ours || origin == Edited || state.HasSpecs() {
		return state, origin, err
	}
	checkpoint, found, err := f.readCheckpoint()
	if err != nil || found {
		return checkpoint, Foreign, err
	}
	return state, origin, nil
}

// readCheckpoint returns the original's checkpoint, and whether it is there and holds specs.
func (f *StateFile) readCheckpoint() (spec.EngineState, bool, error) {
	path := f.path(spec.CheckpointFile)
	text, hash, err := readFile(path)
	if err != nil {
		return spec.EngineState{}, false, err
	}
	state, err := decodeState(path, checkpointRemedy, text)
	if err != nil || state.HasSpecs() {
		f.known, f.knownAt = hash, 0
	}
	return state, state.HasSpecs(), err
}

// originOf tells whose content has the hash; taken says that there is a sidecar, ours that it knows the hash.
func originOf(hash Hash, taken, ours bool) Origin {
	switch {
	case hash.IsZero():
		return Absent
	case !taken:
		return Foreign
	case ours:
		return Ours
	}
	return Edited
}

// readFile returns a file's content and hash; no file is nil and the zero Hash.
func readFile(path string) ([]byte, Hash, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Hash{}, nil
	}
	if err != nil {
		return nil, Hash{}, fmt.Errorf("read snapshot: %w", err)
	}
	return text, sha256.Sum256(text), nil
}

// decodeState decodes a file's content; that of no file (nil) is an empty state.
func decodeState(path, remedy string, text []byte) (spec.EngineState, error) {
	if text == nil {
		return spec.EngineState{}, nil
	}
	state, err := spec.DecodeEngineState(text)
	if err != nil {
		return spec.EngineState{}, &CorruptError{Path: path, Remedy: remedy, Err: err}
	}
	return state, nil
}

// Write replaces engine_state.json with the state, durably. The sidecar learns the new hash before the file gets its
// name, and keeps the one on the disk: whichever a crash leaves is known at the next Read.
func (f *StateFile) Write(state spec.EngineState) error { return f.WriteAt(state, 0) }

// WriteAt is Write of the state as of a journal position, which the sidecar learns too.
func (f *StateFile) WriteAt(state spec.EngineState, seq uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	text := state.AppendIndented(make([]byte, 0, f.size+f.size/8))
	f.size = len(text)
	if err := f.learnDisk(); err != nil {
		return err
	}
	hash := Hash(sha256.Sum256(text))
	marks := []Mark{{Hash: hash, JournalSeq: seq}}
	if !f.known.IsZero() && f.known != hash {
		marks = append(marks, Mark{Hash: f.known, JournalSeq: f.knownAt})
	}
	if err := f.writer.write(f.path(SidecarFile), appendMarks(nil, marks)); err != nil {
		return err
	}
	if err := f.writer.write(f.Path(), text); err != nil {
		f.known, f.knownAt = Hash{}, 0 // either content may be there
		return err
	}
	f.known, f.knownAt = hash, seq
	return nil
}

// learnDisk sets known, when it is not, to the content on the disk if the sidecar knows that. An edit that nobody has
// read stays unknown, and so an edit.
func (f *StateFile) learnDisk() error {
	if !f.known.IsZero() {
		return nil
	}
	marks, err := ReadMarks(f.path(SidecarFile))
	if err != nil {
		return err
	}
	_, hash, err := readFile(f.Path())
	if err != nil {
		return err
	}
	if mark, ours := markOf(marks, hash); ours {
		f.known, f.knownAt = hash, mark.JournalSeq
	}
	return nil
}
