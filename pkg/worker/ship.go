package worker

import (
	"context"
	"errors"
	"sync"
	"time"
	"unicode/utf8"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// The pace at which the output of an attempt is sent: soon at first, so that whoever looks on sees it come, and then in
// messages so far apart and so large at most. What comes faster is left out and counted.
const (
	shipSoon       = 50 * time.Millisecond
	shipInterval   = 250 * time.Millisecond
	shipMessageMax = 32 << 10
	// shipBufferMax is how many bytes of an attempt wait to be sent, shipPiecesMax in how many pieces, and shipMemoryMax how
	// many bytes of all attempts.
	shipBufferMax = 256 << 10
	shipPiecesMax = 4096
	shipMemoryMax = 64 << 20
	// shipPieceCost is what a piece takes besides its bytes.
	shipPieceCost = 48
)

// shipper sends what an attempt writes to the run's log stream while the attempt goes on. It never holds the attempt up, nor
// its result: what cannot be sent in time is left out, the oldest first, so that the last words of an experiment arrive. It
// is told in the stream how much that was.
type shipper struct {
	w      *worker
	ref    bus.AttemptRef
	wake   chan struct{}
	over   chan struct{} // closed when the attempt writes no more
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	sending bool // the goroutine was started
	pieces  []bus.LogPiece
	size    int      // of pieces, in bytes
	skipped [2]int64 // bytes of each stream left out behind the last piece of it
	told    [2]int64 // bytes of each stream up to the first piece
	ended   bool
	done    bool // nothing more is sent
	// deadline ends the sending some time after the attempt is over.
	deadline *time.Timer
}

func (w *worker) newShipper(ref bus.AttemptRef) *shipper {
	s := &shipper{w: w, ref: ref, wake: make(chan struct{}, 1), over: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(w.keepCtx)
	return s
}

// listener returns what to call with the bytes of a stream; they are copied.
func (s *shipper) listener(stderr bool) func([]byte) {
	return func(b []byte) { s.add(stderr, b) }
}

func index(stderr bool) int {
	if stderr {
		return 1
	}
	return 0
}

// add takes bytes to send. It does not block.
func (s *shipper) add(stderr bool, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(b) == 0 || s.ended: // a process that was left behind may still write
		return
	case s.done:
		s.w.metrics.logDropped.Add(float64(len(b)))
		return
	}
	grown := len(b)
	if n := len(s.pieces); n > 0 && s.pieces[n-1].Stderr == stderr && s.skipped[index(stderr)] == 0 {
		s.pieces[n-1].Data = append(s.pieces[n-1].Data, b...)
	} else {
		s.pieces = append(s.pieces, bus.LogPiece{
			Stderr: stderr, Skipped: s.skipped[index(stderr)], Data: append([]byte(nil), b...),
		})
		s.skipped[index(stderr)] = 0
		grown += shipPieceCost
	}
	s.grow(grown)
	if s.size > shipBufferMax || len(s.pieces) > shipPiecesMax || s.w.shipped.Load() > shipMemoryMax {
		s.drop()
	}
	if !s.sending {
		s.sending = true
		s.w.shippers.Go(s.send)
	}
	notify(s.wake)
}

// grow counts bytes that are held, under the lock.
func (s *shipper) grow(by int) {
	s.size += by
	s.w.shipped.Add(int64(by))
}

// drop leaves out the older half of what waits.
func (s *shipper) drop() {
	goal, dropped := s.size/2, int64(0)
	for s.size > goal && len(s.pieces) > 0 {
		first := &s.pieces[0]
		n := min(len(first.Data), s.size-goal)
		dropped += int64(n)
		if n < len(first.Data) {
			first.Skipped += int64(n)
			first.Data = append([]byte(nil), first.Data[n:]...)
			s.grow(-n)
			continue
		}
		s.forget(first.Stderr, first.Skipped+int64(n))
		s.pieces = s.pieces[1:]
		s.grow(-n - shipPieceCost)
	}
	s.w.metrics.logDropped.Add(float64(dropped))
}

// forget notes bytes that are left out where the next piece of the stream begins.
func (s *shipper) forget(stderr bool, bytes int64) {
	for i := 1; i < len(s.pieces); i++ {
		if s.pieces[i].Stderr == stderr {
			s.pieces[i].Skipped += bytes
			return
		}
	}
	s.skipped[index(stderr)] += bytes
}

// end says that the attempt writes no more. What waits is still sent, for a while.
func (s *shipper) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	close(s.over)
	switch {
	case !s.sending:
		s.cancel()
	case !s.done:
		s.deadline = time.AfterFunc(s.w.keepTimeout(), s.cancel)
	}
}

