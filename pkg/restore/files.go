package restore

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
)

// readWorkdir reads the snapshot and the files around it. The tree may be missing, the record of the run may not: without
// it nobody knows which run this was.
func readWorkdir(s Sources) (*workdir, error) {
	w := &workdir{}
	dir := filepath.Dir(s.File)
	text, seq, err := readMarked(s.File, filepath.Join(dir, filepath.FromSlash(snapshot.SidecarFile)))
	if err != nil {
		return nil, err
	}
	if w.state, err = spec.DecodeEngineState(text); err != nil {
		return nil, fmt.Errorf("%s: %w", s.File, err)
	}
	w.stateAt = seq
	w.record, err = snapshot.ReadRun(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s has no %s: no run was led there; an engine that is started on it takes its queue over", dir, snapshot.RunFile)
	}
	if err != nil {
		return nil, err
	}
	tree := filepath.Join(dir, snapshot.EngineDir, "tree.json")
	text, w.treeAt, err = readMarked(tree, snapshot.SidecarOf(tree))
	if errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	if err != nil {
		return nil, err
	}
	if w.nodes, err = spec.DecodeTree(text); err != nil {
		return nil, fmt.Errorf("%s: %w: move it away to go on without it; then what has ended runs again unless the mirror has it", tree, err)
	}
	return w, nil
}

// readMarked reads a file and the journal position that its sidecar says of it, 0 when it says none.
func readMarked(path, sidecar string) ([]byte, uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, fmt.Errorf("read workdir: %w", err)
	}
	marks, err := snapshot.ReadMarks(sidecar)
	if err != nil {
		return nil, 0, err
	}
	hash := snapshot.Hash(sha256.Sum256(text))
	for _, m := range marks {
		if m.Hash == hash {
			return text, m.JournalSeq, nil
		}
	}
	return text, 0, nil
}
