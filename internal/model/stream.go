package model

import (
	"fmt"
	"slices"
	"time"

	"autoresearch/pkg/bus"
)

// message is one stored message.
type message struct {
	seq     uint64
	subject string
	data    []byte
	at      time.Time
}

// overhead is what a stored message takes beside its subject and data.
const overhead = 32

func (m *message) size() int64 { return int64(len(m.data) + len(m.subject) + overhead) }

// stream is one stream: messages in order, with a newest one per subject.
type stream struct {
	name     string
	created  time.Time
	memory   bool          // gone after a restart
	newest   bool          // keeps only the newest message of a subject
	maxBytes int64         // 0: no bound; a message beyond it is refused
	maxAge   time.Duration // 0: none

	first, last uint64
	messages    []*message
	bySubject   map[string]*message
	bytes       int64
	consumers   map[string]bool
	stalled     map[string]bool // consumers that deliver nothing
	watchers    []chan struct{}
	gone        bool
}

func (s *stream) bounds() bus.Bounds {
	return bus.Bounds{First: s.first, Last: s.last, Bytes: uint64(s.bytes), Created: s.created}
}

// append stores a message unless the stream is full.
func (s *stream) append(subject string, data []byte, now time.Time) (*message, error) {
	m := &message{seq: s.last + 1, subject: subject, data: slices.Clone(data), at: now}
	if s.maxBytes > 0 && s.bytes+m.size() > s.maxBytes {
		return nil, fmt.Errorf("stream %s: %w: maximum bytes exceeded", s.name, bus.ErrRefused)
	}
	if old := s.bySubject[subject]; old != nil && s.newest {
		s.remove(old)
	}
	s.last = m.seq
	s.messages = append(s.messages, m)
	s.bySubject[subject] = m
	s.bytes += m.size()
	s.settle()
	s.notify()
	return m, nil
}

// settle makes first the first message that is there.
func (s *stream) settle() {
	s.first = s.last + 1
	if len(s.messages) > 0 {
		s.first = s.messages[0].seq
	}
}

func (s *stream) notify() {
	for _, w := range s.watchers {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

// at returns the index of the first message from seq on.
func (s *stream) at(seq uint64) int {
	i, _ := slices.BinarySearchFunc(s.messages, seq, func(m *message, seq uint64) int {
		switch {
		case m.seq < seq:
			return -1
		case m.seq > seq:
			return 1
		}
		return 0
	})
	return i
}

// from returns the first message from seq on; nil when there is none.
func (s *stream) from(seq uint64) *message {
	if i := s.at(seq); i < len(s.messages) {
		return s.messages[i]
	}
	return nil
}

// get returns the message at seq; nil when there is none.
func (s *stream) get(seq uint64) *message {
	if m := s.from(seq); m != nil && m.seq == seq {
		return m
	}
	return nil
}

func (s *stream) remove(m *message) {
	i := s.at(m.seq)
	s.messages = slices.Delete(s.messages, i, i+1)
	s.bytes -= m.size()
	if s.bySubject[m.subject] == m {
		delete(s.bySubject, m.subject)
	}
	s.settle()
}

// purge removes every message below seq.
func (s *stream) purge(seq uint64) {
	for len(s.messages) > 0 && s.messages[0].seq < seq {
		s.remove(s.messages[0])
	}
}

// expire removes what is too old.
func (s *stream) expire(now time.Time) {
	for s.maxAge > 0 && len(s.messages) > 0 && now.Sub(s.messages[0].at) >= s.maxAge {
		s.remove(s.messages[0])
	}
}

// lastOf returns the last sequence of a subject; 0 for none.
func (s *stream) lastOf(subject string) uint64 {
	if m := s.bySubject[subject]; m != nil {
		return m.seq
	}
	return 0
}
