package bus_test

import (
	"strings"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// TestSubjectsNameTheirWorker: a subject tells its worker, and no worker passes for another one.
func TestSubjectsNameTheirWorker(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 500)
	workers := []spec.WorkerID{
		"w1", "gpu/w1", "gpu/w2", "cpu/w1", "gpu/", "/w1", "a.b c", "gpu/a.b*>", "gpu/a/b", "", spec.WorkerID(long), spec.WorkerID("gpu/" + long),
		spec.WorkerID(long + "/w1"),
	}
	for _, from := range workers {
		seen := bus.ResultWorker(bus.ResultSubject("any.run", from))
		for _, claimed := range workers {
			if bus.IsFrom(seen, claimed) != (from == claimed) {
				t.Errorf("a message of %.20q passes for one of %.20q: %v", from, claimed, bus.IsFrom(seen, claimed))
			}
		}
	}
	// Without a group nobody speaks for a group, whatever he writes into his subject.
	if seen := bus.SubjectWorker(spec.EncodeName("gpu/w1")); bus.IsFrom(seen, "gpu/w1") {
		t.Errorf("a worker of no group passes for %s", seen)
	}
}

func FuzzSubjectWorker(f *testing.F) {
	for _, tokens := range []string{"w", "g.w", "g=2Fw", "=", "=.=", "a.b.c", "x==0123", "=2f", "", ".w"} {
		f.Add(tokens, "g/w")
	}
	f.Fuzz(func(t *testing.T, tokens, claimed string) {
		worker := spec.WorkerID(claimed)
		own := strings.TrimPrefix(bus.ResultSubject("r", worker), "ar.result.r.")
		if !bus.IsFrom(bus.SubjectWorker(own), worker) {
			t.Fatalf("%q is not from itself", claimed)
		}
		if strings.ContainsAny(own, "*> \t\r\n\x00") || strings.Count(own, ".") > 1 || strings.Contains("."+own+".", "..") {
			t.Fatalf("%q has tokens %q", claimed, own)
		}
		if group, _ := worker.Split(); group == "" || tokens == own {
			return
		}
		if bus.IsFrom(bus.SubjectWorker(tokens), worker) {
			t.Fatalf("tokens %q pass for worker %q, whose own are %q", tokens, claimed, own)
		}
	})
}
