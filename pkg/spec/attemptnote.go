package spec

import (
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

// AttemptNote is one line of a worker's attempts.log: the evidence of what was executed, whatever the journal says.
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

// AppendLine appends the note as one line of JSON.
func (n AttemptNote) AppendLine(dst []byte) []byte {
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
		w.member("task", string(n.Task))
		w.key("attempt")
		w.out = strconv.AppendUint(w.out, uint64(n.Attempt), 10)
		w.key("claim")
		w.out = strconv.AppendUint(w.out, uint64(n.Claim), 10)
	}
	if n.RunID != "" {
		w.member("run_id", n.RunID)
	}
	if n.Outcome != "" {
		w.member("outcome", n.Outcome)
	}
	w.close('}')
	return append(w.out, '\n')
}

// member writes a member whose value is text.
func (w *writer) member(name, text string) {
	w.key(name)
	w.text(text)
}

// DecodeAttemptNote reads one line. Keys that are not known are ignored.
func DecodeAttemptNote(line []byte) (AttemptNote, error) {
	fields, err := DecodeFields(line)
	if err != nil {
		return AttemptNote{}, err
	}
	var n AttemptNote
	for _, f := range fields {
		if err := n.set(f); err != nil {
			return AttemptNote{}, fmt.Errorf("attempt note: field %s: %w", f.Name, err)
		}
	}
	if n.What == "" {
		return AttemptNote{}, errors.New("attempt note: field what: is missing")
	}
	return n, nil
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
