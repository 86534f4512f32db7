package coordinator

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"autoresearch/internal/host"
	"autoresearch/pkg/engine"
)

// arrival is one thing for the loop to take: an event, and what goes with it.
type arrival struct {
	event engine.Event
	// results is the position in the results stream that this arrival takes the watermark to; 0 for others.
	results uint64
	// heard marks evidence that NATS is there.
	heard bool
	// reply is called with the engine's answer once it is durable (reads too).
	reply func(engine.Reply)
	// replied is closed by reply. It names the arrival when its caller gives up.
	replied <-chan struct{}
	// call runs on the loop's goroutine, between turns' events.
	call func(*leader)
}

// inboxMax is how many arrivals wait for the loop before senders that can wait must, and others are dropped.
const inboxMax = 16384

// inbox is where everything that happens waits for the loop. Any goroutine may put; one takes.
type inbox struct {
	mu      sync.Mutex
	items   []arrival
	arrived chan struct{} // signal, capacity 1: items is not empty
	taken   chan struct{} // closed and replaced at every take: there is room
	host    host.Host
}

func newInbox(h host.Host) *inbox {
	return &inbox{arrived: make(chan struct{}, 1), taken: make(chan struct{}), host: h}
}

// put adds an arrival, waiting for room. It is how a slow loop holds back the results stream and callers.
func (b *inbox) put(ctx context.Context, a arrival) error {
	for {
		ok, room := b.offer(a)
		if ok {
			return nil
		}
		b.host.Wait(ctx, host.Forever, room)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// offer adds an arrival if there is room, else returns a channel that is closed when there is.
func (b *inbox) offer(a arrival) (ok bool, room <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.items) >= inboxMax {
		return false, b.taken
	}
	b.items = append(b.items, a)
	select {
	case b.arrived <- struct{}{}:
	default:
	}
	return true, nil
}

// force adds an arrival whether or not there is room: for what the loop itself causes, which must not wait for the loop.
func (b *inbox) force(a arrival) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.items = append(b.items, a)
	select {
	case b.arrived <- struct{}{}:
	default:
	}
}

// withdraw removes what a caller asked who has given up, if the loop has not taken it yet: while nothing is taken, because
// NATS is away, the questions of those who went must not pile up, nor come true an hour later.
func (b *inbox) withdraw(replied <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.items = slices.DeleteFunc(b.items, func(a arrival) bool { return a.replied == replied })
}

// take waits for arrivals, at most until the timeout, and moves up to limit of them to dst.
func (b *inbox) take(ctx context.Context, dst []arrival, limit int, timeout time.Duration) []arrival {
	b.host.Wait(ctx, timeout, b.arrived)
	runtime.Gosched() // who puts things does so first: one turn for all of them
	return b.drain(dst, limit)
}

func (b *inbox) drain(dst []arrival, limit int) []arrival {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(limit, len(b.items))
	dst = append(dst, b.items[:n]...)
	rest := copy(b.items, b.items[n:])
	clear(b.items[rest:])
	b.items = b.items[:rest]
	if rest > 0 {
		select {
		case b.arrived <- struct{}{}:
		default:
		}
	}
	close(b.taken)
	b.taken = make(chan struct{})
	return dst
}
