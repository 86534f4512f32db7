package worker

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// BenchmarkWorker measures attempts that do nothing, end to end but for NATS.
func BenchmarkWorker(b *testing.B) {
	for _, slots := range []int{1, 16, 256} {
		b.Run(fmt.Sprint("slots", slots), func(b *testing.B) { benchmarkWorker(b, slots, b.N) })
	}
}

func benchmarkWorker(b *testing.B, slots, tasks int) {
	link := &feedLink{testLink: newTestLink(), left: tasks, finished: make(chan struct{})}
	o := Options{
		Dir: b.TempDir(), Slots: map[string]int{testClass: slots}, Logger: slog.New(slog.DiscardHandler),
		Runners: map[string]spec.Runner{"train": spec.RunnerFunc(succeed)},
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	b.ReportAllocs()
	b.ResetTimer()
	used := cpuTime(b)
	go func() {
		done <- run(ctx, o, func(context.Context, *Options, spec.WorkerID) (linkType, error) { return link, nil })
	}()
	<-link.finished
	b.StopTimer()
	b.ReportMetric(float64(tasks)/b.Elapsed().Seconds(), "attempts/s")
	b.ReportMetric(float64((cpuTime(b)-used).Nanoseconds())/float64(tasks), "cpu-ns/op")
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// cpuTime returns the processor time this process has used: a measure that other work on the machine leaves alone.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkCommand measures the supervision of a command that does nothing.
func BenchmarkCommand(b *testing.B) {
	path, err := exec.LookPath("true")
	if err != nil {
		b.Skip(err)
	}
	for range b.N {
		c := &command{path: path, argv: []string{path}, stdout: io.Discard, stderr: io.Discard}
		if ended, err := c.run(b.Context()); err != nil || ended.code != 0 {
			b.Fatalf("%+v, %v", ended, err)
		}
	}
}

// feedLink brings a task at each request and receipts every result at once.
type feedLink struct {
	*testLink
	given, left, reported int
	finished              chan struct{}
}

func (l *feedLink) pull(ctx context.Context, _ string, _ time.Duration) ([]*bus.Dispatch, error) {
	if l.left == 0 {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	l.left--
	l.given++
	return []*bus.Dispatch{dispatch(taskID(l.given))}, nil
}

func (l *feedLink) publish(_ context.Context, _ spec.RunName, m *bus.ResultMessage) error {
	answer := bus.Answer{Run: testRun, Epoch: 1}
	for _, report := range m.Reports {
		answer.Receipt = append(answer.Receipt, report.AttemptRef)
	}
	l.answer(answer)
	if l.reported += len(m.Reports); l.left == 0 && l.reported == l.given {
		close(l.finished)
	}
	return nil
}

func (l *feedLink) uplink(*bus.Uplink) error { return nil }

// BenchmarkOverNATS measures attempts that do nothing, over an embedded server, with the leader's part: publish, read,
// receipt.
func BenchmarkOverNATS(b *testing.B) {
	const slots = 256
	server := startServer(b, -1, b.TempDir())
	l := startLeader(b, server.ClientURL(), testRun)
	l.receipt = true
	o := Options{
		Dir: b.TempDir(), Slots: map[string]int{testClass: slots}, Logger: quiet(),
		Bus:     bus.Options{URL: server.ClientURL(), Logger: quiet()},
		Runners: map[string]spec.Runner{"train": spec.RunnerFunc(succeed)},
	}
	startRun(b, o)
	b.ResetTimer()
	used := cpuTime(b)
	for i := range b.N {
		l.until("there is room", func() bool { return i-len(l.reports) < 2*slots })
		l.publish(dispatch(taskID(i + 1)))
	}
	l.until("all are reported", func() bool { return len(l.reports) == b.N })
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "attempts/s")
	b.ReportMetric(float64((cpuTime(b)-used).Nanoseconds())/float64(b.N), "cpu-ns/op")
}