// send sends what comes until the attempt is over and all of it was sent, or the time for that is over.
func (s *shipper) send() {
	defer s.discard()
	s.pause(shipSoon)
	for sent := 0; ; {
		m := s.take()
		if m == nil {
			select {
			case <-s.wake:
			case <-s.over:
			case <-s.ctx.Done():
				return
			}
			continue
		}
		part := bus.LogHead
		if sent++; sent > bus.LogHeadMax {
			part = bus.LogTail
		}
		if !s.publish(part, m) || m.Ended {
			return
		}
		s.pause(shipInterval)
	}
}

// pause waits, less if the attempt is over.
func (s *shipper) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.over:
	case <-s.ctx.Done():
	}
}

// publish sends one message, again and again while that may help.
func (s *shipper) publish(part bus.LogPart, m *bus.LogMessage) bool {
	for failures := 1; ; failures++ {
		err := s.w.link.log(s.ctx, s.ref, part, m)
		if err == nil {
			return true
		}
		if s.ctx.Err() != nil || errors.Is(err, bus.ErrTooLarge) {
			s.w.log.Debug("output of an attempt was not sent: it is on disk", "run", s.ref.Run, "task", s.ref.Task, "error", err)
			s.drops(m.Pieces)
			return false
		}
		s.w.pause(s.ctx, backoff(failures))
	}
}

// drops counts what is not sent.
func (s *shipper) drops(pieces []bus.LogPiece) {
	for i := range pieces {
		s.w.metrics.logDropped.Add(float64(len(pieces[i].Data)))
	}
}

// discard lets go of what was not sent, and of what may still come.
func (s *shipper) discard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drops(s.pieces)
	s.grow(-s.size)
	s.pieces, s.done = nil, true
	if s.deadline != nil {
		s.deadline.Stop()
	}
	s.cancel()
}

// take returns the next message; nil when there is nothing to send. It cuts between characters, unless the attempt is over.
func (s *shipper) take() *bus.LogMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &bus.LogMessage{
		Version: bus.MessageVersion, Claim: s.ref.Claim, At: spec.WallTimeOf(time.Now()), Out: s.told[0], Err: s.told[1],
	}
	room := shipMessageMax
	for room > 0 && len(s.pieces) > 0 {
		first := &s.pieces[0]
		n := min(room, len(first.Data))
		if n < len(first.Data) || len(s.pieces) == 1 && !s.ended {
			n = wholeRunes(first.Data[:n])
		}
		if n == 0 {
			break
		}
		m.Pieces = append(m.Pieces, bus.LogPiece{Stderr: first.Stderr, Skipped: first.Skipped, Data: first.Data[:n:n]})
		s.told[index(first.Stderr)] += first.Skipped + int64(n)
		room -= n + shipPieceCost
		if n < len(first.Data) {
			first.Data, first.Skipped = first.Data[n:], 0
			s.grow(-n)
			break
		}
		s.pieces = s.pieces[1:]
		s.grow(-n - shipPieceCost)
	}
	if m.Ended = s.ended && len(s.pieces) == 0; m.Ended {
		s.last(m)
	}
	if len(m.Pieces) == 0 && !m.Ended {
		return nil
	}
	return m
}

// last adds what was left out at the end.
func (s *shipper) last(m *bus.LogMessage) {
	for i, skipped := range s.skipped {
		if skipped > 0 {
			m.Pieces = append(m.Pieces, bus.LogPiece{Stderr: i == 1, Skipped: skipped})
		}
	}
}

// wholeRunes is how many of b's bytes are before a character that is cut at the end.
func wholeRunes(b []byte) int {
	for back := 1; back < utf8.UTFMax && back <= len(b); back++ {
		if start := len(b) - back; utf8.RuneStart(b[start]) {
			if !utf8.FullRune(b[start:]) {
				return start
			}
			break
		}
	}
	return len(b)
}
