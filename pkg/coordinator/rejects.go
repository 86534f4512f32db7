package coordinator

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"autoresearch/internal/host"
	"autoresearch/pkg/bus"
	"autoresearch/pkg/spec"
)

// rejectKeeper keeps what was rejected where people find it, off the loop. It is evidence, not truth: when more comes than
// can be stored, the rest is only counted. Any goroutine may keep; one stores.
type rejectKeeper struct {
	store   bus.Rejects
	run     spec.RunName
	epoch   uint64
	log     *slog.Logger
	host    host.Host
	metrics *metrics

	mu      sync.Mutex
	waiting []bus.Rejected
	arrived chan struct{}
}

// rejectsMax is how many rejections wait to be stored; their data is at most bus.RejectedDataMax each.
const rejectsMax = 256

// rejectTimeout bounds the storing of one rejection, rejectLastTimeout that of all that wait when a term ends.
const (
	rejectTimeout     = 5 * time.Second
	rejectLastTimeout = time.Second
)

func newRejectKeeper(store bus.Rejects, run spec.RunName, epoch uint64, m *metrics, log *slog.Logger, h host.Host) *rejectKeeper {
	return &rejectKeeper{
		store: store, run: run, epoch: epoch, metrics: m, log: log, host: h, arrived: make(chan struct{}, 1),
	}
}

// keep counts and logs a rejection, and hands it on to be stored. It copies no more of the data than is kept.
func (k *rejectKeeper) keep(r bus.Rejected) {
	k.metrics.rejections.WithLabelValues(string(r.Rule)).Inc()
	k.log.Warn("rejected", "rule", r.Rule, "reason", clip(r.Reason), "worker", r.Worker, "task", r.Task, "attempt", r.Attempt,
		"child", r.Child, "bytes", r.Size)
	r.Version, r.Epoch, r.At = bus.MessageVersion, k.epoch, spec.WallTimeOf(k.host.Now())
	r.Reason = clip(r.Reason)
	r.Data = append([]byte(nil), r.Data[:min(len(r.Data), bus.RejectedDataMax)]...)
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.waiting) >= rejectsMax {
		k.metrics.rejectsDropped.Inc()
		return
	}
	k.waiting = append(k.waiting, r)
	select {
	case k.arrived <- struct{}{}:
	default:
	}
}

// storeAll stores what comes until ctx is done, and then what is left: the last word of a run is often why it failed.
func (k *rejectKeeper) storeAll(ctx context.Context) {
	for ctx.Err() == nil {
		k.host.Wait(ctx, host.Forever, k.arrived)
		k.storeWaiting(ctx)
	}
	last, cancel := k.host.Within(context.WithoutCancel(ctx), rejectLastTimeout)
	defer cancel()
	k.storeWaiting(last)
}

// storeWaiting stores in order what waits. What ctx does not let it store goes on waiting.
func (k *rejectKeeper) storeWaiting(ctx context.Context) {
	for r, ok := k.first(); ok && ctx.Err() == nil; r, ok = k.first() {
		k.storeOne(ctx, &r)
		if ctx.Err() == nil {
			k.removeFirst()
		}
	}
}

// first returns what has waited longest.
func (k *rejectKeeper) first() (r bus.Rejected, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.waiting) == 0 {
		return bus.Rejected{}, false
	}
	return k.waiting[0], true
}

func (k *rejectKeeper) removeFirst() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting = slices.Delete(k.waiting, 0, 1)
}

func (k *rejectKeeper) storeOne(ctx context.Context, r *bus.Rejected) {
	put, cancel := k.host.Within(ctx, rejectTimeout)
	defer cancel()
	if err := k.store.Put(put, r); err != nil && ctx.Err() == nil {
		k.metrics.rejectsDropped.Inc()
		k.log.Warn("a rejection could not be kept", "rule", r.Rule, "err", err)
	}
}

// clip returns the beginning of a message, of at most messageMax bytes, as valid UTF-8.
func clip(text string) string {
	if len(text) <= messageMax {
		return text
	}
	return strings.ToValidUTF8(text[:messageMax], "") + "..."
}
