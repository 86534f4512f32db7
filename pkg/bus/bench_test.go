package bus_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// benchConn is a connection within the process, as the one-machine engine has it.
func benchConn(b *testing.B) *bus.Conn {
	b.Helper()
	e := startServer(b, bus.EmbeddedOptions{})
	c, err := e.Connect(b.Context(), "bench")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	})
	return c
}

func perSecond(b *testing.B, n int, what string) {
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), what+"/s")
}

// One append in flight, 200 bytes each: the rate of commits.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{200, 20_000} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			j := bus.NewJournal(benchConn(b), "r", bus.StreamOptions{})
			if _, err := j.Ensure(b.Context()); err != nil {
				b.Fatal(err)
			}
			data := make([]byte, size)
			seq := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				if err := j.Append(b.Context(), seq, data); err != nil {
					b.Fatal(err)
				}
				seq++
			}
			perSecond(b, int(seq), "appends")
		})
	}
}

// The messages of 8 attempts that write at once, each waiting for its acknowledgement: what logs cost.
func BenchmarkPublishLog(b *testing.B) {
	c := benchConn(b)
	if err := bus.NewLogs(c, "r", bus.StreamOptions{}).Ensure(b.Context()); err != nil {
		b.Fatal(err)
	}
	m := &bus.LogMessage{Pieces: []bus.LogPiece{{Data: make([]byte, 1000)}}}
	var attempts atomic.Int64
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		task := spec.TaskID(fmt.Sprint("t", attempts.Add(1)))
		for pb.Next() {
			if err := c.PublishLog(b.Context(), "r", "w", task, 1, bus.LogHead, m); err != nil {
				b.Error(err)
			}
		}
	})
	perSecond(b, b.N, "messages")
}

// benchChanges are n changes as they are most of the time: small, half of them with the spec.
func benchChanges(n int) []bus.Change {
	changes := make([]bus.Change, n)
	for i := range changes {
		changes[i] = bus.Change{Parts: bus.PartSpec * bus.ChangeParts(i%2), Task: &spec.Task{
			Spec:     spec.TaskSpec{ID: spec.TaskID(fmt.Sprintf("%05d_wider_net", i)), Kind: "train", Payload: spec.Payload(`{"lr":0.001,"width":512}`)},
			Priority: -1, Seq: uint64(i), State: spec.StateRunning, Attempt: 1, Submitted: 1767323045000000001, Started: 1767323045000000002,
			Lease: &spec.Lease{Attempt: 1, Claim: 1 << 60, Worker: "gpu-node-17", Boot: 3, Class: "h100x1", Until: time.Hour},
		}}
	}
	return changes
}

func BenchmarkRecordEncoder(b *testing.B) {
	r := &bus.Record{Kind: bus.RecordCommit, RunID: "11111111-2222-3333-4444-555555555555", Epoch: 1, Commit: 7, Changes: benchChanges(100)}
	var e bus.RecordEncoder
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, err := e.Encode(r, 8<<20); err != nil {
			b.Fatal(err)
		}
		n += len(r.Changes)
	}
	perSecond(b, n, "changes")
}

func BenchmarkDecodeRecord(b *testing.B) {
	r := &bus.Record{Kind: bus.RecordCommit, Epoch: 1, Commit: 7, Changes: benchChanges(100)}
	parts, err := new(bus.RecordEncoder).Encode(r, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, err := bus.DecodeRecord(parts[0]); err != nil {
			b.Fatal(err)
		}
		n += len(r.Changes)
	}
	perSecond(b, n, "changes")
	b.ReportMetric(float64(len(parts[0]))/float64(len(r.Changes)), "B/change")
}

// A result with one child that has a long payload: checked as it arrives, decoded for the hook.
func BenchmarkResult(b *testing.B) {
	payload := spec.Payload(`{"text":"` + strings.Repeat("long", 50) + `"}`)
	body, err := bus.EncodeResult(spec.TaskResult{
		Children: []spec.TaskSpec{{ID: "task-1", Kind: "experiment", Priority: 1, Payload: payload}}, Worker: "w", Host: "h", Attempt: 1,
		Started: time.Unix(1e9, 0), Duration: time.Second,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("check", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := bus.CheckResult(body, 100); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := bus.DecodeResult(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// A commit of 100 changes, encoded and appended.
func BenchmarkCommit100(b *testing.B) {
	j := bus.NewJournal(benchConn(b), "r", bus.StreamOptions{})
	if _, err := j.Ensure(b.Context()); err != nil {
		b.Fatal(err)
	}
	r := &bus.Record{Kind: bus.RecordCommit, Epoch: 1, Changes: benchChanges(100)}
	var e bus.RecordEncoder
	seq := uint64(0)
	for b.Loop() {
		parts, err := e.Encode(r, 8<<20)
		if err == nil {
			err = j.Append(b.Context(), seq, parts[0])
		}
		if err != nil {
			b.Fatal(err)
		}
		seq++
	}
	perSecond(b, int(seq)*len(r.Changes), "changes")
}

// A task's way: published, pulled, reported, consumed, one after the other.
func BenchmarkTaskRoundTrip(b *testing.B) {
	c := benchConn(b)
	d := bus.NewDoorbell(c, bus.StreamOptions{}, func(subject string, err error) { b.Errorf("%s: %v", subject, err) })
	results := bus.NewResults(c, "r", bus.StreamOptions{ResultsMaxBytes: 4 << 30})
	_, err := d.Ensure(b.Context(), []string{"cpu"})
	if err := errors.Join(err, results.Ensure(b.Context())); err != nil {
		b.Fatal(err)
	}
	arrived := make(chan uint64)
	stop, err := results.Consume(b.Context(), 0, func(seq uint64, _ spec.WorkerID, _ []byte) { arrived <- seq }, func(err error) { b.Error(err) })
	if err != nil {
		b.Fatal(err)
	}
	puller := bus.NewPuller(c, "cpu", nil)
	n := 0
	for b.Loop() {
		n++
		message := task("t")
		message.Attempt = uint32(n)
		if err := d.Publish([]*bus.Dispatch{message}, false); err != nil {
			b.Fatal(err)
		}
		tasks, err := puller.Pull(b.Context(), 5*time.Second)
		if err != nil || len(tasks) != 1 {
			b.Fatalf("pulled %v, error %v", tasks, err)
		}
		report := bus.Report{AttemptRef: bus.AttemptRef{Run: "r", Task: "t", Attempt: tasks[0].Attempt}, Body: make([]byte, 200)}
		if err := c.PublishResult(b.Context(), "r", "w", &bus.ResultMessage{Worker: "w", Reports: []bus.Report{report}}); err != nil {
			b.Fatal(err)
		}
		<-arrived
	}
	perSecond(b, n, "tasks")
	stop()
}

// Reading a journal back, 200 bytes a record.
func BenchmarkReadJournal(b *testing.B) {
	const records = 100_000
	c := benchConn(b)
	j := bus.NewJournal(c, "r", bus.StreamOptions{})
	if _, err := j.Ensure(b.Context()); err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 200)
	for range records { // unanswered publishes in order, then one that waits for all
		if err := c.NATS().Publish(bus.JournalSubject("r"), data); err != nil {
			b.Fatal(err)
		}
	}
	for {
		bounds, err := j.Bounds(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if bounds.Last == records {
			break
		}
	}
	n := 0
	for b.Loop() {
		if err := j.Read(b.Context(), 1, func(uint64, []byte) error { n++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, n, "records")
}
