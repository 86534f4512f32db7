package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"autoresearch/pkg/coordinator"
	"autoresearch/pkg/spec"
)

// LogPage is what an attempt wrote, as far as it is there and fits a page.
type LogPage struct {
	Task    spec.TaskID `json:"task"`
	Attempt uint32      `json:"attempt"`
	// Attempts are those of which there is any output.
	Attempts []uint32   `json:"attempts"`
	Chunks   []LogChunk `json:"chunks"`
	// Next is what to go on after. More says that there is more already, Ended that nothing follows.
	Next  string `json:"next"`
	More  bool   `json:"more"`
	Ended bool   `json:"ended"`
}

// LogChunk is what an attempt wrote in a short while.
type LogChunk struct {
	ID     string        `json:"id"`
	At     *time.Time    `json:"at,omitempty"`
	Worker spec.WorkerID `json:"worker,omitempty"`
	Pieces []LogPiece    `json:"pieces"`
}

// LogPiece is a text on one of the two streams, after Missing bytes that are not there.
type LogPiece struct {
	Stream  string `json:"stream"`
	Missing int64  `json:"missing,omitempty"`
	Text    string `json:"text,omitempty"`
}

// The streams of an attempt.
const (
	StreamStdout = "stdout"
	StreamStderr = "stderr"
)

// ChunkOf describes a message of an attempt's output.
func ChunkOf(seq uint64, worker spec.WorkerID, m *coordinator.LogMessage) LogChunk {
	chunk := LogChunk{ID: strconv.FormatUint(seq, 10), At: at(m.At), Worker: worker, Pieces: make([]LogPiece, 0, len(m.Pieces))}
	for _, p := range m.Pieces {
		piece := LogPiece{Stream: StreamStdout, Missing: p.Skipped, Text: strings.ToValidUTF8(string(p.Data), "\uFFFD")}
		if p.Stderr {
			piece.Stream = StreamStderr
		}
		chunk.Pieces = append(chunk.Pieces, piece)
	}
	return chunk
}

// logPageMax is about how many bytes of output a page has.
const logPageMax = 1 << 20

var errPageFull = errors.New("the page is full")

// logs answers with what an attempt wrote, or feeds it as it comes if that is what the client accepts.
func (c *call) logs() error {
	values, err := c.query("attempt", "after")
	if err != nil {
		return err
	}
	row, err := c.row()
	if err != nil {
		return err
	}
	after, err := logPosition(values.Get("after"), c.Header.Get("Last-Event-ID"))
	if err != nil {
		return err
	}
	page := LogPage{Task: row.Task.Spec.ID, Chunks: []LogChunk{}}
	if page.Attempts, err = c.view.LogAttempts(c.Context(), row.Task.Spec.ID); err != nil {
		return err
	}
	page.Attempts = append([]uint32{}, page.Attempts...)
	following := strings.Contains(c.Header.Get("Accept"), "text/event-stream")
	if page.Attempt, err = chooseAttempt(values.Get("attempt"), row.Task, page.Attempts, following); err != nil {
		return err
	}
	scan := c.view.Log(row.Task.Spec.ID, page.Attempt, after)
	if following {
		return c.followLog(scan, row.Task.Spec.ID, page.Attempt)
	}
	return c.logPage(scan, &page)
}

func logPosition(after, last string) (uint64, error) {
	if last != "" {
		after = last
	}
	if after == "" {
		return 0, nil
	}
	seq, err := strconv.ParseUint(after, 10, 63)
	if err != nil {
		return 0, problem(CodeInvalid, "position %q: it must be the id of a chunk, or 0", after)
	}
	return seq, nil
}

// chooseAttempt is the attempt that was asked for, else the newest: one that runs, one that has output, or for a follower of
// a task that waits the one to come.
func chooseAttempt(asked string, t *spec.Task, written []uint32, following bool) (uint32, error) {
	if asked != "" {
		n, err := strconv.ParseUint(asked, 10, 32)
		if err != nil || n == 0 {
			return 0, problem(CodeInvalid, "parameter attempt: it must be a number from 1")
		}
		return uint32(n), nil
	}
	switch {
	case t.State.Leased():
		return t.Lease.Attempt, nil
	case following && t.State == spec.StateQueued:
		return t.Attempt + 1, nil
	case t.Outcome != nil && t.Outcome.Attempt > 0 && slices.Contains(written, t.Outcome.Attempt):
		return t.Outcome.Attempt, nil
	case len(written) > 0:
		return written[len(written)-1], nil
	}
	return t.Attempt, nil
}

