package spec

import "fmt"

// DecodeFailureRecord reads one FailureRecord by the contract's rules: kind and phase are required and must be known;
// details must be an object when it is there; exception_type, job_id and created_at may be null; unknown keys are kept
// in Extra. Details is never nil afterwards. The errors are *DecodeError.
func DecodeFailureRecord(b []byte) (FailureRecord, error) {
	var record FailureRecord
	err := whole(b, func(s *scanner) (err error) {
		record, err = s.failure(false)
		return err
	})
	return record, err
}

// AppendJSON appends the record in the original's dialect, compact. A detail that has no JSON form is written as the
// text fmt prints for it.
func (f FailureRecord) AppendJSON(dst []byte) []byte {
	w := writer{out: dst}
	w.failure(&f)
	return w.out
}

// MarshalJSON returns the record as strict JSON: NaN, Infinity and -Infinity are strings.
func (f FailureRecord) MarshalJSON() ([]byte, error) {
	w := writer{strict: true}
	w.failure(&f)
	return w.out, nil
}

// UnmarshalJSON is DecodeFailureRecord.
func (f *FailureRecord) UnmarshalJSON(b []byte) (err error) {
	*f, err = DecodeFailureRecord(b)
	return err
}

// failure passes an object and reads it as a FailureRecord. lenient gives a missing kind and phase defaults.
func (s *scanner) failure(lenient bool) (FailureRecord, error) {
	record := FailureRecord{Details: map[string]any{}}
	if err := s.expect('{'); err != nil {
		return FailureRecord{}, err
	}
	begin, kind, phase := s.pos, -1, -1
	err := s.object(1, func(key quoted) (err error) {
		switch string(key.meaning()) {
		case "kind":
			kind, err = s.place()
		case "phase":
			phase, err = s.place()
		default:
			err = s.failureMember(&record, key)
		}
		return inKey(key, err)
	})
	if err != nil {
		return FailureRecord{}, err
	}
	if lenient && kind < 0 {
		record.Kind = JobFailed
	} else if record.Kind, err = enumAt[FailureKind](s, begin, kind); err != nil {
		return FailureRecord{}, inField("kind", err)
	}
	if lenient && phase < 0 {
		record.Phase = PhaseJob
	} else if record.Phase, err = enumAt[FailurePhase](s, begin, phase); err != nil {
		return FailureRecord{}, inField("phase", err)
	}
	return record, nil
}

// failureMember passes the value of any key but kind and phase.
func (s *scanner) failureMember(f *FailureRecord, key quoted) (err error) {
	switch string(key.meaning()) {
	case "message":
		f.Message, err = s.textOrNull()
	case "retryable":
		f.Retryable, err = s.truth()
	case "details":
		f.Details, err = s.details()
	case "exception_type":
		f.ExceptionType, err = s.textOrNull()
	case "job_id":
		f.JobID, err = s.textOrNull()
	case "created_at":
		f.CreatedAt, err = s.textOrNull()
	default:
		f.Extra, err = s.unknown(f.Extra, key)
	}
	return err
}

// details passes the object ahead and returns it as Go values.
func (s *scanner) details() (map[string]any, error) {
	if err := s.expect('{'); err != nil {
		return nil, err
	}
	value, err := s.decode(1)
	object, _ := value.(map[string]any) // it is one: it begins with a bracket
	return object, err
}

// enumAt reads the value of a required key as one of a fixed set of texts. begin is where the object begins.
func enumAt[T interface {
	~string
	Valid() bool
}](s *scanner, begin, start int) (T, error) {
	text, err := s.requiredText(begin, start)
	if err != nil {
		return "", err
	}
	if value := T(text); value.Valid() {
		return value, nil
	}
	return "", s.fail(start, "unknown value %q", clip(text))
}

func isFailureKey(name string) bool {
	switch name {
	case "kind", "phase", "message", "retryable", "details", "exception_type", "job_id", "created_at":
		return true
	}
	return false
}

// failure writes a FailureRecord.
func (w *writer) failure(f *FailureRecord) {
	w.open('{')
	w.key("kind")
	w.text(string(f.Kind))
	w.key("phase")
	w.text(string(f.Phase))
	w.key("message")
	w.text(f.Message)
	w.key("retryable")
	w.bool(f.Retryable)
	w.key("details")
	w.details(f.Details)
	w.key("exception_type")
	w.textOrNull(f.ExceptionType)
	w.key("job_id")
	w.textOrNull(f.JobID)
	w.key("created_at")
	w.textOrNull(f.CreatedAt)
	w.extra(f.Extra, isFailureKey)
	w.close('}')
}

// failureOrNull writes nil as null.
func (w *writer) failureOrNull(f *FailureRecord) {
	if f == nil {
		w.word("null")
		return
	}
	w.failure(f)
}

// details writes a map of Go values; one that has no JSON form is written as the text fmt prints for it.
func (w *writer) details(details map[string]any) {
	w.open('{')
	for _, name := range sortedKeys(details) {
		w.key(name)
		mark, level := len(w.out), w.level
		if w.value(details[name], 1) != nil {
			w.out, w.level = w.out[:mark], level
			w.text(fmt.Sprint(details[name]))
		}
		w.begun = true
	}
	w.close('}')
}
