package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"autoresearch/pkg/spec"
)

// The bounds of the evidence that a task keeps of its losses.
const (
	lossesMax       = 8
	lossProgressMax = 256 // bytes
)

// listed notes that a heartbeat listed the attempt that is leased, and what it said.
func (t *task) listed(now Now, h *spec.Holding) {
	t.heard = now.Wall
	if h.Progress != "" {
		t.progress = clipped(h.Progress, lossProgressMax)
	}
}

// clipped returns the beginning of a text, valid and without the rest of it in memory.
func clipped(text string, size int) string {
	if len(text) <= size {
		return text
	}
	return strings.Clone(strings.ToValidUTF8(text[:size], ""))
}

// noteLoss keeps the evidence of a lease that ended with its worker. The list is a new one: the old may be in a copy that
// others read.
func (t *task) noteLoss(now Now) {
	kept := t.Losses[max(0, len(t.Losses)+1-lossesMax):]
	t.edit().Losses = append(slices.Clip(slices.Clone(kept)), spec.Loss{
		Attempt: t.Lease.Attempt, Worker: t.Lease.Worker, Boot: t.Lease.Boot, At: now.Wall, Heard: t.heard, Progress: t.progress,
	})
}

// lostFailure is the end of a task that lost its worker too often: it may be what kills them.
func lostFailure(t *task, limit int) *spec.FailureRecord {
	var workers []any
	losses := make([]any, 0, len(t.Losses))
	for _, l := range t.Losses {
		if worker := any(string(l.Worker)); !slices.Contains(workers, worker) {
			workers = append(workers, worker)
		}
		losses = append(losses, lossDetail(l))
	}
	return &spec.FailureRecord{
		Kind: spec.JobRuntimeFailed, Phase: spec.PhaseJob,
		Message: fmt.Sprintf("its worker was lost %d times; the limit is %d (max_lost of its kind, or --max-lost)", t.Lost, limit),
		Details: map[string]any{
			"cause": spec.CauseLost, "lost": int(t.Lost), "last_worker": string(t.Lease.Worker), "workers": workers, "losses": losses,
		},
	}
}

// lossDetail is one loss as a failure record shows it.
func lossDetail(l spec.Loss) map[string]any {
	detail := map[string]any{"attempt": int(l.Attempt), "worker": string(l.Worker), "lost_at": stamp(l.At)}
	if l.Heard != 0 {
		detail["last_heartbeat"] = stamp(l.Heard)
	}
	if l.Progress != "" {
		detail["progress"] = l.Progress
	}
	return detail
}

func stamp(t spec.WallTime) string { return t.Time().Format(time.RFC3339) }
