package worker

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// update writes the spool that is kept, if it is missing: one that is there is never written again.
var update = flag.Bool("update", false, "write the fixtures that are missing")

const keptSpool = "testdata/v1/spool"

func keptResult(task spec.TaskID) bus.ResultMessage {
	return bus.ResultMessage{Version: 1, Worker: "w", Boot: 3, Reports: []bus.Report{{
		AttemptRef: bus.AttemptRef{Run: "r", Task: task, Attempt: 2, Claim: 1<<64 - 1}, Body: []byte("body of " + task),
	}}}
}

// keepSpool leaves a spool with three results, of which one is receipted, and a torn end.
func keepSpool(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "spool")
	s, _ := mustOpen(t, path)
	var bodies []string
	for _, task := range []spec.TaskID{"first", "gone", "naïve/ü"} {
		m := keptResult(task)
		body, err := bus.EncodeResultMessage(&m)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, string(body))
	}
	seqs := mustAppend(t, s, bodies...)
	mustRemove(t, s, seqs[1])
	mustAppend(t, s, bodies[0])
	text, err := os.ReadFile(path)
	if err == nil {
		text = append(text, "ARf1 torn"...)
		err = errors.Join(os.MkdirAll(filepath.Dir(keptSpool), 0o755), os.WriteFile(keptSpool, text, 0o644))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestAKeptSpoolIsRead opens a spool that an earlier build left: what was not receipted is there.
func TestAKeptSpoolIsRead(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(keptSpool); errors.Is(err, os.ErrNotExist) && *update {
		keepSpool(t)
	}
	text, err := os.ReadFile(keptSpool)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "spool")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s, damage := mustOpen(t, path)
	if damage.torn == 0 || damage.inside != 0 {
		t.Errorf("damage %+v", damage)
	}
	var tasks []spec.TaskID
	for _, body := range contents(t, s) {
		m, err := bus.DecodeResultMessage([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		want := keptResult(m.Reports[0].Task)
		if m.Boot != want.Boot || m.Reports[0].AttemptRef != want.Reports[0].AttemptRef || string(m.Reports[0].Body) != string(want.Reports[0].Body) {
			t.Errorf("%+v", m)
		}
		tasks = append(tasks, m.Reports[0].Task)
	}
	if !slices.Equal(tasks, []spec.TaskID{"first", "naïve/ü", "first"}) {
		t.Errorf("it holds %q", tasks)
	}
}
