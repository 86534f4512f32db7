package workflow

import (
	"math"
	"slices"
	"time"

	"autoresearch/pkg/spec"
)

// Experiments end while a proposer that is a command thinks. So that no slot waits for it, it is called that much earlier
// and asked for that much more. How many end meanwhile is estimated from how long the last calls and the newest
// experiments took, which results tell, those of before a restart too.
//
// With c of them, a call is due once MaxConcurrency + c experiments are outstanding: when it ends, every slot is still
// taken. It is asked for c more, and for MaxConcurrency more at least, so that the next call comes in time as well.
// Where Proposer.Ahead is as much as that, and where c is less than one, Proposer.Ahead alone decides. So it does when it
// is 0: then every call is to know all results.
const (
	callsTimed       = 4
	experimentsTimed = 32
	// meanwhileMax bounds c by so many times what the file asks for: experiments that all fail at once are no reason
	// to have thousands thought up.
	meanwhileMax = 8
)

// pace is how long the last calls that succeeded took, and the newest experiments that ran.
type pace struct {
	calls       []time.Duration
	experiments []time.Duration
}

// call takes note of a call's result. One that failed does not tell how long thinking takes.
func (p *pace) call(result spec.TaskResult) {
	if result.Succeeded() {
		p.calls = timed(p.calls, result, callsTimed)
	}
}

// experiment takes note of an experiment's result. One that failed has freed its slot like any other.
func (p *pace) experiment(result spec.TaskResult) {
	p.experiments = timed(p.experiments, result, experimentsTimed)
}

// timed adds the duration of a result that has one to the newest, and keeps so many.
func timed(newest []time.Duration, result spec.TaskResult, keep int) []time.Duration {
	if result.Duration <= 0 { // it never ran
		return newest
	}
	if len(newest) == keep {
		newest = slices.Delete(newest, 0, 1)
	}
	return append(newest, result.Duration)
}

// endPerCall returns how many experiments end during a call while so many run: 0 if that is not known. Calls vary, and a
// slot that waits costs more than a spec that does, so it goes by the longest.
func (p *pace) endPerCall(running int) float64 {
	if len(p.calls) == 0 || len(p.experiments) == 0 {
		return 0
	}
	return float64(running) * float64(slices.Max(p.calls)) / mean(p.experiments)
}

func mean(durations []time.Duration) float64 {
	sum := 0.0
	for _, d := range durations {
		sum += float64(d)
	}
	return sum / float64(len(durations))
}

// meanwhile returns how many experiments to reckon with that end while the proposer thinks: 0 if that is not known, or
// less than one, or of no concern.
func (h *history) meanwhile() int {
	f := h.file
	ending := h.pace.endPerCall(f.MaxConcurrency)
	if ending < 1 || f.Proposer.Ahead == 0 {
		return 0
	}
	most := meanwhileMax * max(f.Proposer.Ahead, f.MaxConcurrency)
	return int(math.Ceil(min(ending, float64(most))))
}

// few returns how many outstanding experiments are few enough for a call.
func (h *history) few() int {
	ending := h.meanwhile()
	if ending == 0 {
		return h.file.Proposer.Ahead
	}
	return max(h.file.Proposer.Ahead, h.file.MaxConcurrency+ending)
}

// ahead returns how many specs are to wait in the queue.
func (h *history) ahead() int {
	ending := h.meanwhile()
	if ending == 0 {
		return h.file.Proposer.Ahead
	}
	return max(h.file.Proposer.Ahead, ending+max(ending, h.file.MaxConcurrency))
}
