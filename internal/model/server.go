package model

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// Server is a JetStream in memory. It does what it is asked at once; faults are the business of the Links. Its methods
// are safe for concurrent use.
type Server struct {
	// Clock tells the server's time.
	Clock func() time.Time
	// OnStore, unless nil, sees every message at the moment it is stored. It must not call the server.
	OnStore func(Stored)
	// OnPurge, unless nil, sees every purge of a stream below a sequence. It must not call the server.
	OnPurge func(stream string, created time.Time, below uint64)
	// OnRing, unless nil, hears that a class's doorbell rang.
	OnRing func(class string)

	mu      sync.Mutex
	down    bool
	streams map[string]*stream
	created time.Time // of the newest stream
	names   int       // given by unique
	leads   map[string]int
	uplinks []*listener[bus.Uplink]
	demands []*listener[bus.Demand]
	control []*listener[bus.Answer]
}

// Stored is one message as it is stored.
type Stored struct {
	Stream  string
	Created time.Time // of the stream
	Seq     uint64
	Subject string
	Data    []byte
}

// listener is one subscription of core NATS.
type listener[T any] struct {
	name    string // whose messages it wants; "" for all
	deliver func(T)
}

// NewServer returns a server without streams.
func NewServer(clock func() time.Time) *Server {
	return &Server{Clock: clock, streams: make(map[string]*stream), leads: make(map[string]int)}
}

// Down stops the server; Up starts it again, without what lay in memory.
func (s *Server) Down() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = true
}

// Up ends Down.
func (s *Server) Up() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = false
	for name, st := range s.streams {
		if st.memory {
			s.drop(name)
		}
	}
}

// unique returns a name that was not given before.
func (s *Server) unique() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names++
	return strconv.Itoa(s.names)
}

// IsDown reports whether the server is down.
func (s *Server) IsDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

// Delete removes a stream, as an operator does.
func (s *Server) Delete(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(name)
}

// Empty removes every message of a stream, as an operator's purge does: its sequences go on.
func (s *Server) Empty(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.streams[name]; st != nil {
		st.purge(st.last + 1)
	}
}

func (s *Server) drop(name string) {
	if st := s.streams[name]; st != nil {
		st.gone = true
		delete(s.streams, name)
		st.notify()
	}
}

// Stall makes the consumer of a class deliver nothing until it is made anew.
func (s *Server) Stall(class string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.streams[bus.StreamTasks]; st != nil {
		st.stalled[class] = true
	}
}

// Messages returns how many messages a stream holds.
func (s *Server) Messages(name string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.streams[name]; st != nil {
		return uint64(len(st.messages))
	}
	return 0
}

// SetMaxBytes bounds a stream, as a full disk does; 0 ends that.
func (s *Server) SetMaxBytes(name string, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.streams[name]; st != nil {
		st.maxBytes = bytes
	}
}

// errMissing says that a stream does not exist.
func errMissing(name string) error { return fmt.Errorf("stream %s: %w", name, bus.ErrMissing) }

// stream returns a stream, expired; ErrMissing when there is none. The lock must be held.
func (s *Server) stream(name string) (*stream, error) {
	st := s.streams[name]
	if st == nil {
		return nil, errMissing(name)
	}
	st.expire(s.Clock())
	return st, nil
}

// ensure creates a stream unless it exists.
func (s *Server) ensure(name string, like stream) (created bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.streams[name]; st != nil {
		st.maxAge = like.maxAge
		if like.maxBytes > 0 {
			st.maxBytes = like.maxBytes
		}
		return false
	}
	like.name, like.first, like.created = name, 1, s.Clock()
	if !like.created.After(s.created) {
		like.created = s.created.Add(1)
	}
	s.created = like.created
	like.bySubject, like.consumers, like.stalled = make(map[string]*message), make(map[string]bool), make(map[string]bool)
	s.streams[name] = &like
	return true
}

// store appends one message and tells who watches.
func (s *Server) store(st *stream, subject string, data []byte) (uint64, error) {
	m, err := st.append(subject, data, s.Clock())
	if err != nil {
		return 0, err
	}
	if s.OnStore != nil {
		s.OnStore(Stored{Stream: st.name, Created: st.created, Seq: m.seq, Subject: subject, Data: m.data})
	}
	return m.seq, nil
}

func (s *Server) bounds(name string) (bus.Bounds, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(name)
	if err != nil {
		return bus.Bounds{}, err
	}
	return st.bounds(), nil
}

func (s *Server) size(name string) (messages, last uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(name)
	if err != nil {
		return 0, 0, err
	}
	return uint64(len(st.messages)), st.last, nil
}

// appendAfter stores all entries after the sequence, or none.
func (s *Server) appendAfter(name string, expect uint64, entries []bus.BatchEntry) (last uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(name)
	if err != nil {
		return 0, err
	}
	if st.last != expect {
		return 0, fmt.Errorf("stream %s: %w: its last sequence is %d", name, bus.ErrConflict, st.last)
	}
	if err := fits(st, entries); err != nil {
		return 0, err
	}
	for _, e := range entries {
		if last, err = s.store(st, e.Subject, e.Data); err != nil {
			return 0, err
		}
	}
	return last, nil
}

func fits(st *stream, entries []bus.BatchEntry) error {
	size := st.bytes
	for _, e := range entries {
		if len(e.Data) > bus.MaxPayloadDefault {
			return fmt.Errorf("stream %s: %w: %w", st.name, bus.ErrRefused, bus.ErrTooLarge)
		}
		size += int64(len(e.Subject) + len(e.Data) + overhead)
	}
	if st.maxBytes > 0 && size > st.maxBytes {
		return fmt.Errorf("stream %s: %w: maximum bytes exceeded", st.name, bus.ErrRefused)
	}
	return nil
}

