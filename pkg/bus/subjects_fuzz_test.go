package bus_test

import (
	"regexp"
	"strings"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/kv"
	"autoresearch/pkg/spec"
)

// What NATS takes for a subject without wildcards, for the name of a stream and for a key.
var (
	safeSubject = regexp.MustCompile(`^[A-Za-z0-9_=-]+(\.[A-Za-z0-9_=-]+)*$`)
	safeName    = regexp.MustCompile(`^[A-Za-z0-9_=-]+$`)
	safeKey     = regexp.MustCompile(`^[-/_=a-zA-Z0-9]+(\.[-/_=a-zA-Z0-9]+)*$`)
)

// FuzzSubjects: whatever runs, classes, tasks and workers are called, a subject has the tokens it should and no wildcard, and is
// nobody else's.
func FuzzSubjects(f *testing.F) {
	for _, name := range []string{"", "a", "a.b", "*", ">", "a b", "\x00\n", "$SYS", "ar.journal.x", "../../etc", "\xff\xfe", "=2E", strings.Repeat("long.", 1000)} {
		f.Add(name, "run")
		f.Add("task", name)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		run, worker := spec.RunName(a), spec.WorkerID(b)
		for subject, tokens := range map[string]int{
			bus.TaskSubject(b, run, spec.TaskID(b), 7): 6, bus.JournalSubject(run): 3, bus.LeadSubject(run): 3, bus.RejectedSubject(run): 3,
			bus.ResultSubject(run, worker): 4 + grouped(worker), bus.UplinkSubject(worker): 3 + grouped(worker),
			bus.ControlSubject(worker): 3 + grouped(worker),
		} {
			if !safeSubject.MatchString(subject) || strings.Count(subject, ".")+1 != tokens || len(subject) > 1000 {
				t.Errorf("%q and %q make subject %q", a, b, subject)
			}
		}
		for _, stream := range []string{bus.JournalStream(run), bus.ResultsStream(run), bus.RejectedStream(run), bus.StateBucket(run), bus.ClassConsumer(b)} {
			if !safeName.MatchString(stream) || len(stream) > 200 {
				t.Errorf("%q and %q name stream %q", a, b, stream)
			}
		}
		if key := kv.TaskKey(spec.TaskID(b)); !safeKey.MatchString(key) || key == kv.KeyMeta {
			t.Errorf("task %q has key %q", b, key)
		}
		if a != b && (bus.JournalSubject(run) == bus.JournalSubject(spec.RunName(b)) || kv.TaskKey(spec.TaskID(a)) == kv.TaskKey(spec.TaskID(b))) {
			t.Errorf("%q and %q are one", a, b)
		}
	})
}

func grouped(w spec.WorkerID) int {
	if group, _ := w.Split(); group != "" {
		return 1
	}
	return 0
}
