package worker

import "sync"

// executors are the goroutines that run attempts. One that has run an attempt waits for the next, with the stack that it has
// grown: there are as many as attempts have run at the same time. The methods may be called concurrently until wait is.
type executors struct {
	next    chan *attempt // received from by an executor that waits
	over    chan struct{} // closed when no attempt comes any more
	running sync.WaitGroup
}

func newExecutors() executors {
	return executors{next: make(chan *attempt), over: make(chan struct{})}
}

// start runs an attempt, on a goroutine that is not the caller's.
func (x *executors) start(a *attempt, run func(*attempt)) {
	select {
	case x.next <- a:
	default:
		x.running.Go(func() {
			for ; a != nil; a = x.await() {
				run(a)
			}
		})
	}
}

// await returns the next attempt, nil when none comes any more.
func (x *executors) await() *attempt {
	select {
	case a := <-x.next:
		return a
	case <-x.over:
		return nil
	}
}

// end lets executors go that wait, and those that run something once it has ended.
func (x *executors) end() { close(x.over) }

// wait returns when they are gone.
func (x *executors) wait() { x.running.Wait() }
