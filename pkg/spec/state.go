package spec

import "slices"

// EngineState is the content of engine_state.json: the queue of a run as users of the original know it.
type EngineState struct {
	// Status is running, stopped or interrupted; a file may hold any other text. A missing one is read as running.
	Status Status
	// Queued is in scheduling order, most urgent first: the lower priority number, then first in. A file edited by hand
	// may be in any order.
	Queued []TaskSpec
	// Running were executing when the file was written.
	Running []TaskSpec
	// Extra holds unknown keys, kept on a rewrite.
	Extra []Field
}

// DecodeEngineState reads engine_state.json (or the original's engine/checkpoint.json): an object whose status is any
// text and whose lists may be missing, but not null. The errors are *DecodeError and name the field, as in
// "queued[3].priority".
func DecodeEngineState(b []byte) (EngineState, error) {
	state := EngineState{Status: StatusRunning, Queued: []TaskSpec{}, Running: []TaskSpec{}}
	err := whole(b, func(s *scanner) error {
		if err := s.expect('{'); err != nil {
			return err
		}
		return s.object(1, func(key quoted) error { return inKey(key, s.stateMember(&state, key)) })
	})
	if err != nil {
		return EngineState{}, err
	}
	return state, nil
}

// stateMember passes the value of one key.
func (s *scanner) stateMember(state *EngineState, key quoted) (err error) {
	switch string(key.meaning()) {
	case "status":
		var text string
		text, err = s.asText()
		state.Status = Status(text)
	case "queued":
		state.Queued, err = s.taskSpecs()
	case "running":
		state.Running, err = s.taskSpecs()
	default:
		state.Extra, err = s.unknown(state.Extra, key)
	}
	return err
}

// AppendIndented appends the content of engine_state.json as the original formats it: two spaces of indent a level and
// a newline at the end. It makes one pass and no copies.
func (e EngineState) AppendIndented(dst []byte) []byte {
	w := writer{out: dst, indent: 2}
	w.open('{')
	w.key("status")
	w.text(string(e.Status))
	w.key("queued")
	w.taskSpecs(e.Queued)
	w.key("running")
	w.taskSpecs(e.Running)
	w.extra(e.Extra, func(name string) bool { return name == "status" || name == "queued" || name == "running" })
	w.close('}')
	return append(w.out, '\n')
}

// HasSpecs reports whether there is anything to resume.
func (e EngineState) HasSpecs() bool { return len(e.Queued)+len(e.Running) > 0 }

// Resume returns what goes back into the queue when a run goes on: the queued specs, then the running ones.
func (e EngineState) Resume() []TaskSpec { return slices.Concat(e.Queued, e.Running) }
