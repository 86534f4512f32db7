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

// Cadence of the packer. What finished is left alone until the next round but one, as it is read again soon: by the mirror, by
// hooks, by people who look on. Like what else goes on behind the commits it takes at most a twentieth of the time; a fifth
// for what the leader loaded, whose memory is needed.
const (
	packInterval = 5 * time.Second
	packBurst    = 5 * time.Millisecond // of work, before it rests
	loadedShare  = 5
)

// packer packs the ledger's finished tasks behind the commits. Only one may run on a ledger.
type packer struct {
	ledger   *ledger
	host     host.Host
	interval time.Duration
	began    bool // what was loaded has been packed
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
	for _, n := range due {
		p.ledger.pack(n)
		if spent := p.host.Now().Sub(began); spent >= packBurst {
			p.rest(ctx, spent, loaded)
			began = p.host.Now()
		}
		if ctx.Err() != nil {
			return
		}
	}
	p.ledger.packedAll()
}

// rest waits until what was spent is no more than its share of the time.
func (p *packer) rest(ctx context.Context, spent time.Duration, loaded bool) {
	if loaded {
		p.host.Wait(ctx, (loadedShare-1)*spent)
		return
	}
	p.host.Wait(ctx, (costShare-1)*spent)
}

// ripening is which blocks have finished tasks that are not packed. The ledger's lock guards it.
type ripening struct {
	young map[int]struct{} // of this round
	old   map[int]struct{} // of the one before
	due   int              // being packed
}

// finished notes that the task at a place has finished.
func (r *ripening) finished(place int) { r.young[place/blockRows] = struct{}{} }

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

// packed reports whether every finished task that can be packed is.
func (g *ledger) packed() bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return len(g.ripening.young) == 0 && len(g.ripening.old) == 0 && g.ripening.due == 0
}

// pack packs the finished tasks among a block's rows, beside those that are packed already. Encoding needs no lock: tasks and
// blocks never change. Rows that have changed meanwhile stay as they are, and what the block says of them counts for nothing.
func (g *ledger) pack(n int) {
	tasks, old := g.unpackedOf(n)
	var of records
	if old != nil {
		of, _ = old.records(nil)
	}
	some := false
	for i, t := range tasks {
		if t == nil {
			continue // its record is still good, or there is no such row
		}
		if of[i] = recordOf(t); of[i] == nil {
			tasks[i] = nil
		}
		some = some || of[i] != nil
	}
	if some {
		g.swap(n, &tasks, newBlock(&of))
	}
}

// recordOf encodes a task that is to be packed; nil of one that is not.
func recordOf(t *spec.Task) []byte {
	if !t.State.Terminal() || !t.Spec.Stored.IsZero() || len(t.Spec.Payload) > recordMax {
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
		if place := n*blockRows + i; place < g.rows.count {
			tasks[i] = g.rows.at(place).task
		}
	}
	return tasks, *g.rows.block(n)
}

// swap puts a block in the place of the tasks that it was made of.
func (g *ledger) swap(n int, tasks *[blockRows]*spec.Task, b *block) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, t := range tasks {
		if t == nil {
			continue
		}
		if r := g.rows.at(n*blockRows + i); r.task == t {
			r.task = nil
		}
	}
	*g.rows.block(n) = b
}
