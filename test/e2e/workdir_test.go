//go:build linux

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// workdir is the folder of a run.
type workdir struct {
	t   *testing.T
	dir string
}

func newWorkdir(t *testing.T) workdir { return workdir{t: t, dir: filepath.Join(t.TempDir(), "run")} }

func (w workdir) path(name string) string { return filepath.Join(w.dir, filepath.FromSlash(name)) }

func (w workdir) read(name string) string {
	w.t.Helper()
	return readFile(w.t, w.path(name))
}

// state is engine_state.json.
type state struct {
	Status  string `json:"status"`
	Queued  []task `json:"queued"`
	Running []task `json:"running"`
}

func (w workdir) state() (s state) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.read("engine_state.json")), &s); err != nil {
		w.t.Fatalf("engine_state.json: %v", err)
	}
	return s
}

// writeState replaces engine_state.json, as a person with an editor does.
func (w workdir) writeState(s state) {
	w.t.Helper()
	s.Queued, s.Running = append([]task{}, s.Queued...), append([]task{}, s.Running...) // no nulls
	text, err := json.MarshalIndent(s, "", "    ")
	if err != nil {
		w.t.Fatal(err)
	}
	writeFile(w.t, w.path("engine_state.json"), string(text))
}

// wantStatus checks the status and that so many tasks are queued and running.
func (w workdir) wantStatus(status string, queued, running int) {
	w.t.Helper()
	s := w.state()
	if s.Status != status || len(s.Queued) != queued || len(s.Running) != running {
		w.t.Errorf("engine_state.json says %s with %d queued and %d running, want %s with %d and %d:\n%+v",
			s.Status, len(s.Queued), len(s.Running), status, queued, running, s)
	}
}

// node is an entry of engine/tree.json.
type node struct {
	ID       string   `json:"node_id"`
	Parent   string   `json:"parent_id"`
	Status   string   `json:"status"`
	Children []string `json:"children"`
	Attempt  int      `json:"attempt"`
	Worker   string   `json:"worker"`
	Failure  *struct {
		Kind    string `json:"kind"`
		Phase   string `json:"phase"`
		Message string `json:"message"`
		Details struct {
			Cause  string `json:"cause"`
			Losses []struct {
				Attempt int    `json:"attempt"`
				Worker  string `json:"worker"`
				LostAt  string `json:"lost_at"`
			} `json:"losses"`
		} `json:"details"`
	} `json:"failure"`
}

// tree returns the nodes by id and fails if one is there twice.
func (w workdir) tree() map[string]node {
	w.t.Helper()
	var nodes []node
	if err := json.Unmarshal([]byte(w.read("engine/tree.json")), &nodes); err != nil {
		w.t.Fatalf("engine/tree.json: %v", err)
	}
	byID := map[string]node{}
	for _, n := range nodes {
		if _, twice := byID[n.ID]; twice {
			w.t.Errorf("engine/tree.json has %s twice", n.ID)
		}
		byID[n.ID] = n
	}
	return byID
}

// table returns the rows of master_table.tsv, each by the names of its columns.
func (w workdir) table() (rows []map[string]string) {
	w.t.Helper()
	lines := strings.Split(strings.TrimSuffix(w.read("master_table.tsv"), "\n"), "\n")
	names := strings.Split(lines[0], "\t")
	for _, line := range lines[1:] {
		cells := strings.Split(line, "\t")
		if len(cells) != len(names) {
			w.t.Fatalf("master_table.tsv: %d cells under %d names: %s", len(cells), len(names), line)
		}
		row := map[string]string{}
		for i, name := range names {
			row[name] = cells[i]
		}
		rows = append(rows, row)
	}
	return rows
}

// wantCompleted checks that tree and table have exactly these experiments, each once and completed.
func (w workdir) wantCompleted(ids ...string) {
	w.t.Helper()
	w.wantEnded(ids, nil)
}

