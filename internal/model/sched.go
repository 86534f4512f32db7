package model

import (
	"container/heap"
	"context"
	"iter"
	"math/rand/v2"
	"time"

	"autoresearch/internal/host"
)

// Scheduler runs processes on virtual time. Exactly one thing happens at a time: an event of the world, or one goroutine
// of one process until it waits. Which comes next is decided by the time it is due and by the seed, so that the same
// seed is the same history. It is not safe for concurrent use.
type Scheduler struct {
	// Rand decides everything that is left to chance.
	Rand *rand.Rand
	// Steps counts what has happened.
	Steps int

	now     time.Time
	events  events
	number  uint64
	procs   []*Proc
	current *routine
}

// NewScheduler returns a scheduler whose history the seed decides.
func NewScheduler(seed uint64) *Scheduler {
	return &Scheduler{Rand: rand.New(rand.NewPCG(seed, 0x5eed)), now: time.Unix(1_700_000_000, 0)}
}

// Now returns the virtual time.
func (s *Scheduler) Now() time.Time { return s.now }

// event is something due at a time; the one that was planned first comes first among those due together.
type event struct {
	at     time.Time
	number uint64
	proc   *Proc // nil: the world's
	do     func()
	off    bool
}

// After plans do, and returns what calls it off.
func (s *Scheduler) After(d time.Duration, do func()) (off func()) { return s.plan(nil, d, do) }

func (s *Scheduler) plan(p *Proc, d time.Duration, do func()) (off func()) {
	s.number++
	e := &event{at: s.now.Add(max(0, d)), number: s.number, proc: p, do: do}
	heap.Push(&s.events, e)
	return func() { e.off = true }
}

// Step lets the next thing happen; false when nothing is planned.
func (s *Scheduler) Step() bool {
	for len(s.events) > 0 {
		e := heap.Pop(&s.events).(*event)
		switch {
		case e.off || e.proc != nil && e.proc.dead:
			continue
		case e.proc != nil && e.proc.paused:
			e.proc.held = append(e.proc.held, e)
			continue
		}
		if e.at.After(s.now) {
			s.now = e.at
		}
		s.Steps++
		e.do()
		s.settle()
		return true
	}
	return false
}

// settle buries what died, and wakes what can go on because of what has just happened.
func (s *Scheduler) settle() {
	alive := s.procs[:0]
	for _, p := range s.procs {
		if p.dead {
			p.bury()
			continue
		}
		alive = append(alive, p)
		p.wake()
	}
	clear(s.procs[len(alive):])
	s.procs = alive
}

// hurry is the longest that something that can go on waits for its turn.
const hurry = 100 * time.Microsecond

func (s *Scheduler) soon() time.Duration { return time.Duration(s.Rand.Int64N(int64(hurry))) }

// Proc is a process: goroutines that live and die together. It is their Host.
type Proc struct {
	Name string

	s        *Scheduler
	dead     bool
	paused   bool
	routines []*routine
	held     []*event // what came due while it was paused
}

var _ host.Host = (*Proc)(nil)

// Start begins a process whose first goroutine is body.
func (s *Scheduler) Start(name string, body func(p *Proc)) *Proc {
	p := &Proc{Name: name, s: s}
	s.procs = append(s.procs, p)
	p.spawn(func() { body(p) })
	return p
}

// Alive reports whether the process has neither died nor ended.
func (p *Proc) Alive() bool { return !p.dead && len(p.routines) > 0 }

// Goroutines returns how many goroutines the process has.
func (p *Proc) Goroutines() int { return len(p.routines) }

// Paused reports whether the process stands still.
func (p *Proc) Paused() bool { return p.paused }

// Kill ends the process where it stands: none of its goroutines runs another line of its own.
func (p *Proc) Kill() {
	p.dead = true
	if p.s.current == nil {
		p.s.settle()
	}
}

// Pause makes the process stand still until Resume, as SIGSTOP does.
func (p *Proc) Pause() { p.paused = true }

// Resume ends a pause. Everything that came due meanwhile is due now.
func (p *Proc) Resume() {
	p.paused = false
	for _, e := range p.held {
		heap.Push(&p.s.events, e)
	}
	p.held = nil
	p.s.settle()
}

// After plans do as something that happens to the process: not while it is paused, never when it is dead.
func (p *Proc) After(d time.Duration, do func()) (off func()) { return p.s.plan(p, d, do) }

