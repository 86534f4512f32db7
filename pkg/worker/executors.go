package worker

import "sync"

// executors are the goroutines that run attempts. One that has run an attempt takes the next that waits, and without one waits
// itself, with the stack that it has grown. So that no attempt waits for another's end, an executor that runs nothing is on its
// way to those that wait; more are not woken, because most of what it would find may be over by then.
// The methods may be called concurrently until wait is.
type executors struct {
	run func(*attempt)
	// rest is called once attempts have ended and none waits: before a goroutine waits or ends, or runs something that may last
	// while no other is on its way. It must return soon.
	rest func()

	mu      sync.Mutex
	waiting []*attempt // in the order in which they came
	called  sync.Cond  // wakes one of the idle
	idle    int        // executors that wait
	coming  bool       // one was called and has not looked yet; always while attempts wait
	over    bool
	working sync.WaitGroup
}

func newExecutors(run func(*attempt), rest func()) *executors {
	x := &executors{run: run, rest: rest}
	x.called.L = &x.mu
	return x
}

// start runs attempts, on goroutines that are not the caller's.
func (x *executors) start(attempts []*attempt) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.waiting = append(x.waiting, attempts...)
	x.call()
}

// call sees to it that an executor is coming.
func (x *executors) call() {
	switch {
	case x.coming:
		return
	case x.idle > 0:
		x.called.Signal()
	default:
		x.working.Go(x.work)
	}
	x.coming = true
}

// work runs attempts until none comes any more, or a Runner ends the goroutine.
func (x *executors) work() {
	defer x.rest()
	for a := x.next(true); a != nil; a = x.next(false) {
		x.run(a)
	}
}

// next waits for the next attempt and returns it, nil when none comes any more. called says that the caller is the one that is
// coming.
func (x *executors) next(called bool) *attempt {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.coming = x.coming && !called
	for len(x.waiting) == 0 {
		if x.over {
			return nil
		}
		x.rest()
		x.idle++
		x.called.Wait()
		x.idle--
		x.coming = false
	}
	a := x.waiting[0]
	x.waiting[0], x.waiting = nil, x.waiting[1:]
	switch {
	case len(x.waiting) > 0:
		x.call()
	case !x.coming:
		x.rest()
	}
	return a
}

// end lets executors go that wait, and those that run something once it has ended.
func (x *executors) end() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
	x.called.Broadcast()
}

// wait returns when they are gone.
func (x *executors) wait() { x.working.Wait() }