// wantEnded checks that tree and table have exactly these experiments, each once: the completed ones, and those that
// failed with a failure of the given kind.
func (w workdir) wantEnded(completed []string, failed map[string]string) {
	w.t.Helper()
	want := map[string]string{}
	for _, id := range completed {
		want[id] = "completed"
	}
	for id, kind := range failed {
		want[id] = "failed " + kind
	}
	inTree, inTable := map[string]string{}, map[string]string{}
	for id, n := range w.tree() {
		inTree[id] = n.Status
		if n.Failure != nil {
			inTree[id] += " " + n.Failure.Kind
		}
	}
	for _, row := range w.table() {
		if _, twice := inTable[row["id"]]; twice {
			w.t.Errorf("master_table.tsv has %s twice", row["id"])
		}
		inTable[row["id"]] = strings.TrimSpace(row["status"] + " " + row["failure_kind"])
	}
	wantSame(w.t, "engine/tree.json", inTree, want)
	wantSame(w.t, "master_table.tsv", inTable, want)
}

func wantSame(t *testing.T, where string, got, want map[string]string) {
	t.Helper()
	for id, status := range want {
		if got[id] != status {
			t.Errorf("%s: %s is %q, want %q", where, id, got[id], status)
		}
	}
	for id, status := range got {
		if want[id] == "" {
			t.Errorf("%s: there is also %s, %s", where, id, status)
		}
	}
}

// wantFiles checks that a run left the files that people look for.
func (w workdir) wantFiles() {
	w.t.Helper()
	for _, name := range []string{
		"engine_state.json", "engine/tree.json", "master_table.tsv", "summary.md", "report.md", "workflow_factory.json",
	} {
		if strings.TrimSpace(w.read(name)) == "" {
			w.t.Errorf("%s is empty", name)
		}
	}
	for _, name := range []string{"progress.png", "hypothesis_tree.png"} {
		if _, err := png.Decode(bytes.NewReader([]byte(w.read(name)))); err != nil {
			w.t.Errorf("%s: %v", name, err)
		}
	}
}

// wantAttemptFiles checks that the last attempt of every experiment left its files where people look for them.
func (w workdir) wantAttemptFiles() {
	w.t.Helper()
	for id, n := range w.tree() {
		dir := filepath.Join("runs", id, strconv.Itoa(n.Attempt))
		for _, name := range []string{"task.json", "stdout.log", "stderr.log"} {
			if _, err := os.Stat(w.path(filepath.Join(dir, name))); err != nil {
				w.t.Errorf("files of %s: %v", id, err)
			}
		}
	}
	if w.read("logs/engine.log") == "" {
		w.t.Error("logs/engine.log is empty")
	}
}

// contents returns every file that holds the run's state, by its path. Logs and what NATS and locks write at each start
// are none.
func (w workdir) contents() map[string]string {
	w.t.Helper()
	contents := map[string]string{}
	err := filepath.WalkDir(w.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(w.dir, path)
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{"logs", "engine/nats", "engine/worker"}, filepath.ToSlash(name)) {
			return fs.SkipDir
		}
		if !entry.IsDir() && name != ".lock" {
			contents[name] = w.read(name)
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return contents
}

// wantUnchanged checks that the files of the run's state are as they were.
func (w workdir) wantUnchanged(before map[string]string) {
	w.t.Helper()
	after := w.contents()
	for name, text := range before {
		if now, ok := after[name]; !ok || now != text {
			w.t.Errorf("%s has changed (it is there: %v):\n%s\n--- it was ---\n%s", name, ok, now, text)
		}
	}
	for name := range after {
		if _, known := before[name]; !known {
			w.t.Errorf("%s is new", name)
		}
	}
}

// awaitState waits until engine_state.json is as check wants it; check returns what is amiss.
func (w workdir) awaitState(what string, check func(state) string) {
	w.t.Helper()
	eventually(w.t, "engine_state.json: "+what, func() string {
		if _, err := os.Stat(w.path("engine_state.json")); err != nil {
			return err.Error()
		}
		s := w.state()
		if amiss := check(s); amiss != "" {
			return fmt.Sprintf("%s: %+v", amiss, s)
		}
		return ""
	})
}
