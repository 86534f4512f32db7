package api

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// TestLogs: pages, attempts, positions and refusals.
func TestLogs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.coordinate(task("a"), task("silent"))
	n.leads(t)
	c, ctx := n.client(t), t.Context()
	if got := must(c.Logs(ctx, "test", "silent", LogQuery{}))(t); len(got.Chunks) != 0 || got.Ended || got.More {
		t.Errorf("nothing was written: %+v", got)
	}
	conn := w.connect()
	say := func(attempt uint32, m *bus.LogMessage) {
		t.Helper()
		eventually(t, "the stream is there", func() bool {
			return conn.PublishLog(ctx, "test", "w", "a", attempt, bus.LogHead, m) == nil
		})
	}
	say(1, &bus.LogMessage{Pieces: []bus.LogPiece{{Data: []byte("first")}}, Ended: true})
	say(2, &bus.LogMessage{Pieces: []bus.LogPiece{{Data: []byte("o\xffut\x1b[2J")}, {Stderr: true, Data: []byte("err")}}})
	say(2, &bus.LogMessage{Out: 100, Err: 3, Pieces: []bus.LogPiece{{Data: make([]byte, logPageMax/2)}}})
	say(2, &bus.LogMessage{Out: 100 + logPageMax/2, Err: 3, Pieces: []bus.LogPiece{{Data: make([]byte, logPageMax/2)}}})
	say(2, &bus.LogMessage{Out: 100 + logPageMax, Err: 3, Pieces: []bus.LogPiece{{Data: []byte("end")}}, Ended: true})
	page := must(c.Logs(ctx, "test", "a", LogQuery{}))(t)
	if fmt.Sprint(page.Attempt, page.Attempts) != "2 [1 2]" || !page.More || page.Ended || len(page.Chunks) != 3 {
		t.Fatalf("attempt %d of %v, more %v, ended %v, %d chunks", page.Attempt, page.Attempts, page.More, page.Ended, len(page.Chunks))
	}
	if got := page.Chunks[0].Pieces; got[0].Text != "o\uFFFDut\x1b[2J" || got[1] != (LogPiece{Stream: StreamStderr, Text: "err"}) {
		t.Errorf("%+v", got)
	}
	if got := page.Chunks[1].Pieces[0].Missing; got != 92 {
		t.Errorf("%d bytes are said to be missing", got)
	}
	page = must(c.Logs(ctx, "test", "a", LogQuery{Attempt: 2, After: page.Next}))(t)
	if page.More || !page.Ended || len(page.Chunks) != 1 || page.Chunks[0].Pieces[0] != (LogPiece{Stream: StreamStdout, Text: "end"}) {
		t.Errorf("the rest: %+v", page)
	}
	if got := must(c.Logs(ctx, "test", "a", LogQuery{Attempt: 1}))(t); len(got.Chunks) != 1 || got.Chunks[0].Worker != "w" {
		t.Errorf("the first attempt: %+v", got)
	}
	_, err := c.Logs(ctx, "test", "nobody", LogQuery{})
	wantCode(t, err, CodeUnknownTask)
	_, err = c.Logs(ctx, "test", "a", LogQuery{After: "x"})
	wantCode(t, err, CodeInvalid)
}

// TestLogsAreFollowed: a follower of a task that waits sees what its attempt writes as it comes, and its end.
func TestLogsAreFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.coordinate(task("a"))
	n.leads(t)
	c, conn := n.client(t), w.connect()
	heard := make(chan string)
	done := make(chan error, 1)
	go func() {
		done <- c.FollowLogs(t.Context(), "test", "a", LogQuery{}, func(chunk LogChunk) error {
			heard <- chunk.Pieces[0].Text
			return nil
		})
	}()
	next := make(chan struct{})
	w.work(map[string]int{"cpu": 1}, func(ctx context.Context, a spec.Attempt) (spec.TaskResult, error) {
		out := int64(0)
		for i := range 3 {
			m := &bus.LogMessage{Claim: a.Claim, Out: out, Pieces: []bus.LogPiece{{Data: fmt.Append(nil, "line ", i)}}, Ended: i == 2}
			for conn.PublishLog(ctx, a.Run, "w", a.Task.ID, a.Number, bus.LogHead, m) != nil { // the stream is about to be made
				if ctx.Err() != nil {
					return spec.TaskResult{}, ctx.Err()
				}
			}
			out += int64(len(m.Pieces[0].Data))
			<-next
		}
		return spec.TaskResult{}, nil
	})
	for i := range 3 {
		select {
		case got := <-heard:
			if got != fmt.Sprint("line ", i) {
				t.Errorf("line %d: %q", i, got)
			}
		case err := <-done:
			t.Fatalf("it ended before line %d: %v", i, err)
		}
		next <- struct{}{}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := must(c.Logs(t.Context(), "test", "a", LogQuery{}))(t); got.Attempt != 1 || !got.Ended || len(got.Chunks) != 3 {
		t.Errorf("afterwards: %+v", got)
	}
	if _, body := raw(t, n, "GET", "/runs/test/tasks/a/logs?attempt=0", "", nil); !strings.Contains(body, "attempt") {
		t.Errorf("%s", body)
	}
}
