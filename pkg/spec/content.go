package spec

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
)

// SameContent reports whether two specs ask for the same work: equal kind and equal payload, whatever their id,
// priority, parent and unknown keys. Payloads are equal when the original would read equal values from them: the order
// of keys, white space and the choice of escapes do not matter, 1.50 equals 1.5, but 1 and 1.0 differ, as integers and
// floats do.
func (t TaskSpec) SameContent(other TaskSpec) bool {
	if t.Kind != other.Kind {
		return false
	}
	return SameValue(t.Payload, other.Payload)
}

// SameValue reports whether two JSON values have the same meaning, by the rule of SameContent. "" means {}.
func SameValue(a, b []byte) bool {
	return bytes.Equal(a, b) || bytes.Equal(appendCanonical(nil, a), appendCanonical(nil, b))
}

// ContentHash returns a hash of what SameContent compares: equal for equal content, and the same in every process and
// version.
func (t TaskSpec) ContentHash() uint64 {
	text := hashed.Get().(*[]byte)
	*text = binary.AppendUvarint((*text)[:0], uint64(len(t.Kind)))
	*text = append(*text, t.Kind...)
	*text = appendCanonical(*text, t.Payload)
	sum := sha256.Sum256(*text)
	if cap(*text) <= hashedKeptMax {
		hashed.Put(text)
	}
	return binary.BigEndian.Uint64(sum[:])
}

// hashed are texts whose hash was taken, to write the next in: every task is hashed. hashedKeptMax bounds what is kept of one.
var hashed = sync.Pool{New: func() any { return new([]byte) }}

const hashedKeptMax = 64 << 10

// appendCanonical appends the one text of all values of the same meaning, {} for "". A text that is not one value is its own.
func appendCanonical(dst, text []byte) []byte {
	if len(text) == 0 {
		return append(dst, "{}"...)
	}
	out := dst
	s, err := begin(text)
	if err == nil {
		out, err = s.appendCanonical(dst, 1)
	}
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return append(dst, text...)
	}
	return out
}

// appendCanonical appends the canonical text of the value ahead.
func (s *scanner) appendCanonical(dst []byte, depth int) ([]byte, error) {
	switch s.peek() {
	case '{':
		return s.canonicalObject(dst, depth)
	case '[':
		dst = append(dst, '[')
		err := s.array(depth, func(index int) (err error) {
			if index > 0 {
				dst = append(dst, ',')
			}
			dst, err = s.appendCanonical(dst, depth+1)
			return err
		})
		return append(dst, ']'), err
	case '"':
		token, err := s.str()
		return appendCanonicalText(dst, token), err
	}
	token, err := s.scalar()
	if err != nil {
		return dst, err
	}
	switch token[0] {
	case 't', 'f', 'n':
		return append(dst, token...), nil
	}
	return appendNumberMeaning(dst, token), nil
}

func appendCanonicalText(dst []byte, token quoted) []byte {
	if token.plain {
		return append(append(append(dst, '"'), token.raw...), '"')
	}
	return appendQuoted(dst, token.text())
}

// member is one member of an object as canonicalObject wrote it: where it stands in the output, and where its key ends.
type member struct{ start, keyEnd, end int }

// canonicalObject writes the members as they come and puts them in order afterwards, when they were not; of equal keys
// the last stays.
func (s *scanner) canonicalObject(dst []byte, depth int) ([]byte, error) {
	dst = append(dst, '{')
	begin := len(dst)
	var room [8]member // enough for most objects, and not on the heap
	members, sorted := room[:0], true
	err := s.object(depth, func(key quoted) (err error) {
		if len(members) > 0 {
			dst = append(dst, ',')
		}
		m := member{start: len(dst)}
		dst = appendCanonicalText(dst, key)
		m.keyEnd = len(dst)
		if last := len(members) - 1; last >= 0 && sorted {
			sorted = compareKeys(dst, members[last], m) < 0
		}
		dst, err = s.appendCanonical(append(dst, ':'), depth+1)
		m.end = len(dst)
		members = append(members, m)
		return err
	})
	if err != nil || sorted {
		return append(dst, '}'), err
	}
	return append(sortMembers(dst, begin, members), '}'), nil
}

func compareKeys(text []byte, a, b member) int {
	return bytes.Compare(text[a.start:a.keyEnd], text[b.start:b.keyEnd])
}

// sortMembers returns dst with the members that begin at begin in order of their keys, without repeated keys. It copies them
// from behind what it returns.
func sortMembers(dst []byte, begin int, members []member) []byte {
	size := len(dst)
	dst = append(dst, dst[begin:]...)
	dst, old := dst[:size], dst[size:]
	for i := range members {
		m := &members[i]
		m.start, m.keyEnd, m.end = m.start-begin, m.keyEnd-begin, m.end-begin
	}
	slices.SortStableFunc(members, func(a, b member) int { return compareKeys(old, a, b) })
	dst = dst[:begin]
	for i, m := range members {
		if i+1 < len(members) && compareKeys(old, m, members[i+1]) == 0 {
			continue // a later one counts
		}
		if len(dst) > begin {
			dst = append(dst, ',')
		}
		dst = append(dst, old[m.start:m.end]...)
	}
	return dst
}