func (c *call) logPage(scan *coordinator.LogScan, page *LogPage) error {
	size := 0
	err := c.view.ReadLog(c.Context(), scan, func(seq uint64, worker spec.WorkerID, m *coordinator.LogMessage) error {
		page.Chunks = append(page.Chunks, ChunkOf(seq, worker, m))
		for _, p := range m.Pieces {
			size += len(p.Data)
		}
		if size >= logPageMax {
			return errPageFull
		}
		return nil
	})
	page.More = errors.Is(err, errPageFull)
	if err != nil && !page.More {
		return err
	}
	page.Next, page.Ended = strconv.FormatUint(scan.Position(), 10), scan.Ended() && !page.More
	return c.answer(page)
}

const (
	// logPoll is how often a follower looks although nothing was heard, logGrace how long it waits for the last words of an
	// attempt that is over.
	logPoll  = time.Second
	logGrace = 3 * time.Second
	// A follower hears of a message when the stream does, and may read it when that has stored it: it looks at once, and then
	// so often, first after this time and each time after twice as long.
	logLooks   = 5
	logSettles = 10 * time.Millisecond
)

// follower feeds one client with the output of one attempt.
type follower struct {
	*stream
	scan    *coordinator.LogScan
	task    spec.TaskID
	attempt uint32
	news    chan struct{}
	looks   int       // how often to look soon, since something was heard
	over    time.Time // since when the attempt is known to be over
	beat    time.Time // when something was written last
}

// followLog feeds server-sent events until the attempt is over and told, the client goes, or the term ends.
func (c *call) followLog(scan *coordinator.LogScan, id spec.TaskID, attempt uint32) error {
	open, err := c.openStream()
	if err != nil {
		return err
	}
	defer open.close()
	f := &follower{stream: open, scan: scan, task: id, attempt: attempt, news: make(chan struct{}, 1), beat: time.Now()}
	stop, err := c.view.WatchLog(id, attempt, func() {
		select {
		case f.news <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return nil // the client comes again
	}
	defer stop()
	err = f.write("retry: 1000\n\n") // so that the client hears at once that it is heard
	for more := true; more && err == nil; {
		if err = f.feed(); err == nil {
			more, err = f.await()
		}
	}
	return nil // the stream's end says all there is to say
}

// feed writes what has come.
func (f *follower) feed() error {
	return f.call.view.ReadLog(f.call.Context(), f.scan, func(seq uint64, worker spec.WorkerID, m *coordinator.LogMessage) error {
		data, err := json.Marshal(ChunkOf(seq, worker, m))
		if err != nil {
			return err
		}
		f.beat = time.Now()
		return f.write(fmt.Sprintf("id: %d\ndata: %s\n\n", seq, data))
	})
}

// await waits for more; false when there is nothing more to come, which the client was then told.
func (f *follower) await() (more bool, err error) {
	if f.isOver() {
		return false, f.write("event: end\ndata: {\"id\":\"\",\"pieces\":[]}\n\n")
	}
	if time.Since(f.beat) > streamBeat {
		f.beat = time.Now()
		if err := f.write(": nothing came\n\n"); err != nil {
			return false, err
		}
	}
	wait := logPoll
	if f.looks > 0 {
		wait = logSettles << (logLooks - f.looks)
		f.looks--
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-f.news:
		f.looks = logLooks
	case <-timer.C:
	case <-f.call.Context().Done():
		return false, f.call.Context().Err()
	case <-f.call.view.Ended():
		return false, http.ErrServerClosed
	}
	return true, nil
}

// isOver reports whether nothing more of the attempt is to be expected. An attempt that its worker took to the grave never
// says so itself, and one that wrote nothing never says anything.
func (f *follower) isOver() bool {
	row, known := f.call.view.Task(f.task)
	if !known {
		return true
	}
	t := row.Task
	if t.State.Leased() && t.Lease.Attempt <= f.attempt || t.State == spec.StateQueued && t.Attempt < f.attempt {
		f.over = time.Time{}
		return false
	}
	if f.over.IsZero() {
		f.over = time.Now()
	}
	return f.scan.Ended() || time.Since(f.over) > logGrace
}
