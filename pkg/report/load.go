package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"autoresearch/pkg/snapshot"
	"autoresearch/pkg/spec"
)

// The files that a report is made from, besides engine_state.json, as paths below the workdir.
const (
	// TreeFile is the hypothesis tree; the engine's owner writes it (spec.EncodeTree).
	TreeFile = "engine/tree.json"
	// SearchFile is what else a report needs to know; SaveSearch writes it.
	SearchFile = "engine/search.json"
)

// Load reads a Search from the durable files of a workdir: engine/search.json, engine/tree.json and engine_state.json
// (or the original's engine/checkpoint.json). A file that is missing leaves its part empty: a workdir without any gives
// a valid Search with no experiments. A file that cannot be read is an error that names it.
func Load(workdir string) (Search, error) {
	var s Search
	if err := readIfThere(filepath.Join(workdir, filepath.FromSlash(SearchFile)), s.decode); err != nil {
		return Search{}, err
	}
	err := readIfThere(filepath.Join(workdir, filepath.FromSlash(TreeFile)), func(text []byte) (err error) {
		s.Nodes, err = spec.DecodeTree(text)
		return err
	})
	if err != nil {
		return Search{}, err
	}
	state, origin, err := snapshot.Reader(workdir).Read()
	if err != nil {
		return Search{}, fmt.Errorf("load search: %w", err)
	}
	if origin != snapshot.Absent {
		s.Status = state.Status
	}
	return s, nil
}

// readIfThere passes a file's content to decode; no file is no error.
func readIfThere(path string, decode func(text []byte) error) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("load search: %w", err)
	}
	if err := decode(text); err != nil {
		return fmt.Errorf("load search: %s: %w", path, err)
	}
	return nil
}

// decode reads the content of engine/search.json. Missing keys and null leave a field zero, unknown keys are ignored.
func (s *Search) decode(text []byte) error {
	fields, err := spec.DecodeFields(text)
	if err != nil {
		return err
	}
	for _, field := range fields {
		if err := s.set(field); err != nil {
			return fmt.Errorf("field %s: %w", field.Name, err)
		}
	}
	return nil
}

// set takes one key of engine/search.json.
func (s *Search) set(field spec.Field) (err error) {
	switch field.Name {
	case "run":
		s.Run, err = decodeAs[string](field.Value)
	case "name":
		s.Name, err = decodeAs[string](field.Value)
	case "stop_reason":
		s.StopReason, err = decodeAs[string](field.Value)
	case "max_concurrency":
		var number json.Number
		if number, err = decodeAs[json.Number](field.Value); err == nil && number != "" {
			s.MaxConcurrency, err = strconv.Atoi(number.String())
		}
	case "objective":
		var objective map[string]any
		if objective, err = decodeAs[map[string]any](field.Value); err == nil {
			s.Objective, err = objectiveOf(objective)
		}
	}
	return err
}

// objectiveOf reads {"metric": text, "maximize": boolean}.
func objectiveOf(object map[string]any) (o spec.Objective, err error) {
	if o.Metric, err = as[string](object["metric"]); err != nil {
		return o, fmt.Errorf("metric: %w", err)
	}
	if o.Maximize, err = as[bool](object["maximize"]); err != nil {
		return o, fmt.Errorf("maximize: %w", err)
	}
	return o, nil
}

// decodeAs decodes a value that must be a T; null is the zero T.
func decodeAs[T any](text json.RawMessage) (T, error) {
	value, err := spec.DecodeValue(text)
	if err != nil {
		var none T
		return none, err
	}
	return as[T](value)
}

func as[T any](value any) (T, error) {
	typed, ok := value.(T)
	if !ok && value != nil {
		return typed, fmt.Errorf("is a %T, want a %T", value, typed)
	}
	return typed, nil
}

// SaveSearch writes engine/search.json, which holds all of s but its status and its nodes, atomically. It makes the
// directory engine when there is none.
func SaveSearch(workdir string, s Search) error {
	objective, err := spec.EncodeValue(map[string]any{"metric": s.Objective.Metric, "maximize": s.Objective.Maximize})
	if err != nil {
		return fmt.Errorf("save search: %w", err)
	}
	fields := []spec.Field{
		{Name: "run", Value: spec.EncodeText(s.Run)},
		{Name: "name", Value: spec.EncodeText(s.Name)},
		{Name: "objective", Value: objective},
		{Name: "max_concurrency", Value: strconv.AppendInt(nil, int64(s.MaxConcurrency), 10)},
		{Name: "stop_reason", Value: spec.EncodeText(s.StopReason)},
	}
	if err := os.MkdirAll(filepath.Join(workdir, snapshot.EngineDir), 0o755); err != nil {
		return fmt.Errorf("save search: %w", err)
	}
	if err := snapshot.WriteFile(filepath.Join(workdir, filepath.FromSlash(SearchFile)), spec.EncodeFields(fields)); err != nil {
		return fmt.Errorf("save search: %w", err)
	}
	return nil
}
