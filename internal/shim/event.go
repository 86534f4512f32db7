package shim

import (
	"strconv"
	"syscall"
	"time"
)

// Event is what the shim says: one line of words.
type Event struct {
	Kind EventKind
	// PID is the number of the experiment's own process (Started).
	PID int
	// Op and Errno say what failed (Failed).
	Op    string
	Errno syscall.Errno
	// Code is the exit status, -1 when a signal ended the experiment's own process; Signal is 0 when none did (Exited).
	Code   int
	Signal syscall.Signal
	Usage  Usage // Gone
}

// EventKind says what happened.
type EventKind string

// The events, each of which happens once, in this order: Started or Failed, Exited, Gone.
const (
	Started EventKind = "started"
	Failed  EventKind = "failed"
	Exited  EventKind = "exited"
	Gone    EventKind = "gone"
)

// Usage is what an experiment used, with all it started.
type Usage struct {
	User, System time.Duration
	// MaxRSS is the most memory that one of its processes had, in bytes.
	MaxRSS int64
	// Killed is the number of processes that it left and that were killed.
	Killed int
}

// line returns the event as it is sent.
func (e *Event) line() []byte {
	line := []byte(e.Kind)
	word := func(n int64) { line = strconv.AppendInt(append(line, ' '), n, 10) }
	switch e.Kind {
	case Started:
		word(int64(e.PID))
	case Failed:
		word(int64(e.Errno))
		line = append(append(line, ' '), oneLine(e.Op)...)
	case Exited:
		word(int64(e.Code))
		word(int64(e.Signal))
	case Gone:
		word(int64(e.Usage.User))
		word(int64(e.Usage.System))
		word(e.Usage.MaxRSS)
		word(int64(e.Usage.Killed))
	}
	return append(line, '\n')
}

// oneLine returns text without newlines.
func oneLine(text string) []byte {
	line := []byte(text)
	for i := range line {
		if line[i] == '\n' {
			line[i] = ' '
		}
	}
	return line
}

// ParseEvent reads a line, without its end. ok is false for one that is no event.
func ParseEvent(line string) (e Event, ok bool) {
	words := split(line, ' ')
	number := func(i int) (n int64) {
		if i < len(words) {
			n, _ = strconv.ParseInt(words[i], 10, 64) // ours
		}
		return n
	}
	switch e.Kind = EventKind(words[0]); e.Kind {
	case Started:
		e.PID = int(number(1))
	case Failed:
		e.Errno = syscall.Errno(number(1))
		for _, word := range words[min(2, len(words)):] {
			e.Op += " " + word
		}
		e.Op = e.Op[min(1, len(e.Op)):]
	case Exited:
		e.Code, e.Signal = int(number(1)), syscall.Signal(number(2))
	case Gone:
		e.Usage = Usage{
			User: time.Duration(number(1)), System: time.Duration(number(2)), MaxRSS: number(3), Killed: int(number(4)),
		}
	default:
		return Event{}, false
	}
	return e, true
}