// Now returns the virtual time.
func (p *Proc) Now() time.Time { return p.s.now }

// Jitter draws from the seed.
func (p *Proc) Jitter(d time.Duration) time.Duration {
	return d/2 + time.Duration(p.s.Rand.Int64N(int64(d/2)+1))
}

// Within returns a context that ends after d of virtual time.
func (p *Proc) Within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	off := p.After(d, cancel)
	return ctx, func() { off(); cancel() }
}

// Go starts another goroutine of the process.
func (p *Proc) Go(f func()) (join func()) {
	p.check()
	done := make(chan struct{})
	p.spawn(func() {
		defer close(done)
		f()
	})
	return func() {
		if !host.Done(done) {
			p.Wait(context.Background(), host.Forever, done)
		}
	}
}

// Wait lets others run until the goroutine may go on.
func (p *Proc) Wait(ctx context.Context, d time.Duration, signals ...<-chan struct{}) {
	p.check()
	r := p.s.current
	if r == nil {
		panic("model: something waits outside the goroutines of a process")
	}
	r.ctx, r.signals = ctx, signals
	if d != host.Forever {
		r.timer = p.After(d, r.resume)
	}
	r.waiting = true
	if !r.yield(struct{}{}) {
		panic(killed{})
	}
	r.receive()
}

// check ends the calling goroutine when its process is dead.
func (p *Proc) check() {
	if p.dead {
		panic(killed{})
	}
}

// killed unwinds the goroutines of a dead process.
type killed struct{}

// routine is one goroutine of a process.
type routine struct {
	p     *Proc
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool
	timer func() // calls its deadline off; nil when there is none

	waiting bool // for ctx, signals or the timer; else it is about to run
	ctx     context.Context
	signals []<-chan struct{}
}

func (p *Proc) spawn(body func()) {
	r := &routine{p: p}
	r.next, r.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if value := recover(); value != nil && value != any(killed{}) {
				panic(value)
			}
		}()
		r.yield = yield
		body()
	})
	p.routines = append(p.routines, r)
	p.After(p.s.soon(), r.resume)
}

// resume runs the goroutine until it waits again, or ends.
func (r *routine) resume() {
	if r.timer != nil {
		r.timer()
	}
	r.timer, r.waiting = nil, false
	before := r.p.s.current
	r.p.s.current = r
	_, more := r.next()
	r.p.s.current = before
	if !more {
		r.p.forget(r)
	}
}

func (p *Proc) forget(r *routine) {
	for i := range p.routines {
		if p.routines[i] == r {
			p.routines = append(p.routines[:i:i], p.routines[i+1:]...)
			return
		}
	}
}

// bury unwinds every goroutine of a dead process.
func (p *Proc) bury() {
	for _, r := range p.routines {
		before := p.s.current
		p.s.current = r
		r.stop()
		p.s.current = before
	}
	p.routines, p.held = nil, nil
}

// wake plans the goroutines that can go on.
func (p *Proc) wake() {
	if p.paused {
		return
	}
	for _, r := range p.routines {
		if r.waiting && r.ready() {
			r.waiting = false
			if r.timer != nil {
				r.timer()
			}
			r.timer = p.After(p.s.soon(), r.resume)
		}
	}
}

func (r *routine) ready() bool {
	if r.ctx.Err() != nil {
		return true
	}
	for _, signal := range r.signals {
		if signalled(signal) {
			return true
		}
	}
	return false
}

// signalled reports whether a channel holds a token or is closed, and takes nothing.
func signalled(c <-chan struct{}) bool {
	if cap(c) > 0 {
		return len(c) > 0
	}
	return c != nil && host.Done(c)
}

// receive takes one token, as a select does.
func (r *routine) receive() {
	if r.ctx.Err() != nil {
		return
	}
	for _, signal := range r.signals {
		if signalled(signal) {
			<-signal
			return
		}
	}
}

// events is a heap.
type events []*event

func (h events) Len() int { return len(h) }
func (h events) Less(i, j int) bool {
	if !h[i].at.Equal(h[j].at) {
		return h[i].at.Before(h[j].at)
	}
	return h[i].number < h[j].number
}
func (h events) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push and Pop are container/heap's.
func (h *events) Push(x any) { *h = append(*h, x.(*event)) }

// Pop removes the last.
func (h *events) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return e
}

// Bury unwinds what has died; for the end of a history.
func (s *Scheduler) Bury() { s.settle() }
