package coordinator

import (
	"context"
	"maps"
	"slices"
	"time"

	"autoresearch/internal/host"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// Cadence of the packer. What came or finished is left alone until the next round but one: its turn may come at once, or it is
// read again by the mirror, by hooks, by people who look on. Like what else goes on behind the commits it takes at most a
// twentieth of the time; a fifth for what the leader loaded, whose memory is needed.
const (
	packInterval = 5 * time.Second
	packBurst    = 5 * time.Millisecond // of work, before it rests
	loadedShare  = 5
)

// packer packs the ledger's tasks behind the commits: those that have finished, and those that rest in the queue. Only one may
// run on a ledger.
type packer struct {
	ledger   *ledger
	host     host.Host
	interval time.Duration
	rested   func(context.Context, []*spec.Task) // told which records were packed whose tasks rest: others may hold them too
	began    bool                                // what was loaded has been packed
}

// run packs until ctx is done.
func (p *packer) run(ctx context.Context) {
	for {
		p.host.Wait(ctx, p.interval)
		if ctx.Err() != nil {
			return
		}
		p.round(ctx)
	}
}

// round packs the blocks whose turn it is, and rests in between.
func (p *packer) round(ctx context.Context) {
	due := p.ledger.turnPacking()
	loaded := !p.began && len(due) > 0
	p.began = p.began || loaded
	began := p.host.Now()
	var rested []*spec.Task
	for _, n := range due {
		rested = append(rested, p.ledger.pack(n)...)
		if len(rested) >= restedMax {
			p.rested(ctx, rested)
			rested = nil
		}
		if spent := p.host.Now().Sub(began); spent >= packBurst {
			p.pause(ctx, spent, loaded)
			began = p.host.Now()
		}
		if ctx.Err() != nil {
			return
		}
	}
	if len(rested) > 0 {
		p.rested(ctx, rested)
	}
	p.ledger.packedAll()
}

// pause waits until what was spent is no more than its share of the time.
func (p *packer) pause(ctx context.Context, spent time.Duration, loaded bool) {
	if loaded {
		p.host.Wait(ctx, (loadedShare-1)*spent)
		return
	}
	p.host.Wait(ctx, (costShare-1)*spent)
}

// restedMax is how many tasks the loop lets go of between two turns, which takes it less than a millisecond.
const restedMax = 1000

// ripening is which blocks have tasks to pack. The ledger's lock guards it.
type ripening struct {
	young map[int]struct{} // of this round
	old   map[int]struct{} // of the one before
	due   int              // being packed
}

// note has the task at a place packed, if it can be.
func (r *ripening) note(place int, t *spec.Task) {
	if packable(t) {
		r.young[place/blockRows] = struct{}{}
	}
}

// packable reports whether a task may be packed in its state.
func packable(t *spec.Task) bool { return t.State.Terminal() || rests(t) }

// rests reports whether a task may rest: it waits in the queue and has never begun.
func rests(t *spec.Task) bool { return t.State == spec.StateQueued && t.Attempt == 0 }

// turnPacking begins a round, and returns the blocks to pack in it, in order.
func (g *ledger) turnPacking() []int {
	g.mu.Lock()
	defer g.mu.Unlock()
	due := slices.Sorted(maps.Keys(g.ripening.old))
	g.ripening = ripening{young: make(map[int]struct{}), old: g.ripening.young, due: len(due)}
	return due
}

// packedAll ends a round.
func (g *ledger) packedAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ripening.due = 0
}

// packed reports whether every task that can be packed is.
func (g *ledger) packed() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return len(g.ripening.young) == 0 && len(g.ripening.old) == 0 && g.ripening.due == 0
}

// pack packs a block's rows anew, beside what is packed already, and returns the records of those that rest. Encoding needs no
// lock: tasks and blocks never change. Rows that have changed meanwhile stay as they are, and what the block says of them counts for
// nothing.
func (g *ledger) pack(n int) (rested []*spec.Task) {
	tasks, old := g.unpackedOf(n)
	p := repacking{tasks: tasks, block: &block{}}
	if old != nil {
		*p.block = *old
	}
	if p.pack() {
		return g.swap(n, &p)
	}
	return nil
}

// repacking makes one block anew.
type repacking struct {
	tasks             [blockRows]*spec.Task // that are packed; in the end without those that cannot be
	block             *block
	finished, resting records // of the block
	ended, came       bool    // a task has finished, or come to rest, since
}

// pack reports whether there was something to pack.
func (p *repacking) pack() bool {
	for i, t := range p.tasks {
		if t == nil { // its record is still good, or there is no such row
			p.resting[i] = p.block.restingAt(i)
			continue
		}
		p.block.rests &^= 1 << i
		record := recordOf(t)
		switch {
		case record == nil:
			p.tasks[i] = nil
		case rests(t):
			p.resting[i], p.came = record, true
		default:
			p.finished[i], p.ended = record, true
		}
	}
	if !p.came && !p.ended {
		return false
	}
	if p.ended {
		before, _ := p.block.records(nil)
		for i, record := range before {
			if p.finished[i] == nil {
				p.finished[i] = record
			}
		}
		p.block.compress(&p.finished)
	}
	if p.came || p.block.hollow() {
		p.block.rest(&p.resting)
	}
	return true
}

// recordOf encodes a task that is to be packed; nil of one that is not.
func recordOf(t *spec.Task) []byte {
	if !packable(t) || !t.Spec.Stored.IsZero() || len(t.Spec.Payload) > recordMax {
		return nil
	}
	if o := t.Outcome; o != nil && (!o.Stored.IsZero() || len(o.Body) > recordMax) {
		return nil // its encoding leaves out what is stored
	}
	record := bus.AppendTask(make([]byte, 0, 512), t)
	if len(record) > recordMax {
		return nil
	}
	return record
}

// unpackedOf returns the tasks of a block's rows that are not packed, and the block.
func (g *ledger) unpackedOf(n int) (tasks [blockRows]*spec.Task, old *block) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for i := range blockRows {
		if place := n*blockRows + i; place < g.rows.len() {
			tasks[i] = g.rows.at(place).task
		}
	}
	return tasks, *g.rows.block(n)
}

// swap puts a block in the place of the tasks that it was made of, and returns those of them that rest.
func (g *ledger) swap(n int, p *repacking) (rested []*spec.Task) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, t := range p.tasks {
		if t == nil {
			continue
		}
		place := n*blockRows + i
		if r := g.rows.at(place); r.task == t {
			r.task = nil
			if rests(t) && g.rows.placeOf(t.Seq) == place { // as it is unless the journal is damaged
				rested = append(rested, t)
			}
		}
	}
	*g.rows.block(n) = p.block
	return rested
}

// Take implements engine.Shelf: a task whose turn has come is whole again.
func (g *ledger) Take(seq uint64) *spec.Task {
	g.mu.Lock()
	defer g.mu.Unlock()
	place := g.rows.placeOf(seq)
	r := g.rows.at(place)
	if r.task == nil {
		r.task = g.rows.task(place)
		g.ripening.note(place, r.task)
	}
	return r.task
}
