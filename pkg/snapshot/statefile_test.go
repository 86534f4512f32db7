package snapshot

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"autoresearch/pkg/spec"
)

// stateOf returns a state with the given ids queued.
func stateOf(status spec.Status, ids ...string) spec.EngineState {
	state := spec.EngineState{Status: status, Queued: []spec.TaskSpec{}, Running: []spec.TaskSpec{}}
	for _, id := range ids {
		state.Queued = append(state.Queued, spec.TaskSpec{ID: spec.TaskID(id), Kind: "k", Payload: spec.Payload("{}")})
	}
	return state
}

func openState(t *testing.T, workdir string) *StateFile {
	t.Helper()
	file, err := Open(workdir)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func writeState(t *testing.T, file *StateFile, state spec.EngineState) {
	t.Helper()
	if err := file.Write(state); err != nil {
		t.Fatal(err)
	}
}

// checkRead reads and compares the origin and the ids to resume.
func checkRead(t *testing.T, file *StateFile, origin Origin, ids string) {
	t.Helper()
	state, got, err := file.Read()
	var have []string
	for _, task := range state.Resume() {
		have = append(have, string(task.ID))
	}
	if err != nil || got != origin || strings.Join(have, " ") != ids {
		t.Errorf("read %v %v, %v; want %v [%s]", got, have, err, origin, ids)
	}
}

func TestStateFileRoundTrip(t *testing.T) {
	t.Parallel()
	file := openState(t, t.TempDir())
	checkRead(t, file, Absent, "")
	if !file.Hash().IsZero() {
		t.Errorf("hash of no file: %v", file.Hash())
	}
	for _, state := range []spec.EngineState{stateOf(spec.StatusRunning, "a", "b"), stateOf(spec.StatusStopped)} {
		writeState(t, file, state)
		got, origin, err := openState(t, file.workdir).Read()
		if err != nil || origin != Ours || !reflect.DeepEqual(got, state) {
			t.Errorf("read %+v, %v, %v", got, origin, err)
		}
		if want := Hash(sha256.Sum256([]byte(mustRead(t, file.Path())))); file.Hash() != want || len(want.String()) != 64 {
			t.Errorf("hash %v, want %v", file.Hash(), want)
		}
	}
}

// TestEditMatrix lists what may lie in a workdir and whose it is.
func TestEditMatrix(t *testing.T) {
	t.Parallel()
	const original = `{"status":"running","queued":[{"id":"theirs"}],"running":[]}`
	const empty = `{"status":"stopped","queued":[],"running":[]}`
	const checkpoint = `{"queued":[{"id":"checkpoint"}],"schema_version":1}`
	state := func(text string) func(*testing.T, *StateFile) {
		return func(t *testing.T, f *StateFile) { mustWrite(t, f.Path(), text) }
	}
	check := func(text string) func(*testing.T, *StateFile) {
		return func(t *testing.T, f *StateFile) { mustWrite(t, f.path(spec.CheckpointFile), text) }
	}
	ours := func(ids ...string) func(*testing.T, *StateFile) {
		return func(t *testing.T, f *StateFile) { writeState(t, f, stateOf(spec.StatusRunning, ids...)) }
	}
	remove := func(name string) func(*testing.T, *StateFile) {
		return func(t *testing.T, f *StateFile) {
			if err := os.Remove(f.path(name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	rewrite := func(t *testing.T, f *StateFile) { mustWrite(t, f.Path(), mustRead(t, f.Path())) }
	tests := []struct {
		name   string
		steps  []func(*testing.T, *StateFile)
		origin Origin
		ids    string
	}{
		{"nothing", nil, Absent, ""},
		{"the original's file", []func(*testing.T, *StateFile){state(original)}, Foreign, "theirs"},
		{"the original's file with a checkpoint", []func(*testing.T, *StateFile){state(original), check(checkpoint)}, Foreign, "theirs"},
		{"the original's file, empty", []func(*testing.T, *StateFile){state(empty)}, Foreign, ""},
		{"the original's file, empty, with a checkpoint", []func(*testing.T, *StateFile){state(empty), check(checkpoint)}, Foreign, "checkpoint"},
		{"the original's checkpoint", []func(*testing.T, *StateFile){check(checkpoint)}, Foreign, "checkpoint"},
		{"the original's checkpoint, empty", []func(*testing.T, *StateFile){check(empty)}, Absent, ""},
		{"our write", []func(*testing.T, *StateFile){ours("a")}, Ours, "a"},
		{"our write over the original's", []func(*testing.T, *StateFile){state(original), ours("a")}, Ours, "a"},
		{"our end of a run with a checkpoint", []func(*testing.T, *StateFile){check(checkpoint), ours()}, Ours, ""},
		{"our write, touched", []func(*testing.T, *StateFile){ours("a"), rewrite}, Ours, "a"},
		{"our write, edited", []func(*testing.T, *StateFile){ours("a"), state(original)}, Edited, "theirs"},
		{"our write, emptied", []func(*testing.T, *StateFile){ours("a"), check(checkpoint), state(empty)}, Edited, ""},
		{"our write, put back to the one before", []func(*testing.T, *StateFile){ours("a"), ours("b"), func(t *testing.T, f *StateFile) {
			mustWrite(t, f.Path(), string(stateOf(spec.StatusRunning, "a").AppendIndented(nil)))
		}}, Ours, "a"},
		{"our write, put back to one long ago", []func(*testing.T, *StateFile){ours("a"), ours("b"), ours("c"), func(t *testing.T, f *StateFile) {
			mustWrite(t, f.Path(), string(stateOf(spec.StatusRunning, "a").AppendIndented(nil)))
		}}, Edited, "a"},
		{"our write, without its sidecar", []func(*testing.T, *StateFile){ours("a"), remove(SidecarFile)}, Foreign, "a"},
		{"our write, with a broken sidecar", []func(*testing.T, *StateFile){ours("a"), func(t *testing.T, f *StateFile) {
			mustWrite(t, f.path(SidecarFile), "zz\n\n00\n")
		}}, Edited, "a"},
		{"our write, removed", []func(*testing.T, *StateFile){ours("a"), remove(spec.EngineStateFile)}, Absent, ""},
		{"an edit, then our write", []func(*testing.T, *StateFile){ours("a"), state(original), ours("b")}, Ours, "b"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			workdir := t.TempDir()
			file := openState(t, workdir)
			for _, step := range test.steps {
				step(t, file)
			}
			checkRead(t, Reader(workdir), test.origin, test.ids)
			checkRead(t, openState(t, workdir), test.origin, test.ids)
		})
	}
}

// TestCrashIsNoEdit kills the writer at each step of a write, twice in a row, and reads: always one of our states.
func TestCrashIsNoEdit(t *testing.T) {
	t.Parallel()
	const steps = 2 * stepsOfWrite // the sidecar's and the file's
	// One step for each content of the disk: nothing new, the sidecar, nothing more, the file.
	for _, first := range []int{2, 4, 7, 9} {
		for second := range steps {
			workdir := t.TempDir()
			writeState(t, openState(t, workdir), stateOf(spec.StatusRunning, "old"))
			for i, n := range []int{first, second} {
				file := openState(t, workdir)
				file.writer = stopAt(n, errKilled)
				if err := file.Write(stateOf(spec.StatusRunning, "new", string(rune('0'+i)))); !errors.Is(err, errKilled) {
					t.Fatalf("killed at %d: %v", n, err)
				}
			}
			checkOurs(t, workdir, first, second)
		}
	}
}

// TestFailedWriteIsNoEdit has a write fail at each step; the writer lives on and writes again.
func TestFailedWriteIsNoEdit(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left")
	for n := range 2 * stepsOfWrite {
		workdir := t.TempDir()
		file := openState(t, workdir)
		writeState(t, file, stateOf(spec.StatusRunning, "old"))
		file.writer = stopAt(n, full)
		if err := file.Write(stateOf(spec.StatusRunning, "new")); !errors.Is(err, full) {
			t.Fatalf("step %d: %v", n, err)
		}
		checkOurs(t, workdir, n)
		file.writer = stopAt(n, errKilled)
		if err := file.Write(stateOf(spec.StatusRunning, "newer")); !errors.Is(err, errKilled) {
			t.Fatalf("step %d: %v", n, err)
		}
		checkOurs(t, workdir, n)
		file.writer = atomicWriter{}
		writeState(t, file, stateOf(spec.StatusRunning, "newest"))
		checkRead(t, openState(t, workdir), Ours, "newest")
	}
}

func checkOurs(t *testing.T, workdir string, at ...int) {
	t.Helper()
	state, origin, err := openState(t, workdir).Read()
	if err != nil || origin != Ours || len(state.Queued) == 0 {
		t.Errorf("stopped at %v: %v, %+v, %v", at, origin, state, err)
	}
	if got := append(names(t, workdir), names(t, filepath.Join(workdir, EngineDir))...); len(got) != 3 {
		t.Errorf("stopped at %v: left %v", at, got)
	}
}

// TestCrashAfterATakeover kills the first write over a file of the original that was read.
func TestCrashAfterATakeover(t *testing.T) {
	t.Parallel()
	workdir := t.TempDir()
	file := openState(t, workdir)
	mustWrite(t, file.Path(), `{"queued":[{"id":"theirs"}]}`)
	checkRead(t, file, Foreign, "theirs")
	imported := file.Hash()
	file.writer = stopAt(stepsOfWrite, errKilled)
	if err := file.Write(stateOf(spec.StatusRunning, "ours")); !errors.Is(err, errKilled) {
		t.Fatal(err)
	}
	again := openState(t, workdir)
	checkRead(t, again, Ours, "theirs")
	if again.Hash() != imported {
		t.Errorf("hash %v, was %v", again.Hash(), imported)
	}
}

func TestReadingChangesNothing(t *testing.T) {
	t.Parallel()
	workdir := filepath.Join(t.TempDir(), "none")
	checkRead(t, Reader(workdir), Absent, "")
	if _, err := os.Stat(workdir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the workdir was made: %v", err)
	}
}

func TestCorruptStateFile(t *testing.T) {
	t.Parallel()
	whole := string(stateOf(spec.StatusRunning, "a", "b").AppendIndented(nil))
	for text, field := range map[string]string{
		"": "the text is empty", "\x00\x00\x00": "must be an object", `{"queued":null}`: "queued: must be a list",
		whole[:len(whole)/2]: "queued[", strings.Replace(whole, `"b"`, `null`, 1): "queued[1].id: must not be null",
	} {
		for _, taken := range []bool{false, true} {
			workdir := t.TempDir()
			file := openState(t, workdir)
			origin := Foreign
			if taken {
				writeState(t, file, stateOf(spec.StatusRunning, "a"))
				origin = Edited
			}
			mustWrite(t, file.Path(), text)
			_, got, err := openState(t, workdir).Read()
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || got != origin || corrupt.Path != file.Path() {
				t.Errorf("%.20q: %v, %v", text, got, err)
				continue
			}
			for _, part := range []string{file.Path(), field, "--ignore-edits"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%.20q: the error does not say %q: %v", text, part, err)
				}
			}
			if mustRead(t, file.Path()) != text {
				t.Errorf("%.20q: the reader changed the file", text)
			}
		}
	}
}

func TestCorruptCheckpoint(t *testing.T) {
	t.Parallel()
	file := openState(t, t.TempDir())
	mustWrite(t, file.path(spec.CheckpointFile), `{"queued":[{}]}`)
	_, origin, err := file.Read()
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) || origin != Foreign || !strings.Contains(err.Error(), "checkpoint.json: queued[0].id: is missing") {
		t.Errorf("%v, %v", origin, err)
	}
}

func TestUnreadableStateFile(t *testing.T) {
	t.Parallel()
	for _, name := range []string{spec.EngineStateFile, SidecarFile, spec.CheckpointFile} {
		file := openState(t, t.TempDir())
		if err := os.MkdirAll(file.path(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, _, err := file.Read(); err == nil || !strings.Contains(err.Error(), file.path(name)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReaderBesideAWriter reads while the engine writes: every state is whole and ours.
func TestReaderBesideAWriter(t *testing.T) {
	t.Parallel()
	workdir := t.TempDir()
	file := openState(t, workdir)
	writeState(t, file, stateOf(spec.StatusRunning, "0"))
	done := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			if state, _, err := Reader(workdir).Read(); err != nil || len(state.Queued) == 0 {
				t.Errorf("%+v, %v", state, err)
			}
		}
	})
	for i := range 25 {
		writeState(t, file, stateOf(spec.StatusRunning, strings.Fields(strings.Repeat("x ", 1+i*20))...))
	}
	close(done)
	reader.Wait()
}
