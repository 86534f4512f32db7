package coordinator

import (
	"context"
	"log/slog"
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

// rejectTimeout bounds the storing of one rejection.
const rejectTimeout = 5 * time.Second

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

// run stores what comes until ctx is done.
func (k *rejectKeeper) storeAll(ctx context.Context) {
	for {
		k.host.Wait(ctx, host.Forever, k.arrived)
		if ctx.Err() != nil {
			return
		}
		k.mu.Lock()
		waiting := k.waiting
		k.waiting = nil
		k.mu.Unlock()
		for i := range waiting {
			k.storeOne(ctx, &waiting[i])
		}
	}
}

func (k *rejectKeeper) storeOne(ctx context.Context, r *bus.Rejected) {
	ctx, cancel := k.host.Within(ctx, rejectTimeout)
	defer cancel()
	if err := k.store.Put(ctx, r); err != nil && ctx.Err() == nil {
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
