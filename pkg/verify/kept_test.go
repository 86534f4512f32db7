package verify_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/verify"
)

// update writes the run that is kept, as this build leaves it. A folder that is there is never written again: what a version
// left must be read for ever, and a new form gets a new folder.
var update = flag.Bool("update", false, "write the fixtures that are missing")

// keptRun is a finished run as version 1 left it: journal, mirror, workdir and the worker's log.
const keptRun = "testdata/v1"

// TestAKeptRunIsClean judges the run that an earlier build left.
func TestAKeptRunIsClean(t *testing.T) {
	t.Parallel()
	report := readKept(t).check(t)
	wantClean(t, report)
	if n := report.Counts; n.Tasks != searchSize || n.Completed != searchSize || n.Executions != int(n.Attempts) || n.Applied != searchSize {
		t.Errorf("counts %+v", n)
	}
}

// TestAKeptRunIsJudgedAfterAPurge purges it up to its middle.
func TestAKeptRunIsJudgedAfterAPurge(t *testing.T) {
	t.Parallel()
	r := readKept(t)
	r.purgeBelow(t, uint64(len(r.records)/2))
	wantClean(t, r.check(t))
}

// TestACorruptedKeptRunIsNot shows that the fixture can fail.
func TestACorruptedKeptRunIsNot(t *testing.T) {
	t.Parallel()
	r := readKept(t)
	r.records = r.records[:len(r.records)-1]
	if found := r.check(t).Violations; len(found) == 0 || found[0].Invariant != verify.OneTruth {
		t.Errorf("found %v", found)
	}
}

var keepOnce sync.Once

func keep(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(keptRun); err == nil {
		return
	}
	r := copyOf(t)
	var journal [][]byte
	for _, record := range r.records {
		data, err := bus.AppendRecord(nil, record)
		if err != nil {
			t.Fatal(err)
		}
		journal = append(journal, data)
	}
	for name, content := range map[string]any{"journal.json": journal, "mirror.json": r.mirror} {
		text, err := json.MarshalIndent(content, "", " ")
		if err == nil {
			err = errors.Join(os.MkdirAll(keptRun, 0o755), os.WriteFile(filepath.Join(keptRun, name), append(text, '\n'), 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{
		"engine_state.json", "engine/engine_state.sha256", "engine/run.json", "engine/tree.json", "engine/tree.sha256",
	} {
		keepFile(t, filepath.Join(r.workdir, name), filepath.Join(keptRun, "workdir", name))
	}
	keepFile(t, filepath.Join(r.workerDir, "attempts.log"), filepath.Join(keptRun, "worker", "attempts.log"))
}

func keepFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, text, 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func readKept(t *testing.T) *remains {
	t.Helper()
	r := &remains{
		damage: make(map[int]func([]byte)), workdir: filepath.Join(keptRun, "workdir"), workerDir: filepath.Join(keptRun, "worker"),
	}
	if *update {
		keepOnce.Do(func() { keep(t) })
	}
	var journal [][]byte
	for name, content := range map[string]any{"journal.json": &journal, "mirror.json": &r.mirror} {
		text, err := os.ReadFile(filepath.Join(keptRun, name))
		if err == nil {
			err = json.Unmarshal(text, content)
		}
		if err != nil {
			t.Fatalf("%v (to write what is missing: go test ./pkg/verify -run Kept -update)", err)
		}
	}
	for _, data := range journal {
		record, err := bus.DecodeRecord(data)
		if err != nil {
			t.Fatal(err)
		}
		r.records = append(r.records, record)
	}
	return r
}
