package bus

import (
	"context"
	"errors"

	"autoresearch/pkg/spec"
)

// LogScan reads the output of one attempt as people do: in order, each byte once, and with what is missing said. One
// goroutine uses it.
type LogScan struct {
	logs    Logs
	task    spec.TaskID
	attempt uint32
	begun   uint64 // the sequence it began after
	after   uint64
	ended   bool
	places  map[spec.ClaimID]*logPlace
}

// logPlace is how far the output of one claim was read: of both streams the byte that comes next.
type logPlace struct{ out, err int64 }

// logClaimsMax is of how many claims an attempt's output is read: two workers at once are rare, more are forged.
const logClaimsMax = 16

// NewLogScan returns a scan that begins after a sequence, 0 for the beginning.
func NewLogScan(l Logs, task spec.TaskID, attempt uint32, after uint64) *LogScan {
	return &LogScan{logs: l, task: task, attempt: attempt, begun: after, after: after, places: map[spec.ClaimID]*logPlace{}}
}

// Position is the sequence that was read last, to begin another scan after.
func (s *LogScan) Position() uint64 { return s.after }

// Ended reports whether the message was read that says that nothing follows.
func (s *LogScan) Ended() bool { return s.ended }

// Read calls fn for what is there and was not read, message by message. The pieces' Skipped are all the bytes that are
// missing before them, for whatever reason. fn's error ends the reading and is returned; its message then counts as read.
func (s *LogScan) Read(ctx context.Context, fn func(seq uint64, worker spec.WorkerID, m *LogMessage) error) error {
	if err := s.resume(ctx); err != nil {
		return err
	}
	return s.logs.Read(ctx, s.task, s.attempt, s.after, func(seq uint64, worker spec.WorkerID, m *LogMessage) error {
		s.after = seq
		place := s.place(m)
		if place == nil || !place.take(m) {
			return nil
		}
		s.ended = s.ended || m.Ended
		return fn(seq, worker, m)
	})
}

// resume finds out where a scan stands that does not begin at the beginning.
func (s *LogScan) resume(ctx context.Context) error {
	if s.begun == 0 || len(s.places) > 0 {
		return nil
	}
	m, err := s.logs.Get(ctx, s.begun)
	if errors.Is(err, ErrMissing) {
		return nil // what is missing since cannot be told
	}
	if err == nil {
		place := &logPlace{out: m.Out, err: m.Err}
		place.take(m)
		s.places[m.Claim] = place
		s.ended = m.Ended
	}
	return err
}

func (s *LogScan) place(m *LogMessage) *logPlace {
	place := s.places[m.Claim]
	if place == nil && len(s.places) < logClaimsMax {
		place = &logPlace{}
		if s.begun > 0 {
			*place = logPlace{out: m.Out, err: m.Err}
		}
		s.places[m.Claim] = place
	}
	return place
}

// take moves on past a message; false for one that was read before: a worker that got no answer sends it again.
func (p *logPlace) take(m *LogMessage) bool {
	if m.Out < p.out || m.Err < p.err {
		return false
	}
	missing := map[bool]int64{false: m.Out - p.out, true: m.Err - p.err}
	p.out, p.err = m.Out, m.Err
	for i := range m.Pieces {
		piece := &m.Pieces[i]
		passed := piece.Skipped + int64(len(piece.Data))
		if piece.Stderr {
			p.err += passed
		} else {
			p.out += passed
		}
		piece.Skipped += missing[piece.Stderr]
		missing[piece.Stderr] = 0
	}
	// What no piece told is told by the next one.
	p.out -= missing[false]
	p.err -= missing[true]
	return true
}
