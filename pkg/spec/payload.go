package spec

import (
	"encoding/json"
	"fmt"
)

// Payload is one JSON object as text. It is carried byte for byte in meaning: big integers, -0.0, escapes, lone
// surrogates and the bare words NaN, Infinity and -Infinity of the original's files all survive. nil means {}.
type Payload json.RawMessage

// ParsePayload returns the one object in b as a Payload, without its white space; its tokens are kept byte for byte. It
// never refers to b. The errors are *DecodeError.
func ParsePayload(b []byte) (Payload, error) {
	w := writer{verbatim: true, out: make([]byte, 0, len(b))}
	s, err := begin(b)
	if err == nil {
		err = s.expect('{')
	}
	if err == nil {
		err = w.transcribe(s, 1)
	}
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return nil, err
	}
	return Payload(w.out), nil
}

// IsEmpty reports whether p is {} (or nil).
func (p Payload) IsEmpty() bool {
	s := &scanner{text: p}
	if len(p) == 0 {
		return true
	}
	return s.firstByte() == '{' && s.object(1, func(quoted) error { return errNotEmpty }) == nil
}

// Decode returns the payload as Go values: map[string]any, []any, string (WTF-8 for lone surrogates), bool, nil, and
// json.Number with the exact text of a number, which may be NaN, Infinity or -Infinity. Of equal keys the last counts.
func (p Payload) Decode() (map[string]any, error) {
	if len(p) == 0 {
		return map[string]any{}, nil
	}
	value, err := DecodeValue(p)
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("payload: %q is not an object", clip(p))
	}
	return object, nil
}

// Strict returns the payload as JSON that every reader takes: the bare words NaN, Infinity and -Infinity become
// strings, and other characters than ASCII become escapes. A Payload that is not one object gives {}.
func (p Payload) Strict() json.RawMessage {
	w := writer{strict: true}
	w.object(p)
	return w.out
}

// MarshalJSON returns Strict.
func (p Payload) MarshalJSON() ([]byte, error) { return p.Strict(), nil }

// UnmarshalJSON is ParsePayload; null leaves nil.
func (p *Payload) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*p = nil
		return nil
	}
	parsed, err := ParsePayload(b)
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}

// check refuses a payload that is not one object.
func (p Payload) check() error {
	if len(p) == 0 {
		return nil
	}
	return whole(p, func(s *scanner) error {
		if err := s.expect('{'); err != nil {
			return err
		}
		return s.skip(1)
	})
}
