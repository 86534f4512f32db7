package worker

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// doings say what the attempts of a test do.
type doings map[*attempt]func()

// attempts returns attempts that do these things.
func (d doings) attempts(does ...func()) (attempts []*attempt) {
	for _, do := range does {
		a := &attempt{}
		d[a] = do
		attempts = append(attempts, a)
	}
	return attempts
}

// execute returns executors that are gone when the test has ended, and a channel that has how many attempts had ended when
// they rested last.
func (d doings) execute(t *testing.T) (x *executors, rested <-chan int64) {
	t.Helper()
	var ended atomic.Int64
	last := make(chan int64, 1)
	var mu sync.Mutex
	x = newExecutors(func(a *attempt) {
		defer ended.Add(1)
		d[a]()
	}, func() {
		mu.Lock()
		defer mu.Unlock()
		select {
		case <-last:
		default:
		}
		last <- ended.Load()
	})
	t.Cleanup(func() {
		x.end()
		x.wait()
	})
	return x, last
}

// No attempt waits for another's end: these end once all have begun, however they came.
func TestAttemptsRunAtOnce(t *testing.T) {
	t.Parallel()
	const count = 64
	var begun, ended sync.WaitGroup
	begun.Add(count)
	ended.Add(count)
	d := doings{}
	var attempts []*attempt
	for range count {
		attempts = append(attempts, d.attempts(func() { begun.Done(); begun.Wait(); ended.Done() })...)
	}
	x, _ := d.execute(t)
	x.start(attempts[:count/2])
	for i := range attempts[count/2:] {
		x.start(attempts[count/2+i:][:1])
	}
	ended.Wait()
}

// What has ended is handed on, however long the attempts go on that came with it or later.
func TestExecutorsRestBesideLongAttempts(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	brief, long := func() {}, func() { <-over }
	d := doings{}
	type group struct {
		attempts []*attempt
		ending   int64
	}
	var groups []group
	for range 50 {
		groups = append(groups,
			group{d.attempts(brief), 1},
			group{d.attempts(brief, long), 1},
			group{d.attempts(long, brief), 1},
			group{d.attempts(brief, long, long), 1},
			group{d.attempts(brief, brief, long, brief, long), 3},
			group{d.attempts(brief, runtime.Goexit), 2},
			group{d.attempts(runtime.Goexit), 1},
		)
	}
	x, rested := d.execute(t)
	defer close(over)
	var ending, ended int64
	for i, g := range groups {
		x.start(g.attempts)
		ending += g.ending
		for ended < ending && i%4 > 0 { // the fourth comes while others run
			ended = <-rested
		}
	}
}
