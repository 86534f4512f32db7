package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"autoresearch/pkg/snapshot"
)

// Place says where the program that leads a workdir's run is reached.
type Place struct {
	Socket string `json:"socket,omitempty"` // the path of a Unix socket
	HTTP   string `json:"http,omitempty"`   // a URL
	PID    int    `json:"pid"`
}

// placeFile is the note in the workdir.
const placeFile = "engine/api.json"

// Server is the place as api.ClientOptions has it; "" when there is none.
func (p Place) Server() string {
	if p.Socket != "" {
		return "unix:" + p.Socket
	}
	return p.HTTP
}

// ErrNobody says that no program serves a workdir.
var ErrNobody = errors.New("no engine or coordinator runs there")

// ReadPlace reads the note of a workdir. A note may be left over from a program that was killed.
func ReadPlace(workdir string) (p Place, err error) {
	text, err := os.ReadFile(filepath.Join(workdir, filepath.FromSlash(placeFile)))
	if errors.Is(err, fs.ErrNotExist) {
		return p, fmt.Errorf("workdir %s: %w", workdir, ErrNobody)
	}
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		return p, fmt.Errorf("workdir %s: read %s: %w", workdir, placeFile, err)
	}
	return p, nil
}

func writePlace(workdir string, p Place) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(workdir, "engine"), 0o755); err != nil {
		return err
	}
	return snapshot.WriteFile(filepath.Join(workdir, filepath.FromSlash(placeFile)), append(text, '\n'))
}

func removePlace(workdir string) error {
	err := os.Remove(filepath.Join(workdir, filepath.FromSlash(placeFile)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
