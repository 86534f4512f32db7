package verify

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
)

// The files that are held against the journal.
const treeFile = snapshot.EngineDir + "/tree.json"

// files is what a workdir says.
type files struct {
	record    snapshot.RunRecord
	hasRecord bool
	stops     []stop
}

// readFiles reads the files of a workdir. What cannot be read or was changed by somebody is a violation.
func readFiles(workdir string, found *findings) (*files, error) {
	w := &files{}
	var err error
	w.record, err = snapshot.ReadRun(workdir)
	var corrupt *snapshot.CorruptError
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case errors.As(err, &corrupt):
		found.violate(Violation{Invariant: OneTruth, File: snapshot.RunFile}, "%v", corrupt.Err)
	case err != nil:
		return nil, err
	default:
		w.hasRecord = true
		w.add(w.record.JournalSeq, snapshot.RunFile, w.compareRecord)
	}
	if err := w.readMarked(workdir, spec.EngineStateFile, filepath.Join(workdir, filepath.FromSlash(snapshot.SidecarFile)), found, w.state); err != nil {
		return nil, err
	}
	return w, w.readMarked(workdir, treeFile, snapshot.SidecarOf(filepath.Join(workdir, filepath.FromSlash(treeFile))), found, w.tree)
}

func (w *files) add(seq uint64, name string, look func(*Fold)) {
	w.stops = append(w.stops, stop{seq: seq, what: name, look: look})
}

// compareRecord holds engine/run.json against the journal.
func (w *files) compareRecord(f *Fold) {
	at := Violation{Invariant: OneTruth, Record: w.record.JournalSeq, File: snapshot.RunFile}
	switch {
	case f.runID != w.record.RunID:
		f.violate(at, "it is of run %s, the journal of run %s", w.record.RunID, f.runID)
	case f.seq == w.record.JournalSeq && f.epoch != w.record.Epoch:
		f.violate(at, "it says epoch %d, the journal epoch %d", w.record.Epoch, f.epoch)
	}
}

// readMarked reads a file whose sidecar tells the position of each content, and hands it to decode.
func (w *files) readMarked(workdir, name, sidecar string, found *findings, decode func(text []byte) (func(*Fold), error)) error {
	text, mark, known, err := marked(filepath.Join(workdir, filepath.FromSlash(name)), sidecar)
	if err != nil || text == nil {
		return err
	}
	at := Violation{Invariant: OneTruth, File: name}
	look, err := decode(text)
	switch {
	case err != nil:
		found.violate(at, "it cannot be read: %v", err)
	case !known:
		found.violate(at, "it is not as the engine wrote it: somebody changed it")
	case mark.JournalSeq == 0:
		found.pass("%s does not say of which journal position it is: an older version wrote it", name)
	default:
		w.add(mark.JournalSeq, name, look)
	}
	return nil
}

// marked reads a file and its mark. A file without a sidecar is the original's, or nobody's; text is nil then. A writer at
// work meanwhile is waited out by reading again.
func marked(path, sidecar string) (text []byte, mark snapshot.Mark, known bool, err error) {
	const tries = 20
	for range tries {
		text, err = os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, mark, false, nil
		}
		if err != nil {
			return nil, mark, false, fmt.Errorf("read workdir: %w", err)
		}
		marks, err := snapshot.ReadMarks(sidecar)
		if err != nil {
			return nil, mark, false, err
		}
		if marks == nil {
			return nil, mark, false, nil
		}
		hash := snapshot.Hash(sha256.Sum256(text))
		if i := slices.IndexFunc(marks, func(m snapshot.Mark) bool { return m.Hash == hash }); i >= 0 {
			return text, marks[i], true, nil
		}
	}
	return text, mark, false, nil
}

// state reads engine_state.json.
func (w *files) state(text []byte) (func(*Fold), error) {
	state, err := spec.DecodeEngineState(text)
	if err != nil {
		return nil, err
	}
	return func(f *Fold) { f.compareState(state) }, nil
}

// compareState holds a snapshot against the fold at its position: the status, and queue and running set in scheduling
// order.
func (f *Fold) compareState(state spec.EngineState) {
	if f.vague > 0 {
		f.pass("%s is as of record %d, soon after which the journal was purged", spec.EngineStateFile, f.seq)
		return
	}
	at := Violation{Invariant: OneTruth, Record: f.seq, File: spec.EngineStateFile}
	if state.Status != f.meta.Status {
		f.violate(at, "it says that the run is %s, the journal that it is %s", state.Status, f.meta.Status)
	}
	var queued, running []*task
	for _, t := range f.tasks {
		switch {
		case t.state.Terminal():
		case t.state != spec.StateQueued, t.interrupted && f.meta.Status == spec.StatusInterrupted:
			running = append(running, t)
		default:
			queued = append(queued, t)
		}
	}
	f.compareSpecs("queued", state.Queued, queued)
	f.compareSpecs("running", state.Running, running)
}

