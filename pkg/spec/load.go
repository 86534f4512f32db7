package spec

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The files of a workdir that hold a queue, as paths below the workdir.
const (
	// EngineStateFile is the snapshot of the queue.
	EngineStateFile = "engine_state.json"
	// CheckpointFile is where the original's shipped workflows keep their queue; it is read, never written.
	CheckpointFile = "engine/checkpoint.json"
)

// LoadOrInit is the usual Workflow.Load: it returns the specs of the workdir's engine_state.json (queued, then running)
// when that exists and holds any, else those of engine/checkpoint.json, else what init returns. A file that cannot be
// read is an error that names the file and the field; init is not called then. It changes nothing.
func LoadOrInit(workdir string, init func() ([]TaskSpec, error)) ([]TaskSpec, error) {
	for _, name := range []string{EngineStateFile, CheckpointFile} {
		tasks, err := loadSpecs(filepath.Join(workdir, filepath.FromSlash(name)))
		if err != nil || len(tasks) > 0 {
			return tasks, err
		}
	}
	return init()
}

// loadSpecs returns the specs to resume from a file, none when there is no such file.
func loadSpecs(path string) ([]TaskSpec, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("load specs: %w", err)
	}
	state, err := DecodeEngineState(text)
	if err != nil {
		return nil, fmt.Errorf("load specs: %s: %w", path, err)
	}
	return state.Resume(), nil
}
