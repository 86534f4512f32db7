package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// The things that a worker notes.
const (
	NoteBoot      = "boot"      // the worker process started
	NoteStarted   = "started"   // an attempt starts to execute
	NoteEnded     = "ended"     // an attempt has ended; Outcome says how
	NoteReceipted = "receipted" // the leader has said that the attempt's result is journaled
)

// How a noted attempt ended.
const (
	EndSucceeded = "succeeded"
	EndFailed    = "failed"
	EndPreempted = "preempted" // given up and reported as that
	EndDropped   = "dropped"   // nobody wanted its result: none was reported
)

// AttemptNote is one thing that a worker notes in its attempts.log: the evidence of what was executed, whatever the journal
// says.
type AttemptNote struct {
	At      time.Time // the worker's wall clock
	What    string
	Worker  WorkerID
	Boot    uint64
	Run     RunName // this and the next three are of an attempt, and zero for NoteBoot
	RunID   string  // the run's UUID, of NoteStarted
	Task    TaskID
	Attempt uint32
	Claim   ClaimID
	Outcome string // of NoteEnded
}

// AppendNotes appends notes as lines of JSON. Notes that follow each other share one unless they differ in more than the
// attempt, which the line lists.
func AppendNotes(dst []byte, notes []AttemptNote) []byte {
	for len(notes) > 0 {
		sharing := 1
		for sharing < len(notes) && notes[sharing].sharesLine(&notes[0]) {
			sharing++
		}
		dst = appendLine(dst, notes[:sharing])
		notes = notes[sharing:]
	}
	return dst
}

func (n *AttemptNote) sharesLine(first *AttemptNote) bool {
	return n.What == first.What && n.Run == first.Run && n.RunID == first.RunID &&
		n.At.Equal(first.At) && n.Worker == first.Worker && n.Boot == first.Boot
}

// appendLine appends one line: what the notes share, and their attempts.
func appendLine(dst []byte, notes []AttemptNote) []byte {
	n := &notes[0]
	w := writer{out: dst}
	w.open('{')
	w.key("at")
	w.text(n.At.UTC().Format(time.RFC3339Nano))
	w.member("what", n.What)
	w.member("worker", string(n.Worker))
	w.key("boot")
	w.out = strconv.AppendUint(w.out, n.Boot, 10)
	if n.What != NoteBoot {
		w.member("run", string(n.Run))
		if n.RunID != "" {
			w.member("run_id", n.RunID)
		}
		w.key("attempts")
		w.open('[')
		for i := range notes {
			w.next()
			w.notedAttempt(&notes[i])
		}
		w.close(']')
	}
	w.close('}')
	return append(w.out, '\n')
}

func (w *writer) notedAttempt(n *AttemptNote) {
	w.open('{')
	w.member("task", string(n.Task))
	w.key("attempt")
	w.out = strconv.AppendUint(w.out, uint64(n.Attempt), 10)
	w.key("claim")
	w.out = strconv.AppendUint(w.out, uint64(n.Claim), 10)
	if n.Outcome != "" {
		w.member("outcome", n.Outcome)
	}
	w.close('}')
}

// member writes a member whose value is text.
func (w *writer) member(name, text string) {
	w.key(name)
	w.text(text)
}

// DecodeAttemptNotes reads one line. Keys that are not known are ignored. A line of an older worker has one attempt, beside the
// other keys.
func DecodeAttemptNotes(line []byte) ([]AttemptNote, error) {
	fields, err := DecodeFields(line)
	if err != nil {
		return nil, err
	}
	var shared AttemptNote
	var attempts []json.RawMessage
	for _, f := range fields {
		if f.Name == "attempts" {
			err = json.Unmarshal(f.Value, &attempts)
		} else {
			err = shared.set(f)
		}
		if err != nil {
			return nil, fmt.Errorf("attempt note: field %s: %w", f.Name, err)
		}
	}
	if shared.What == "" {
		return nil, errors.New("attempt note: field what: is missing")
	}
	if len(attempts) == 0 {
		return []AttemptNote{shared}, nil
	}
	return shared.of(attempts)
}

// of returns a note of each of the attempts that shares the rest.
func (n AttemptNote) of(attempts []json.RawMessage) ([]AttemptNote, error) {
	notes := make([]AttemptNote, len(attempts))
	for i, attempt := range attempts {
		notes[i] = n
		fields, err := DecodeFields(attempt)
		if err != nil {
			return nil, fmt.Errorf("attempt note: attempt %d: %w", i+1, err)
		}
		for _, f := range fields {
			if err := notes[i].set(f); err != nil {
				return nil, fmt.Errorf("attempt note: attempt %d: field %s: %w", i+1, f.Name, err)
			}
		}
	}
	return notes, nil
}

func (n *AttemptNote) set(f Field) (err error) {
	var text string
	var number uint64
	switch f.Name {
	case "boot", "claim":
		number, err = strconv.ParseUint(string(f.Value), 10, 64)
	case "attempt":
		number, err = strconv.ParseUint(string(f.Value), 10, 32)
	case "at", "what", "worker", "run", "run_id", "task", "outcome":
		text, err = textOf(f.Value)
	}
	if err != nil {
		return err
	}
	switch f.Name {
	case "at":
		n.At, err = time.Parse(time.RFC3339Nano, text)
	case "what":
		n.What = text
	case "worker":
		n.Worker = WorkerID(text)
	case "boot":
		n.Boot = number
	case "run":
		n.Run = RunName(text)
	case "run_id":
		n.RunID = text
	case "task":
		n.Task = TaskID(text)
	case "attempt":
		n.Attempt = uint32(number)
	case "claim":
		n.Claim = ClaimID(number)
	case "outcome":
		n.Outcome = text
	}
	return err
}

func textOf(value []byte) (string, error) {
	decoded, err := DecodeValue(value)
	if err != nil {
		return "", err
	}
	text, ok := decoded.(string)
	if !ok {
		return "", errors.New("must be a string")
	}
	return text, nil
}
