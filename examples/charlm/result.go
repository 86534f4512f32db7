package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// result is what the engine reads from the result file.
type result struct {
	Metrics  map[string]float64 `json:"metrics"`
	Children []any              `json:"children"` // always empty: the engine proposes
	Output   output             `json:"output"`
}

// output repeats what was run, so that a result can be read alone.
type output struct {
	Params params  `json:"params"`
	Budget float64 `json:"budget"` // multiply-adds
}

// printProgress writes one line in the form that the engine reads: a mark, then
// key=number pairs.
func printProgress(w io.Writer, step int, metrics map[string]float64) error {
	var line strings.Builder
	fmt.Fprintf(&line, "[autoresearch] step=%d", step)
	for _, name := range slices.Sorted(maps.Keys(metrics)) {
		fmt.Fprintf(&line, " %s=%s", name, strconv.FormatFloat(metrics[name], 'g', 6, 64))
	}
	if _, err := fmt.Fprintln(w, line.String()); err != nil {
		return fmt.Errorf("progress: %w", err)
	}
	return nil
}

// writeResult puts the result at path as JSON. It writes a new file beside path
// and renames it, so that a reader finds the whole result or none.
func writeResult(path string, r result) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("result: %w", err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new")
	if err != nil {
		return fmt.Errorf("result file: %w", err)
	}
	if err := replace(file, path, append(data, '\n')); err != nil {
		return fmt.Errorf("result file: %w", errors.Join(err, os.Remove(file.Name())))
	}
	return nil
}

// replace writes data to the new file and moves it to path.
func replace(file *os.File, path string, data []byte) error {
	_, err := file.Write(data)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