// appendIf stores one message if its subject's last sequence is the expected one.
func (s *Server) appendIf(name, subject string, expect uint64, data []byte) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(name)
	if err != nil {
		return 0, err
	}
	if last := st.lastOf(subject); last != expect {
		return 0, fmt.Errorf("stream %s: %w: the subject's last sequence is %d", name, bus.ErrConflict, last)
	}
	return s.store(st, subject, data)
}

func (s *Server) get(name string, seq uint64) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(name)
	if err != nil {
		return nil, err
	}
	if m := st.get(seq); m != nil {
		return m.data, nil
	}
	return nil, fmt.Errorf("stream %s, message %d: %w", name, seq, bus.ErrMissing)
}

// newest returns the newest message of a subject; nil when there is none.
func (s *Server) newest(name, subject string) (*message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(name)
	if err != nil {
		return nil, err
	}
	return st.bySubject[subject], nil
}

// after returns the first message from seq on, and the stream's end; nil when there is none.
func (s *Server) after(name string, seq uint64) (m *message, last uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(name)
	if err != nil {
		return nil, 0, err
	}
	return st.from(seq), st.last, nil
}

func (s *Server) purge(name string, below uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(name)
	if err != nil {
		return err
	}
	st.purge(below)
	if s.OnPurge != nil {
		s.OnPurge(name, st.created, below)
	}
	return nil
}

func (s *Server) removeSubject(name, subject string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(name)
	if err != nil {
		return err
	}
	if m := st.bySubject[subject]; m != nil {
		st.remove(m)
	}
	return nil
}

func (s *Server) removeSeq(name string, seq uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(name)
	if err != nil {
		return err
	}
	if m := st.get(seq); m != nil {
		st.remove(m)
	}
	return nil
}

// PublishResult stores a worker's results.
func (s *Server) PublishResult(run spec.RunName, m *bus.ResultMessage) error {
	data, err := bus.EncodeResultMessage(m)
	if err != nil {
		return err
	}
	return s.PublishRaw(run, m.Worker, data)
}

// PublishRaw stores any bytes as a worker's results.
func (s *Server) PublishRaw(run spec.RunName, worker spec.WorkerID, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(bus.ResultsStream(run))
	if err != nil {
		return fmt.Errorf("%w: %w", bus.ErrAmbiguous, err)
	}
	entry := bus.BatchEntry{Subject: bus.ResultSubject(run, worker), Data: data}
	if err := fits(st, []bus.BatchEntry{entry}); err != nil {
		return err
	}
	_, err = s.store(st, entry.Subject, data)
	return err
}

// ReadResults is bus.Conn's.
func (s *Server) ReadResults(run spec.RunName, fn func(seq uint64, data []byte) error) (created time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(bus.ResultsStream(run))
	if err != nil {
		return time.Time{}, err
	}
	for _, m := range st.messages {
		if err := fn(m.seq, m.data); err != nil {
			return st.created, err
		}
	}
	return st.created, nil
}

// Pull takes the oldest message of a class. With kept it stays, as when the acknowledgement is lost: it will be delivered
// again.
func (s *Server) Pull(class string, kept bool) ([]*bus.Dispatch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := s.stream(bus.StreamTasks)
	if err != nil {
		return nil, err
	}
	if !st.consumers[class] {
		return nil, fmt.Errorf("consumer of class %q: %w", class, bus.ErrMissing)
	}
	if st.stalled[class] {
		return nil, nil
	}
	prefix := strings.TrimSuffix(bus.TaskClassSubject(class), ">")
	for _, m := range st.messages {
		if strings.HasPrefix(m.subject, prefix) {
			if !kept {
				st.remove(m)
			}
			return bus.DecodeDispatches(m.data)
		}
	}
	return nil, nil
}

// ring stores a dispatched task; one that is there already is success.
func (s *Server) ring(class, subject string, data []byte) error {
	_, err := s.appendIf(bus.StreamTasks, subject, 0, data)
	if errors.Is(err, bus.ErrConflict) {
		return nil
	}
	if err == nil && s.OnRing != nil {
		s.OnRing(class)
	}
	return err
}

// SendUplink hands what a worker says to every leader that listens.
func (s *Server) SendUplink(data []byte) error {
	u, err := bus.DecodeUplink(data)
	if err != nil {
		return err
	}
	for _, l := range listeners(s, &s.uplinks) {
		l.deliver(*u)
	}
	return nil
}

// ListenControl hands answers to a worker until stop is called.
func (s *Server) ListenControl(worker spec.WorkerID, fn func(bus.Answer)) (stop func()) {
	return listen(s, &s.control, &listener[bus.Answer]{name: string(worker), deliver: fn})
}

// answer hands an answer to one worker, or to all.
func (s *Server) answer(worker spec.WorkerID, data []byte) error {
	a, err := bus.DecodeAnswer(data)
	if err != nil {
		return err
	}
	for _, l := range listeners(s, &s.control) {
		if worker == "" || l.name == string(worker) {
			l.deliver(*a)
		}
	}
	return nil
}

func listen[T any](s *Server, to *[]*listener[T], l *listener[T]) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*to = append(*to, l)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i := range *to {
			if (*to)[i] == l {
				*to = append((*to)[:i:i], (*to)[i+1:]...)
				return
			}
		}
	}
}

func listeners[T any](s *Server, of *[]*listener[T]) []*listener[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *of
}

// lead begins or ends answering pings.
func (s *Server) lead(run string, more int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leads[run] += more
}

// Leaders returns how many processes answer the run's pings.
func (s *Server) Leaders(run spec.RunName) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leads[string(run)]
}