// compareSpecs finds the first difference of a list.
func (f *Fold) compareSpecs(list string, have []spec.TaskSpec, want []*task) {
	slices.SortFunc(want, func(a, b *task) int {
		if before(a, b) {
			return -1
		}
		return 1
	})
	at := Violation{Invariant: OneTruth, Record: f.seq, File: spec.EngineStateFile}
	for i := range min(len(have), len(want)) {
		at.Task = want[i].id
		switch {
		case have[i].ID != want[i].id:
			f.violate(at, "%s[%d] is %q, the journal has %q there", list, i, have[i].ID, want[i].id)
		case have[i].Priority != want[i].priority || have[i].Kind != want[i].kind || !want[i].shows(have[i].Payload):
			f.violate(at, "%s[%d] has another priority, kind or payload than in the journal", list, i)
		default:
			continue
		}
		return
	}
	if at.Task = ""; len(have) != len(want) {
		f.violate(at, "%s lists %d tasks, the journal has %d", list, len(have), len(want))
	}
}

// tree reads engine/tree.json.
func (w *files) tree(text []byte) (func(*Fold), error) {
	nodes, err := spec.DecodeTree(text)
	if err != nil {
		return nil, err
	}
	return func(f *Fold) { f.compareTree(nodes) }, nil
}

// compareTree holds the hypothesis tree against the fold at its position: every experiment once, in order of arrival.
func (f *Fold) compareTree(nodes []spec.HypothesisNode) {
	tasks := slices.DeleteFunc(f.sorted(), func(t *task) bool {
		return f.meta.Rules != nil && f.meta.Rules.Kinds[t.kind].Uncounted
	})
	kids := make(map[spec.TaskID][]string, len(tasks))
	for _, t := range tasks {
		if t.parent != "" {
			kids[t.parent] = append(kids[t.parent], string(t.id))
		}
	}
	at := Violation{Invariant: OneTruth, Record: f.seq, File: treeFile}
	for i := range min(len(nodes), len(tasks)) {
		t := tasks[i]
		at.Task = t.id
		if n := &nodes[i]; n.NodeID != string(t.id) {
			f.violate(at, "node %d is %q, the journal has %q there", i, n.NodeID, t.id)
			return
		} else if wrong := t.nodeDiffers(n, kids[t.id]); wrong != "" && !t.vague {
			f.violate(at, "its %s is not what the journal says", wrong)
		}
	}
	if at.Task = ""; len(nodes) != len(tasks) {
		f.violate(at, "it has %d nodes, the journal %d", len(nodes), len(tasks))
	}
}

// nodeDiffers names the field in which a node differs from its task; "" when none does.
func (t *task) nodeDiffers(n *spec.HypothesisNode, kids []string) string {
	job := ""
	if t.attempt > 0 {
		job = fmt.Sprintf("%s/%d", t.id, t.attempt)
	}
	result := uint64(0)
	if n.Result != nil {
		result = meaning(n.Result)
	}
	switch {
	case n.ParentID != string(t.parent):
		return "parent"
	case n.Status != nodeStatus(t.state):
		return "status"
	case !slices.Equal(n.Children, kids):
		return "list of children"
	case n.Priority != t.priority:
		return "priority"
	case n.JobID != job:
		return "attempt"
	case !t.shows(n.Spec):
		return "payload"
	case result != t.shown.result && !t.shown.farResult:
		return "result"
	case failureMeaning(n.Failure) != t.shown.failure:
		return "failure"
	}
	return ""
}

// shows reports whether a payload may be the task's: of one that lies in the object store nothing is known here.
func (t *task) shows(payload []byte) bool {
	return t.shown.farPayload || meaning(payload) == t.shown.payload
}

// nodeStatus is how the tree calls a state.
func nodeStatus(s spec.TaskState) string {
	switch s {
	case spec.StateCompleted:
		return spec.StatusCompleted
	case spec.StateFailed:
		return spec.StatusFailed
	case spec.StateQueued:
		return spec.StatusQueued
	}
	return spec.StatusNodeRuns
}
