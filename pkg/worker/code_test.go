package worker

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"autoresearch/internal/code"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// bundleOf packs a tree of one program that says what it is, and spoils it for whoever comes next.
func bundleOf(t *testing.T, version string) []byte {
	t.Helper()
	dir := t.TempDir()
	program := "#!/bin/sh\nset -e\ntest \"$PWD\" -ef \"$AUTORESEARCH_CODE_DIR\"\n" +
		"printf '{\"output\": {\"ran\": \"" + version + "\"}}' > \"$AUTORESEARCH_RESULT_FILE\"\necho exit 9 > train\n"
	if err := os.WriteFile(filepath.Join(dir, "train"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	bundle, err := code.Tree{Dir: dir}.Pack(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// brings makes a dispatch run ./train in its own tree.
func brings(b spec.Blob) func(*bus.Dispatch) {
	return func(d *bus.Dispatch) {
		d.Task.Code = spec.Code{Bundle: b, Commit: "c0ffee"}
		d.Recipe.Argv = []string{"./train"}
	}
}

// TestRunsTheCodeOfTheTask: each task runs its own tree, fetched once and whole again for the next attempt whatever the last one
// did to it or to what is kept; nothing is left of a tree that was used.
func TestRunsTheCodeOfTheTask(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	one, two := b.stored(bundleOf(t, "one")), b.stored(bundleOf(t, "two"))
	kept := filepath.Join(b.o.Dir, codeDirName, one.Digest.String())
	for i, step := range []struct {
		task  spec.TaskID
		blob  spec.Blob
		want  string
		spoil bool
	}{{"a", one, "one", false}, {"b", two, "two", false}, {"c", one, "one", false}, {"d", one, "one", true}} {
		if step.spoil {
			if err := os.Remove(kept); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(kept, []byte("spoilt"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b.give(dispatch(step.task, brings(step.blob)))
		report, result := b.report(step.task, 1)
		if report.Failure != nil || string(result.Output) != `{"ran":"`+step.want+`"}` {
			t.Fatalf("%d: %s: %+v", i, result.Output, report.Failure)
		}
		if result.Code != (spec.Code{Bundle: step.blob, Commit: "c0ffee"}) {
			t.Errorf("%s: its result names the code %+v", step.task, result.Code)
		}
		tree := filepath.Join(attemptDirDefault(b.o.Dir)(testRun, step.task, 1), codeTreeName)
		b.until("its tree is gone", func() bool { _, err := os.Stat(tree); return os.IsNotExist(err) })
	}
}

func TestCodeThatCannotBeHadFailsItsAttempt(t *testing.T) {
	t.Parallel()
	b := startBench(t)
	b.give(dispatch("gone", brings(spec.BlobOf([]byte("nobody has it")))))
	if report, _ := b.report("gone", 1); report.Failure == nil || report.Failure.Cause() != spec.CauseBlobMissing {
		t.Errorf("gone: %+v", report.Failure)
	}
	b.give(dispatch("hostile", brings(b.stored([]byte("no bundle")))))
	if report, _ := b.report("hostile", 1); report.Failure == nil || report.Failure.Kind != spec.LaunchFailed {
		t.Errorf("hostile: %+v", report.Failure)
	}
}

// TestTheCodeCacheIsBounded: what was not used for the longest time makes room, and what is too large is not kept.
func TestTheCodeCacheIsBounded(t *testing.T) {
	t.Parallel()
	c := codeCache{dir: t.TempDir(), max: 25}
	put := func(text string) spec.Blob {
		b := spec.BlobOf([]byte(text))
		if err := c.put(b, []byte(text), 0); err != nil {
			t.Fatal(err)
		}
		return b
	}
	age := func(b spec.Blob, by time.Duration) {
		then := time.Now().Add(-by)
		if err := os.Chtimes(c.path(b), then, then); err != nil {
			t.Fatal(err)
		}
	}
	first, second := put("0123456789"), put("abcdefghij")
	age(first, 2*time.Hour)
	age(second, time.Hour)
	if c.get(first, 0) == nil { // it is used again
		t.Fatal("what was put is not there")
	}
	third := put("9876543210")
	if c.get(first, 0) == nil || c.get(second, 0) != nil || c.get(third, 0) == nil {
		t.Error("another bundle than the one not used for the longest time made room")
	}
	if large := put("this is larger than all the room there is"); c.get(large, 0) != nil || c.get(third, 0) == nil {
		t.Error("a bundle larger than the cache was kept")
	}
}

// TestTheCodeCacheForgets: a bundle is kept after its last use for as long as the run says that used it last, which a restart
// does not change; where none says anything, while there is room.
func TestTheCodeCacheForgets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := codeCache{dir: dir, max: 1 << 20}
	put := func(text string, keep time.Duration) spec.Blob {
		b := spec.BlobOf([]byte(text))
		if err := c.put(b, []byte(text), keep); err != nil {
			t.Fatal(err)
		}
		return b
	}
	brief, patient, silent, shared := put("brief", time.Hour), put("patient", 48*time.Hour), put("silent", 0), put("shared", time.Hour)
	c.get(shared, 48*time.Hour)
	c = codeCache{dir: dir, max: 1 << 20}
	for _, step := range []struct {
		after  time.Duration
		stay   []spec.Blob
		forgot []spec.Blob
	}{
		{30 * time.Minute, []spec.Blob{brief, patient, silent, shared}, nil},
		{2 * time.Hour, []spec.Blob{patient, silent, shared}, []spec.Blob{brief}},
		{50 * time.Hour, []spec.Blob{silent}, []spec.Blob{patient, shared}},
	} {
		if err := c.expire(time.Now().Add(step.after)); err != nil {
			t.Fatal(err)
		}
		for _, b := range step.stay {
			if _, err := os.Stat(c.path(b)); err != nil {
				t.Errorf("after %v: %v", step.after, err)
			}
		}
		for _, b := range step.forgot {
			if _, err := os.Stat(c.path(b)); err == nil {
				t.Errorf("after %v: %s is there", step.after, b)
			}
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v are left, %v", entries, err)
	}
}
